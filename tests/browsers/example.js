// A person on the page of docs/example: example_steps.js has what is done, step by step; what each
// finds is kept over the page's journeys, and told to where the page comes from.
//
// The address says who and what: #{"by": ..., "steps": [...], "server": ..., "adminToken": ...}.
const problems = [];
console.error = (...words) => problems.push(words.join(" "));
const fails = ({ message, target }) => problems.push(message ?? target.outerHTML);
addEventListener("error", fails, true);
addEventListener("unhandledrejection", ({ reason }) => problems.push(`${reason?.stack ?? reason}`));
addEventListener("securitypolicyviolation", ({ blockedURI }) => problems.push(blockedURI));

if (location.hash.includes("steps")) {
  sessionStorage.plan = decodeURIComponent(location.hash.slice(1));
  sessionStorage.done = "[]";
  history.replaceState(null, "", location.pathname);
}
// In a frame it is no person's.
if (self === top && sessionStorage.plan) {
  const plan = JSON.parse(sessionStorage.plan);
  const done = JSON.parse(sessionStorage.done);
  try {
    const { STEPS } = await import("./example_steps.js");
    while (done.length < plan.steps.length) {
      // A step that leaves the page finds nothing, and is done when it is left.
      sessionStorage.done = JSON.stringify([...done, null]);
      const found = await STEPS[plan.steps[done.length]](plan);
      if (found === undefined) await new Promise(() => {});
      done.push({ step: plan.steps[done.length], ...found, problems });
    }
  } catch (error) {
    const page = document.body.innerText;
    done.push({ threw: `${plan.steps[done.length]}: ${error.stack ?? error}`, page, problems });
  }
  await fetch(`/told/${plan.by}`, { method: "POST", body: JSON.stringify(done) });
}
