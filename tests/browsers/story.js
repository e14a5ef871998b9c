// What a person does in an app that has /client.js, step by step: what each step finds is kept over
// the page's journeys, and sent to where the page comes from when all are done.
//
// The address says which steps there are, and where: #{"steps": [...], "server": ..., "tenant": ...}.
import * as chats from "./story_chats.js";
import * as lives from "./story_lives.js";
import * as tabs from "./story_tabs.js";

const problems = [];
console.error = (...words) => problems.push(words.join(" "));
addEventListener("error", ({ message }) => problems.push(message));
addEventListener("unhandledrejection", ({ reason }) => problems.push(`${reason?.stack ?? reason}`));
addEventListener("securitypolicyviolation", ({ blockedURI }) => problems.push(blockedURI));

if (location.hash.includes("steps")) {
  sessionStorage.plan = decodeURIComponent(location.hash.slice(1));
  sessionStorage.done = "[]";
  history.replaceState(null, "", location.pathname);
}
const plan = JSON.parse(sessionStorage.plan);
if (plan.other && !sessionStorage.opened) {
  sessionStorage.opened = "yes";
  window.open(plan.other, "_blank", "noopener");
}
const done = JSON.parse(sessionStorage.done);
const STEPS = { ...chats, ...lives, ...tabs };

try {
  const { connect, VibeError } = await import(`${plan.server}/client.js`);
  const arrived = location.href;
  const vibe = await connect({ url: plan.server, tenant: plan.tenant });
  const app = { vibe, plan, connect, VibeError, arrived, heard: [] };
  for (const name of ["user", "balance", "refused"])
    vibe.addEventListener(name, ({ detail }) => app.heard.push([name, detail?.kind ?? detail]));
  while (done.length < plan.steps.length) {
    // A step that leaves the page finds nothing, and is done when it is left.
    sessionStorage.done = JSON.stringify([...done, null]);
    const found = await STEPS[plan.steps[done.length]](app);
    if (found === undefined) await new Promise(() => {});
    const { user, balance } = vibe;
    done.push({ user, balance, ...found, problems });
  }
} catch (error) {
  done.push({ threw: `${error.stack ?? error}`, message: error.message, problems });
}
await fetch("/found", { method: "POST", body: JSON.stringify(done) });
