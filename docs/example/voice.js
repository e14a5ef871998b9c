// The buttons of talk.js.
import { add, show } from "./chat.js";
import { attempt, tell } from "./problems.js";
import { settings } from "./settings.js";
import { talk } from "./talk.js";
import { vibe } from "./vibe.js";

const element = (id) => document.getElementById(id);
let running = null;

async function start() {
  element("talk").disabled = true;
  try {
    running = await talk(vibe, { said, state, ended });
  } finally {
    element("talk").disabled = false;
  }
  showButtons();
}

function said(content) {
  const answer = { role: "assistant", content };
  show(answer);
  add(answer);
}

const state = (text) => (element("voice").textContent = `${text}...`);

function ended(error) {
  running = null;
  showButtons();
  vibe.refresh().catch(() => {}); // what is left; it is shown when it is known
  if (error) tell(error, attempt(start));
}

function showButtons() {
  element("talk").textContent = running ? "Stop talking" : "Talk";
  element("mute").hidden = !running;
  element("mute").ariaPressed = "false";
  element("voice").textContent = running ? "Connecting..." : "";
}

element("talk").hidden = !settings.talks;
element("talk").onclick = () => (running ? running.stop() : attempt(start)());
element("mute").onclick = ({ target }) => {
  target.ariaPressed = target.ariaPressed === "true" ? "false" : "true";
  running?.mute(target.ariaPressed === "true");
};
