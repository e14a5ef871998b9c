// What a person does on the page of docs/sign-in.md, step by step: what each step finds is kept
// over the page's journeys, and sent to where the page comes from when all are done.
//
// The address says where the server is and which steps there are: #{"url": ..., "steps": [...]}.
if (location.hash) {
  localStorage.plan = decodeURIComponent(location.hash.slice(1));
  localStorage.done = "[]";
  history.replaceState(null, "", location.pathname);
}
const plan = JSON.parse(localStorage.plan ?? '{"steps": []}');
const done = JSON.parse(localStorage.done ?? "[]");

const element = (id) => document.getElementById(id);

async function until(condition) {
  for (let tries = 0; tries < 500; tries++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`not in time: ${condition}; ${element("who").textContent}`);
}

async function asked(path, key = localStorage.apiKey) {
  const reply = await fetch(plan.url + path, { headers: { Authorization: `Bearer ${key}` } });
  return { status: reply.status, ...(await reply.json()) };
}

async function seen() {
  const { userId, tokensLeft, group } = await asked("/balance");
  const said = { who: element("who").textContent, problem: element("problem").textContent };
  // The address that the browser was sent to, and what the page has made of it.
  const [{ name }] = performance.getEntriesByType("navigation");
  const addresses = { sentTo: name, address: location.href, referrer: document.referrer };
  const { cookie } = document;
  return { userId, tokensLeft, group, key: localStorage.apiKey, cookie, ...addresses, ...said };
}

const isReady = () => element("who").textContent.includes("tokens");
const isShown = (words) => until(() => element("who").textContent.includes(words));

// Each leads to what is found then; those that leave the page go on when it is there again.
const STEPS = {
  arrive: async () => {
    await isShown("Not signed in");
    return seen();
  },
  spend: async () => {
    const before = element("who").textContent;
    element("spend").click();
    await until(() => element("who").textContent !== before);
    return seen();
  },
  google: () => element("google").click(),
  apple: () => element("apple").click(),
  back: async () => {
    await until(() => isReady() || element("problem").textContent);
    return seen();
  },
  // early.js has seen it before the page was loaded.
  bought: async () => {
    await until(isReady);
    return { ...(await seen()), early: window.early };
  },
  buyPlan: () => leaveFor("/billing/checkout", { plan: "stripe_basic" }, "#pay"),
  buyPack: () => leaveFor("/billing/checkout", { pack: "small" }, "#pay"),
  cancel: () => leaveFor("/billing/portal", {}, "#cancel"),
  out: () => endBy("out"),
  delete: () => endBy("delete"),
};

// On the pages of the double of Stripe what is to be pressed is said by the fragment.
function leaveFor(path, body, press) {
  const headers = { Authorization: `Bearer ${localStorage.apiKey}` };
  const returnUrl = location.origin + location.pathname;
  fetch(plan.url + path, { method: "POST", headers, body: JSON.stringify({ ...body, returnUrl }) })
    .then((reply) => reply.json())
    .then(({ url }) => location.assign(url + press));
}

async function endBy(id) {
  const key = localStorage.apiKey;
  element(id).click();
  await until(() => localStorage.apiKey && localStorage.apiKey !== key);
  await isShown("Not signed in");
  return { ...(await seen()), ended: key, endedStatus: (await asked("/balance", key)).status };
}

try {
  while (done.length < plan.steps.length) {
    const step = plan.steps[done.length];
    const found = STEPS[step]();
    if (found === undefined) {
      localStorage.done = JSON.stringify([...done, null]);
      await new Promise(() => {}); // until the page is left
    }
    done.push(await found);
    localStorage.done = JSON.stringify(done);
  }
} catch (error) {
  done.push({ threw: `${error.stack ?? error}` });
}
if (plan.steps.length) await fetch("/found", { method: "POST", body: JSON.stringify(done) });
