// What an app does with the types that openapi-typescript makes: node client.js <URL> <tenant>.
// Prints {models, ofAnthropic, left, unpaid, invalid, nowhere, unpaidCall}.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };
type Refusal = components["schemas"]["Error"];
type Models = components["schemas"]["Models"];

function given<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the other kind of reply");
  return value;
}

const [, , baseUrl = "", tenantId = ""] = process.argv;
const path = { tenantId };
const anonymous = createClient<paths>({ baseUrl });
const login = await anonymous.POST("/{tenantId}/auth/anonymous", { params: { path } });
const headers = { Authorization: `Bearer ${given(login.data).apiKey}` };
const client = createClient<paths>({ baseUrl, headers });

async function models(header: { "anthropic-version"?: string }): Promise<Models> {
  const reply = await client.GET("/{tenantId}/v1/models", { params: { path, header } });
  return given(reply.data);
}

const charge = (tokens: number, tenantId: string) =>
  client.POST("/{tenantId}/charges", { params: { path: { tenantId } }, body: { tokens } });

const call = (content: string, tenantId: string) =>
  client.POST("/{tenantId}/v1/chat/completions", {
    params: { path: { tenantId } },
    body: { messages: [{ role: "user", content }] },
  });

const ids = (list: Models) => list.data.map((model) => model.id);
const found = {
  models: ids(await models({})),
  ofAnthropic: ids(await models({ "anthropic-version": "2023-06-01" })),
  left: given((await charge(60, tenantId)).data).tokensLeft,
};
const unpaid: Refusal = given((await charge(60, tenantId)).error);
const invalid: Refusal = given((await charge(-1, tenantId)).error);
const nowhere = given((await call("Hello", "nobody")).error);
const unpaidCall = given((await call("long ".repeat(100), tenantId)).error);
if (typeof unpaidCall.error === "string") throw new Error("not in the shape of the SDK");
// @ts-expect-error: what the document does not have does not compile.
unpaid.tokens;
console.log(
  JSON.stringify({ ...found, unpaid, invalid, nowhere, unpaidCall: unpaidCall.error.code }),
);
