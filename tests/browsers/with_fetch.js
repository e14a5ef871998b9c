// The cases of a page that uses no SDK.
import { OF_LIBRARIES } from "./reading.js";

async function asked({ url, tenant, key }, path, { method = "GET", body, ...headers } = {}) {
  const reply = await fetch(`${url}/${tenant}${path}`, {
    method,
    headers: { Authorization: `Bearer ${key}`, ...OF_LIBRARIES, ...headers },
    body: body && JSON.stringify(body),
  });
  return { status: reply.status, headers: Object.fromEntries(reply.headers), ...(await reply.json()) };
}

const charge = (settings, tokens, headers) =>
  asked(settings, "/charges", { method: "POST", body: { tokens }, ...headers });

async function logIn({ url, tenant }) {
  const reply = await fetch(`${url}/${tenant}/auth/anonymous`, { method: "POST" });
  return { status: reply.status, headers: Object.fromEntries(reply.headers), ...(await reply.json()) };
}

async function chargedTwice(settings) {
  const once = { "Idempotency-Key": "of-this-charge" };
  return [await charge(settings, 60, once), await charge(settings, 60, once)];
}

const withUser = (run) => async (settings) => {
  const { apiKey } = await logIn(settings);
  return run({ ...settings, key: apiKey });
};

export const login = logIn;
export const replayed = withUser(chargedTwice);
export const unpaid = withUser((settings) => charge(settings, 10 ** 9));
export const balance = withUser((settings) => asked(settings, "/balance"));
export const wrongMethod = (settings) => asked(settings, "/balance", { method: "DELETE" });
export const notServed = (settings) => asked(settings, "/none", { method: "POST", body: {} });
export const unknownTenant = (settings) => asked({ ...settings, tenant: "none" }, "/balance");
export const noTenant = (settings) => asked({ ...settings, tenant: {} }, "/balance|");
export const redisAway = (settings) => asked({ ...settings, ...settings.away }, "/balance");
export const config = (settings) => asked({ ...settings, key: settings.adminToken }, "/admin/config");

// A page whose origin the tenant does not list learns nothing but that it failed.
async function failure(promise) {
  try {
    return await promise;
  } catch (error) {
    return error.name;
  }
}

export const foreignLogin = (settings) => failure(logIn({ ...settings, ...settings.foreign }));
export const foreignBalance = (settings) =>
  failure(asked({ ...settings, ...settings.foreign }, "/balance"));

// README's page, with its URL; what it prints.
export async function readme(settings) {
  const printed = [];
  const { log } = console;
  console.log = (...words) => printed.push(words);
  try {
    await import(settings.readme);
  } finally {
    console.log = log;
  }
  return printed;
}
