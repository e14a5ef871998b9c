// The cases of Anthropic's SDK.
import Anthropic from "@anthropic-ai/sdk";
import { OF_LIBRARIES, refusal, refusals, said, spent } from "./reading.js";

function client({ url, tenant, key }, others = {}) {
  return new Anthropic({
    baseURL: `${url}/${tenant}`,
    apiKey: key,
    defaultHeaders: { ...OF_LIBRARIES, "anthropic-beta": "context-1m-2025-08-07" },
    dangerouslyAllowBrowser: true,
    maxRetries: 0,
    ...others,
  });
}

const asked = (content = "Hello", others = {}) => ({
  model: "",
  max_tokens: 100,
  messages: said(content),
  ...others,
});

const create = (api, content) => api.messages.create(asked(content));

export async function models(settings) {
  const list = await client(settings).models.list();
  return list.data.map((model) => model.id);
}

export async function whole(settings) {
  const { data, response, request_id } = await create(client(settings)).withResponse();
  return { text: data.content[0].text, requestId: request_id, ...spent(response) };
}

export async function streamed(settings) {
  const stream = client(settings).messages.stream(asked());
  const { content, usage } = await stream.finalMessage();
  const tokens = usage.input_tokens + usage.output_tokens;
  return { text: content[0].text, requestId: stream.request_id, tokens };
}

export async function aborted(settings) {
  const others = { stream: true, max_tokens: 10_000 };
  const stream = await client(settings).messages.create(asked(settings.endless, others));
  let events = 0;
  for await (const _ of stream) {
    if (++events === 5) stream.controller.abort();
  }
  return events;
}

export const { wrongKey, unpaid, limited, noModel, unknownTenant, redisAway } = refusals(
  (settings, ...text) => create(client(settings), ...text),
);
export const notServed = (settings) =>
  refusal(client(settings).messages.batches.list());
export const listedOrigin = (settings) => models({ ...settings, ...settings.listed });
