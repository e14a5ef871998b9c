// For pages: the users of a tenant, what tokens they have, and what they spend them on, as in
// `const vibe = await connect({ tenant: "abc" })`. client.d.ts says what each member does.
/** @import * as Types from "./client.d.ts" */

const ATTEMPTS = 4;
const LONGEST_WAIT = 5; // seconds
// What may be sent again: it honours an Idempotency-Key, or twice is no more than once.
const REPEATABLE = /^\/(charges|holds|billing|auth)\b/;

/** @type {Record<number, Types.Kind>} */
const KINDS = { 0: "offline", 401: "sign-in", 402: "payment", 429: "limit" };

export class VibeError extends Error {
  name = "VibeError";

  /** @param {number} status @param {string} message @param {Partial<Types.Details>} [details] */
  constructor(status, message, { body, tokensLeft = null, retryAfter = null, cause } = {}) {
    super(message, { cause });
    const kind = status >= 500 ? "unavailable" : KINDS[status] ?? "refused";
    this.kind = /login required$/i.test(message) ? "sign-in" : kind;
    this.status = status;
    this.tokensLeft = tokensLeft;
    this.retryAfter = retryAfter;
    this.body = body;
  }
}

/** @type {typeof Types.connect} */
export async function connect({ url = new URL(".", import.meta.url).href, tenant, challenge }) {
  if (!navigator.locks) throw new Error("It needs https, or localhost");
  const base = new URL(`${url.replace(/\/+$/, "")}/${tenant}`, location.href).href;
  const vibe = new Vibe(base, challenge);
  await vibe.begin();
  return vibe;
}

/** @implements {Types.Vibe} */
class Vibe extends EventTarget {
  /** @type {Types.User | null} */
  user = null;
  /** @type {number | null} */
  balance = null;
  /** @type {Types.Returned | null} */
  returned = null;
  #base;
  #challenge;
  #tabs;

  constructor(base, challenge) {
    super();
    this.#base = base;
    this.#challenge = challenge;
    this.#tabs = new BroadcastChannel(base);
    this.#tabs.onmessage = async ({ data }) => {
      await this.#load();
      this.#show(data.userId, data.balance);
    };
  }

  async begin() {
    const left = JSON.parse(sessionStorage.getItem(this.#base) ?? "{}"); // this tab, and for what
    sessionStorage.removeItem(this.#base);
    const answer = new URLSearchParams(location.search);
    if (left.state === answer.get("state")) await this.#comeBack(left, answer);
    const user = await this.#load();
    if (!left.toPay || !user) return;
    // It takes a while, or comes too soon after the last time.
    const asked = this.#as(user, "/billing/sync").catch(() => {});
    asked.then(this.refresh).catch(() => {});
  }

  // Requests

  /** @type {typeof globalThis.fetch} */
  fetch = async (input, init) => {
    const request = new Request(input, init);
    // Where the key is nobody's business.
    if (!request.url.startsWith(`${this.#base}/`)) throw new Error(`${request.url} is elsewhere`);
    request.headers.delete("x-api-key"); // of an SDK; it would count
    const send = ({ apiKey }) => {
      request.headers.set("authorization", `Bearer ${apiKey}`);
      return fetch(request.clone());
    };
    const user = (await this.#load()) ?? (await this.#logIn());
    const reply = await send(user);
    if (reply.status !== 401) return this.#notice(user, reply);
    const other = await this.#logIn(user);
    return this.#notice(other, other.apiKey === user.apiKey ? reply : await send(other));
  };

  call(method, path, body) {
    const headers = { "idempotency-key": crypto.randomUUID() };
    const ask = () => this.#ask(method, path, body, headers);
    return method !== "POST" || REPEATABLE.test(path) ? repeated(ask) : ask();
  }

  async #ask(method, path, body, headers, send = this.fetch) {
    let reply;
    try {
      const init = { method, headers, body: body && JSON.stringify(body) };
      reply = await send(this.#base + path, init);
      if (reply.status === 204) return undefined;
      if (reply.ok) return isStream(reply) ? reply : await reply.json();
    } catch (error) {
      const isLost = error instanceof TypeError;
      throw isLost ? new VibeError(0, "The server cannot be reached", { cause: error }) : error;
    }
    throw refusal(reply, await heard(reply));
  }

  async #notice(user, reply) {
    if (isStream(reply)) return this.#followed(user, reply);
    const said = await heard(reply.clone());
    const held = said.body.tokensHeld ?? 0; // is not spent yet
    if (said.tokensLeft !== null) this.#learn(user, said.tokensLeft + held);
    if ([401, 402, 429].includes(reply.status)) this.#tell("refused", refusal(reply, said));
    return reply;
  }

  /** What is left is known at the end, also where the page wants no more of it. */
  #followed(user, reply) {
    const { readable, writable } = new TransformStream();
    const ended = reply.body.pipeTo(writable).catch(() => {});
    ended.then(() => this.#look(user)).catch(() => {});
    return new Response(readable, reply);
  }

  async #look({ userId }) {
    for (let looks = 0; looks < 5 && this.user?.userId === userId; looks++) {
      if (!(await this.refresh()).tokensHeld) return;
      await pause(1); // a call that was left is about to end at the server
    }
  }

  // Users: there is one for all tabs, in IndexedDB, where each request looks: no tab is late.

  async #load() {
    const user = await stored("readonly", (users) => users.get(this.#base));
    this.#see(user);
    return user;
  }

  async #keep(user) {
    const { apiKey, userId, signedIn } = user;
    await stored("readwrite", (users) => users.put({ apiKey, userId, signedIn }, this.#base));
    this.#see(user);
    this.#learn(user, user.tokensLeft);
    return user;
  }

  /** The browser's user; a new one if there is none, or if this one was refused and has no other
   * way back. Who has signed in can do that again, and is not made somebody else unasked. */
  #logIn(refused) {
    return navigator.locks.request(this.#base, async () => {
      const user = await this.#load(); // another tab may have been faster
      if (refused?.signedIn) return user ?? refused;
      if (user && (user.signedIn || user.apiKey !== refused?.apiKey)) return user;
      const body = this.#challenge && { challenge: await this.#challenge() };
      const login = await this.#ask("POST", "/auth/anonymous", body, {}, fetch);
      return this.#keep({ ...login, signedIn: false });
    });
  }

  async signIn(provider, { redirectUri = here() } = {}) {
    const state = crypto.randomUUID(), verifier = crypto.randomUUID() + crypto.randomUUID();
    const bytes = new TextEncoder().encode(verifier);
    const codeChallenge = base64url(await crypto.subtle.digest("SHA-256", bytes));
    const query = new URLSearchParams({ redirectUri, codeChallenge, state });
    const from = location.search + location.hash;
    this.#leave(`${this.#base}/auth/${provider}/start?${query}`, { state, verifier, from });
  }

  #leave(url, left) {
    sessionStorage.setItem(this.#base, JSON.stringify(left));
    location.assign(url);
  }

  async #comeBack({ from, verifier }, answer) {
    history.replaceState(history.state, "", location.pathname + from);
    try {
      const why = answer.get("error");
      if (why) throw new VibeError(403, `Not signed in: ${why}`);
      const body = { code: answer.get("code"), codeVerifier: verifier };
      const { apiKey, ...login } = await navigator.locks.request(this.#base, async () => {
        const user = await this.#load(); // who becomes the account, if that is new
        const found = await this.#as(user, "/auth/exchange", body);
        return this.#keep({ ...found, signedIn: true });
      });
      this.returned = { error: null, ...login };
    } catch (error) {
      this.returned = { error };
    }
  }

  async signOut({ everywhere = false } = {}) {
    await navigator.locks.request(this.#base, async () => {
      const user = await this.#load();
      if (!user) return;
      await this.#as(user, "/auth/logout", { everywhere }).catch((error) => {
        if (error.status !== 401) throw error; // else it has ended before
      });
      await stored("readwrite", (users) => users.delete(this.#base));
      this.#see();
      this.#tabs.postMessage({});
    });
  }

  /** By this user or nobody, and told to no listener. */
  #as(user, path, body) {
    const headers = user ? { authorization: `Bearer ${user.apiKey}` } : {};
    return repeated(() => this.#ask("POST", path, body, headers, fetch));
  }

  // What a user has and does

  refresh = () => this.call("GET", "/balance");
  me = () => this.call("GET", "/auth/me");
  billing = () => this.call("GET", "/billing");

  charge = async (tokens) => (await this.call("POST", "/charges", { tokens })).tokensLeft;
  restrictedKey = (limits) => this.call("POST", "/keys", limits);
  buy = (what, { returnUrl = here() } = {}) => this.#pay("checkout", { ...what, returnUrl });
  manage = ({ returnUrl = here() } = {}) => this.#pay("portal", { returnUrl });

  async #pay(page, body) {
    const { url } = await this.call("POST", `/billing/${page}`, body);
    this.#leave(url, { toPay: true });
  }

  #sdk = { apiKey: "in fetch", dangerouslyAllowBrowser: true, fetch: this.fetch };
  openai = () => ({ ...this.#sdk, baseURL: `${this.#base}/v1` });
  anthropic = () => ({ ...this.#sdk, baseURL: this.#base });

  async voice(session = {}) {
    const body = { session: { type: "realtime", ...session } };
    const { value: secret } = await this.call("POST", "/v1/realtime/client_secrets", body);
    const url = `${this.#base.replace("http", "ws")}/v1/realtime`;
    return { url, secret, protocols: ["realtime", `openai-insecure-api-key.${secret}`] };
  }

  // What listeners are told

  #see(user) {
    const { userId, signedIn } = user ?? {}, known = this.user;
    if (known?.userId === userId && known?.signedIn === signedIn) return;
    if (known?.userId !== userId) this.balance = null;
    this.user = userId ? { userId, signedIn } : null;
    this.#tell("user", this.user);
  }

  #learn({ userId }, balance) {
    this.#show(userId, balance);
    this.#tabs.postMessage({ userId, balance });
  }

  #show(userId, balance) {
    // A reply can be late, and to who was the user before.
    if (userId !== this.user?.userId || balance === undefined || balance === this.balance) return;
    this.balance = balance;
    this.#tell("balance", balance);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

async function heard(reply) {
  const body = (await reply.json().catch(() => null)) ?? {}, { headers } = reply;
  const number = (name) => (headers.has(name) ? Number(headers.get(name)) : null);
  const tokensLeft = body.tokensLeft ?? number("x-tokens-left");
  return { body, tokensLeft, retryAfter: number("retry-after") };
}

function refusal({ status }, said) {
  const { error } = said.body;
  return new VibeError(status, error?.message ?? error ?? `Status ${status}`, said);
}

async function repeated(ask) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      const mayPass = error.kind === "offline" || error.kind === "unavailable";
      const wait = error.retryAfter ?? 2 ** attempt / 4;
      if (!mayPass || attempt === ATTEMPTS || wait > LONGEST_WAIT) throw error;
      await pause(wait);
    }
  }
}

function stored(mode, use) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("vibe");
    opening.onupgradeneeded = () => opening.result.createObjectStore("users");
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction("users", mode);
      const request = use(transaction.objectStore("users"));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
      opening.result.close(); // when that is done
    };
  });
}

const isStream = (reply) => /^text\/event-stream/.test(reply.headers.get("content-type"));
const here = () => location.origin + location.pathname;
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
