// Steps of a user's life: arriving, signing in, buying, keys that are revoked, signing out.
import { until } from "./story_chats.js";

export const arrive = async ({ vibe }) => {
  const first = vibe.user;
  const { userId, group } = await vibe.refresh();
  return { first, userId, group };
};

// The page of docs/client.md, beside this one: what it shows, and what it answers.
export async function documented({ plan }) {
  const frame = document.createElement("iframe");
  frame.src = plan.documented;
  document.body.append(frame);
  const element = (name) => frame.contentDocument?.querySelector(name);
  await until(() => Number(element("#balance")?.value));
  const shown = Number(element("#balance").value);
  element("input").value = "Hello";
  element("button").click();
  await until(() => element("pre").textContent);
  const found = { shown, left: Number(element("#balance").value), answer: element("pre").textContent };
  frame.remove();
  return found;
}

export const google = ({ vibe }) => leave(() => vibe.signIn("google"));
export const apple = ({ vibe }) => leave(() => vibe.signIn("apple"));
export const buyPack = ({ vibe }) => leave(() => vibe.buy({ pack: "small" }));
export const manage = ({ vibe }) => leave(() => vibe.manage());

// With something in the address that is the app's own.
async function leave(go) {
  history.replaceState(null, "", "?room=5#here");
  await go();
}

// On the pages of the double of Stripe what is to be pressed is said by the fragment.
const { fetch } = globalThis;
globalThis.fetch = async (...asked) => {
  const reply = await fetch(...asked);
  const [, page] = reply.url.match(/\/billing\/(checkout|portal)$/) ?? [];
  if (!page || !reply.ok) return reply;
  const { url } = await reply.json();
  return Response.json({ url: url + { checkout: "#pay", portal: "#cancel" }[page] }, reply);
};

export async function back({ vibe, arrived }) {
  const { returned } = vibe;
  const { group, tokensLeft } = await vibe.refresh();
  const error = returned?.error?.message ?? null;
  return { returned: returned && { ...returned, error }, group, tokensLeft, arrived, at: location.href };
}

// Ways back that end otherwise: the person has not agreed, the code is none, the state is another's.
export async function comeBackInVain({ plan, connect }) {
  const found = [];
  for (const query of ["state=1&error=access_denied", "state=1&code=none", "state=2&code=of-others"]) {
    const begun = { state: "1", verifier: "v".repeat(43), from: "?room=5" };
    sessionStorage.setItem(`${plan.server}/${plan.tenant}`, JSON.stringify(begun));
    history.replaceState(null, "", `?${query}`);
    const { returned } = await connect({ url: plan.server, tenant: plan.tenant });
    found.push([returned?.error.message ?? null, location.search]);
  }
  history.replaceState(null, "", location.pathname);
  return { found };
}

export async function bought({ vibe, heard }) {
  await until(() => vibe.balance !== null);
  return { heard, at: location.href, plan: (await vibe.billing()).plan };
}

export const who = async ({ vibe }) => vibe.me();

// What the client keeps, as it is kept.
function kept() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("vibe");
    opening.onerror = reject;
    opening.onsuccess = () => {
      const all = opening.result.transaction("users").objectStore("users").getAll();
      all.onsuccess = () => resolve(all.result);
      opening.result.close();
    };
  });
}

// By the operator, while the page is open; what the next five calls at once find.
export async function revoked({ vibe, plan, heard }) {
  const before = vibe.user;
  const { apiKey } = (await kept()).find(({ userId }) => userId === before.userId);
  const headers = { Authorization: `Bearer ${plan.adminToken}` };
  const address = `${plan.server}/${plan.tenant}/admin/keys/${apiKey}`;
  await fetch(address, { method: "DELETE", headers });
  const ends = await Promise.allSettled(Array.from({ length: 5 }, () => vibe.refresh()));
  const users = new Set(ends.map(({ value }) => value?.userId));
  const kinds = [...new Set(ends.map(({ reason }) => reason?.kind ?? null))];
  return { before, users: [...users], kinds, heard };
}

export async function signOut({ vibe, heard }) {
  const { apiKey } = (await kept()).find(({ userId }) => userId === vibe.user.userId);
  await vibe.signOut();
  const after = vibe.user;
  const address = `${vibe.openai().baseURL.slice(0, -3)}/balance`;
  const { status } = await fetch(address, { headers: { Authorization: `Bearer ${apiKey}` } });
  return { after, endedStatus: status, left: (await kept()).length, heard };
}

// A reply that is lost, once; how often it was asked for, and by which key.
export async function loseAReply({ vibe }) {
  const before = (await vibe.refresh()).tokensLeft;
  const { fetch } = globalThis;
  const keys = [];
  globalThis.fetch = async (...asked) => {
    const reply = await fetch(...asked);
    keys.push(asked[0].headers.get("idempotency-key"));
    if (keys.length === 1) throw new TypeError("The reply is lost");
    return reply;
  };
  const left = await vibe.charge(5);
  globalThis.fetch = fetch;
  return { before, left, keys, after: (await vibe.refresh()).tokensLeft };
}

// A tenant that wants a challenge solved, with and without.
export async function challenged({ plan, connect }) {
  const at = { url: plan.server, tenant: plan.challenged };
  const solve = async () => (await (await fetch(plan.tokens, { method: "POST" })).json()).token;
  const unsolved = await (await connect(at)).refresh().catch(({ kind, message }) => ({ kind, message }));
  const { userId } = await (await connect({ ...at, challenge: solve })).refresh();
  return { unsolved, userId };
}

// Charges while another server is restarted, until Python says that it was; then it is away, and back.
export async function outlive({ plan, connect }) {
  const vibe = await connect(plan.restarting);
  const before = (await vibe.refresh()).tokensLeft;
  await tell("charging");
  const charges = { made: 0, unknown: 0 };
  while (!(await hasSaid(plan.restarted)))
    await vibe.charge(1).then(() => charges.made++, () => charges.unknown++);
  const after = (await vibe.refresh()).tokensLeft;
  await tell("restarted");
  const { kind, status } = await until(() => vibe.refresh().then(() => null, (error) => error));
  await tell("away");
  const { userId } = await until(() => vibe.refresh().catch(() => null));
  return { taken: before - after, charges, kind, status, isSame: userId === vibe.user.userId };
}

const tell = (what) => fetch("/found", { method: "POST", body: JSON.stringify(what) });
const hasSaid = async (file) => (await fetch(file, { cache: "no-store" })).status === 200;
