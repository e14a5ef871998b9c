// Types of client.js, for TypeScript and for people.

/** The tenant's client, once a sign-in that the page came back from is done. Makes no user yet: the
 * first request does, one for all tabs. Rejects where there is no https, nor localhost. */
export function connect(options: Options): Promise<Vibe>;

export interface Options {
  /** The server's address; by default where this module came from. */
  url?: string;
  tenant: string;
  /** The token of a challenge that was solved (Turnstile, hCaptcha, reCAPTCHA), for a tenant that
   * wants one of new users. Asked for at each login; it must not use this client. */
  challenge?: () => string | Promise<string>;
}

/** `limit`: 429, later again (`retryAfter`). `offline`: no answer that the page may
 * read (`allowed_origins`). `payment`: 402, the balance does not cover it. `refused`: asking again
 * is of no use. `sign-in`: the person has to sign in (again). `unavailable`: the server, or who it
 * asks, cannot now. */
export type Kind = "limit" | "offline" | "payment" | "refused" | "sign-in" | "unavailable";

export interface Details {
  body: any;
  tokensLeft: number | null;
  retryAfter: number | null;
  cause: unknown;
}

export class VibeError extends Error {
  constructor(status: number, message: string, details?: Partial<Details>);
  readonly kind: Kind;
  /** 0 without an answer. */
  readonly status: number;
  /** The balance, where the answer says it. */
  readonly tokensLeft: number | null;
  /** Seconds to wait, where the answer says it. */
  readonly retryAfter: number | null;
  /** What the server said: `{"error": ...}`, with `details` of each fault at 422. */
  readonly body: any;
}

export interface User {
  userId: string;
  /** False: anonymous, and lost with the browser's data. */
  signedIn: boolean;
}

/** How the sign-in ended that the page came back from. */
export interface Returned {
  /** Null: the person is signed in, and what follows is there. */
  error: Error | null;
  /** The account is new. */
  created?: boolean;
  /** The anonymous user is the account now. */
  linked?: boolean;
  /** An anonymous user that goes on beside the account, with its own balance. */
  previousUserId?: string | null;
  profile?: { email: string | null; emailVerified: boolean; name: string | null };
}

export interface Balance {
  userId: string;
  group: string;
  tokensLeft: number;
  tokensExtra: number;
  tokensHeld: number;
  tokensUsed: number;
  rateLimit: number;
  rateLimitWindow: number;
  rateRemaining: number;
  createdAt: string;
  expiresAt: string | null;
}

export interface Me {
  userId: string;
  group: string;
  identities: { provider: "google" | "apple"; linkedAt: string }[];
  email: string | null;
  name: string | null;
  keys: number;
}

export interface Billing {
  plan: string | null;
  status: string | null;
  periodEnd: string | null;
  cancelAtPeriodEnd: boolean;
  plans: { name: string; tokens: number }[];
  packs: { name: string; tokens: number }[];
}

/** Of a restricted key. */
export interface Limits {
  tokens: number;
  /** Seconds; by default 3,600. */
  expiresIn?: number;
  models?: string[];
  prompts?: string[];
  origins?: string[];
}

export interface RestrictedKey {
  apiKey: string;
  keyId: string;
  tokens: number;
  expiresAt: string;
}

/** For the constructors of `openai` and `@anthropic-ai/sdk`. The user's key is put in by `fetch`, so
 * that one client serves whoever is the user. */
export interface SdkOptions {
  baseURL: string;
  apiKey: string;
  dangerouslyAllowBrowser: boolean;
  fetch: typeof globalThis.fetch;
}

export interface Voice {
  /** `new WebSocket(url, protocols)`, or `url` and `secret` for an SDK. */
  url: string;
  protocols: string[];
  /** Opens sessions for ten minutes, and nothing else. */
  secret: string;
}

export interface Events {
  /** The balance has changed, here or in another tab. */
  balance: CustomEvent<number>;
  /** There is a new user, it has signed in, or (null) signed out, here or in another tab. */
  user: CustomEvent<User | null>;
  /** A request was answered 401, 402 or 429, also one of an SDK. Of 401 a user is told that can only
   * sign in again: to others a new login was given before. */
  refused: CustomEvent<VibeError>;
}

/** Its methods reject with a VibeError, unless they say otherwise. Those that reach nobody, or a
 * server that cannot now, are sent up to four times, within four seconds, with one Idempotency-Key
 * where they take tokens. */
export interface Vibe extends EventTarget {
  /** Null until there is one. */
  readonly user: User | null;
  /** As last heard, with what running calls hold; null until then. `refresh` asks. */
  readonly balance: number | null;
  /** Null unless the page has just come back from a sign-in. */
  readonly returned: Returned | null;

  /** `window.fetch` for addresses of the tenant, with the user's key. Repeats nothing, but with a
   * new login once after a 401 of an anonymous user. Rejects as `window.fetch` does. */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** Any route of the tenant's: `call("POST", "/holds", { tokens: 50 })`. The reply's JSON; of a
   * stream the Response, to be read. */
  call(method: string, path: string, body?: object): Promise<any>;

  /** The balance with all that belongs to it. */
  refresh(): Promise<Balance>;
  me(): Promise<Me>;
  /** Takes tokens; what is left. */
  charge(tokens: number): Promise<number>;

  /** Leaves the page for Google's or Apple's. `redirectUri`, by default this page without query, is
   * one of the tenant's `auth.redirect_uris`; the query comes back, too. */
  signIn(provider: "google" | "apple", options?: { redirectUri?: string }): Promise<void>;
  /** The next request makes a new user. One who has not signed in loses the balance: ask before.
   * `everywhere`: on all devices. */
  signOut(options?: { everywhere?: boolean }): Promise<void>;

  /** What the user has bought, and can. */
  billing(): Promise<Billing>;
  /** Leaves the page for Stripe's, for a user who is signed in. `returnUrl`, by default this page
   * without query, is one of the tenant's `auth.redirect_uris`. */
  buy(what: { plan: string } | { pack: string }, options?: { returnUrl?: string }): Promise<void>;
  /** Likewise, to change or cancel a plan. Within an hour of the sign-in. */
  manage(options?: { returnUrl?: string }): Promise<void>;

  openai(): SdkOptions;
  anthropic(): SdkOptions;
  /** For a session of OpenAI's Realtime protocol; `session` is what it begins with. */
  voice(session?: { model?: string; [member: string]: unknown }): Promise<Voice>;
  /** A key that can spend so much of the balance, for a link or an agent. */
  restrictedKey(limits: Limits): Promise<RestrictedKey>;

  addEventListener<K extends keyof Events>(
    type: K,
    listener: (event: Events[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}
