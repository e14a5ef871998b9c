// The page of docs/app.md. It begins here: the client is fetched, and tells of what changes.
import { showAccount } from "./account.js";
import { clear } from "./chat.js";
import { attempt, tell } from "./problems.js";
import { arrive, vibe } from "./vibe.js";
import "./voice.js";

const balance = document.getElementById("balance");

async function begin() {
  await arrive(); // from a sign-in or a purchase, too
  balance.value = vibe.balance ?? "...";
  vibe.addEventListener("balance", ({ detail }) => (balance.value = detail));
  try {
    await start();
    if (vibe.returned?.error) tell(vibe.returned.error);
  } finally {
    vibe.addEventListener("user", ({ detail }) => change(detail).catch(tell));
  }
}

async function start() {
  await vibe.refresh(); // the first time, this makes the user
  await showAccount();
}

async function change(user) {
  if (user) return showAccount();
  clear(); // signed out, here or in another tab: go on as somebody new
  return vibe.refresh();
}

// Without the client nothing works; why it did not come browsers do not say.
const goOn = () => (vibe ? attempt(start)() : location.reload());

addEventListener("offline", () => tell({ kind: "offline" }, goOn));
addEventListener("online", goOn);
await begin().catch((error) => {
  const isUnreached = !vibe && error instanceof TypeError;
  tell(isUnreached ? { kind: "offline" } : error, goOn);
});
