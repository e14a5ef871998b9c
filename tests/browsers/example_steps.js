// What a person does on the page of docs/example, with what it shows alone.
const SECONDS = 100; // that another tab may take for all it does
const element = (id) => document.getElementById(id);
const tokens = () => Number(element("balance").value);
const said = (by) => [...element("chat").querySelectorAll(`.${by}`)].map((one) => one.textContent);
const told = () => element("notice").firstChild?.textContent ?? "";

async function until(condition) {
  const deadline = Date.now() + SECONDS * 1000;
  while (Date.now() < deadline) {
    const found = await condition();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`not in time: ${condition}`);
}

function seen() {
  const [who, question] = [element("who").textContent, element("question").value];
  const chat = { user: said("user"), assistant: said("assistant") };
  return { who, tokens: tokens(), ...chat, told: told(), question };
}

function press(label) {
  const all = [...document.querySelectorAll("button")].filter(({ offsetParent }) => offsetParent);
  const found = all.find((one) => (one.ariaLabel ?? one.textContent).startsWith(label));
  if (!found) throw new Error(`no button "${label}": ${all.map((one) => one.textContent)}`);
  found.click();
}

function ask(question) {
  element("question").value = question;
  press("Send");
}

function isAtEnd() {
  const { scrollHeight } = document.documentElement;
  return scrollHeight > innerHeight && scrollHeight - innerHeight - scrollY < 2;
}

const isAnswered = () => !element("send").disabled;
const isKnown = (who) => until(() => element("who").textContent === who && tokens() > 0);
// Seen before, so that it is not the balance of before.
const hasChanged = (before) => until(() => tokens() !== before);

// On the pages of the double of Stripe what is to be pressed is said by the fragment.
const { fetch } = globalThis;
let isLimited = false;
globalThis.fetch = async (...asked) => {
  if (isLimited && asked[0].url?.endsWith("/chat/completions")) {
    isLimited = false;
    const body = { error: { message: "Too Many Requests" } };
    return Response.json(body, { status: 429, headers: { "retry-after": "20" } });
  }
  const reply = await fetch(...asked);
  if (!/\/billing\/checkout$/.test(reply.url) || !reply.ok) return reply;
  const { url } = await reply.json();
  return Response.json({ url: `${url}#pay` }, reply);
};

// In both schemes, and as narrow as a small phone.
async function axe() {
  const violations = [];
  for (const scheme of ["light", "dark"]) {
    document.documentElement.style.colorScheme = scheme;
    const found = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    for (const { id, nodes } of found.violations)
      violations.push([scheme, id, ...nodes.map((node) => node.html + node.failureSummary)]);
  }
  document.documentElement.style.colorScheme = "";
  return violations;
}

async function onAPhone() {
  const frame = document.createElement("iframe");
  frame.style.cssText = "width: 360px; height: 740px; border: 0";
  frame.src = "/";
  document.body.append(frame);
  await until(() => Number(frame.contentDocument?.getElementById("balance")?.value) > 0);
  await until(() => !frame.contentDocument.getElementById("shop").hidden);
  frame.contentDocument.getElementById("shop").open = true;
  const { scrollWidth } = frame.contentDocument.documentElement;
  frame.remove();
  return scrollWidth;
}

async function stored() {
  const opening = indexedDB.open("vibe");
  await new Promise((resolve) => (opening.onsuccess = resolve));
  const all = opening.result.transaction("users").objectStore("users").getAll();
  await new Promise((resolve) => (all.onsuccess = resolve));
  opening.result.close();
  return all.result[0];
}

// At once: this tab may be behind another, where timers are late.
const written = (condition) =>
  new Promise((resolve) => {
    const observer = new MutationObserver(() => condition() && resolve());
    observer.observe(element("chat"), { childList: true, subtree: true, characterData: true });
  });

// The server says what the page shows, and no call is under way.
async function isTrue({ server }) {
  const { apiKey } = await stored();
  const headers = { Authorization: `Bearer ${apiKey}` };
  await until(async () => {
    const reply = await fetch(`${server}/demo/balance`, { headers });
    const { tokensLeft, tokensHeld } = await reply.json();
    return !tokensHeld && tokensLeft === tokens();
  });
}

const tell = (by, what) => fetch(`/told/${by}`, { method: "POST", body: JSON.stringify(what) });
const until_done = (what) => until(async () => (await fetch(`/done/${what}`)).json());

export const STEPS = {
  async arrive({ other }) {
    if (other) window.open(other, "_blank", "noopener");
    await isKnown("New here");
    await until(() => !element("shop").hidden);
    return { ...seen(), width: await onAPhone(), violations: await axe() };
  },
  async chat() {
    const before = tokens();
    ask("What is a double?");
    await until(isAnswered);
    await hasChanged(before);
    return { before, ...seen() };
  },
  async stop() {
    const asked = said("assistant").length;
    ask("And then?");
    await written(() => said("assistant")[asked]?.length > 5);
    press("Stop");
    await until(isAnswered);
    return seen();
  },
  async chatUntil402() {
    while (!told()) {
      const before = tokens();
      ask("And what is it for?");
      await until(isAnswered);
      await until(() => told() || tokens() !== before);
    }
    return { ...seen(), violations: await axe() };
  },
  // In a tab that is seen: elsewhere browsers lay out nothing.
  async end() {
    await until(isAtEnd);
    return seen();
  },
  // Once, as if by the server.
  async limited() {
    isLimited = true;
    ask("Too much?");
    await until(told);
    const words = told();
    press("Try again");
    await until(() => isAnswered() && !told());
    return { words, ...seen() };
  },
  google: () => press("Sign in with Google"),
  apple: () => press("Sign in with Apple"),
  async back({ person }) {
    await isKnown(person ?? "Ada Lovelace");
    return seen();
  },
  async look({ by, server }) {
    await isTrue({ server });
    await tell(by, seen());
    await until_done(`looked-${by}`);
    return seen();
  },
  async buyPack() {
    await until(() => !element("shop").hidden);
    element("shop").open = true;
    press("Buy 5,000");
  },
  async bought({ pack }) {
    await isKnown("Ada Lovelace");
    await until(() => tokens() >= pack);
    return seen();
  },
  async talk() {
    const before = tokens();
    press("Talk");
    await until(() => /speaking|Answering/.test(element("voice").textContent));
    press("Mute"); // who has spoken is silent
    await until(() => said("assistant").some((text) => text.includes("it hears when you stop")));
    await hasChanged(before);
    const violations = await axe();
    press("Stop talking");
    return { before, ...seen(), violations };
  },
  // The server is ended and started by who reads this.
  async outlive({ by }) {
    await tell(by, "away?");
    await until_done("away");
    ask("Is anybody there?");
    await until(told);
    const away = { ...seen(), violations: await axe() };
    await tell(by, "back?");
    await until_done("back");
    press("Try again");
    await until(() => isAnswered() && !told());
    return { away, ...seen() };
  },
  async offline() {
    dispatchEvent(new Event("offline"));
    const words = told();
    dispatchEvent(new Event("online"));
    await until(() => !told());
    return { words, ...seen() };
  },
  async revoked({ server, adminToken }) {
    await isTrue({ server });
    const headers = { Authorization: `Bearer ${adminToken}` };
    const { apiKey } = await stored();
    await fetch(`${server}/demo/admin/keys/${apiKey}`, { method: "DELETE", headers });
    ask("Is it still me?");
    await until(told);
    return { ...seen(), violations: await axe() };
  },
  async goOnAnew() {
    press("Go on as somebody new");
    await isKnown("New here");
    return seen();
  },
  async signOut() {
    press("Sign out");
    await isKnown("New here");
    return seen();
  },
  // Of another tab, which does nothing: what it shows of what the first one does.
  async watch({ pack }) {
    const shown = [];
    for (const who of ["New here", "Ada Lovelace"]) {
      await isKnown(who);
      shown.push(seen());
    }
    await until(() => tokens() >= pack);
    shown.push(seen());
    await isKnown("New here");
    return { shown, ...seen() };
  },
};
