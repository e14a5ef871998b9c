// The conversation: what was said, and the next question. It outlasts the way to a page of Google's
// or Stripe's, in this tab.
import { texts } from "./answers.js";
import { forget, tell } from "./problems.js";
import { vibe } from "./vibe.js";

const element = (id) => document.getElementById(id);
let messages = JSON.parse(sessionStorage.messages ?? "[]");
let isStopped = false;
let isAtEnd = true;
let scrolled = 0;

/** Something that was said, by the `user` or the `assistant`. */
export function add(...said) {
  keep([...messages, ...said]);
}

export function clear() {
  keep([]);
  element("chat").replaceChildren();
  element("empty").hidden = false;
}

function keep(all) {
  messages = all;
  sessionStorage.messages = JSON.stringify(all);
}

export function show({ role, content }) {
  const shown = document.createElement("p");
  shown.className = role;
  shown.textContent = content;
  element("chat").append(shown);
  element("empty").hidden = true;
  isAtEnd = true;
  return shown;
}

async function ask(content) {
  forget();
  const question = { role: "user", content };
  const shown = [show(question), show({ role: "assistant", content: "" })];
  element("question").value = "";
  setBusy(true);
  try {
    const body = { messages: [...messages, question], stream: true };
    await write(await vibe.call("POST", "/v1/chat/completions", body), shown[1]);
  } catch (error) {
    tell(error, () => element("form").requestSubmit());
  }
  setBusy(false);
  const answer = shown[1].textContent;
  if (answer) return add(question, { role: "assistant", content: answer });
  for (const one of shown) one.remove();
  element("question").value ||= content; // to ask again
}

async function write(reply, answer) {
  for await (const text of texts(reply)) {
    answer.textContent += text;
    if (isStopped) return;
  }
}

function setBusy(isBusy) {
  isStopped = false;
  element("chat").ariaBusy = isBusy; // it is read out when it is whole
  element("send").disabled = isBusy;
  element("stop").hidden = !isBusy;
}

element("form").onsubmit = (event) => {
  event.preventDefault();
  const question = element("question").value.trim();
  if (question && vibe && !element("send").disabled) ask(question);
};
element("question").onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  element("form").requestSubmit();
};
element("stop").onclick = () => (isStopped = true);
// The end stays in view as answers and notices grow, until who reads scrolls up.
const page = document.documentElement;
const follow = new ResizeObserver(() => isAtEnd && scrollTo(0, page.scrollHeight));
for (const id of ["chat", "notice"]) follow.observe(element(id));
addEventListener("scroll", () => {
  const isNear = page.scrollHeight - innerHeight - scrollY < 40;
  isAtEnd = isNear || (isAtEnd && scrollY >= scrolled);
  scrolled = scrollY;
});
messages.forEach(show);
element("question").value = sessionStorage.question ?? "";
addEventListener("pagehide", () => (sessionStorage.question = element("question").value));
