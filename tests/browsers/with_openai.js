// The cases of OpenAI's SDK.
import OpenAI from "openai";
import { OF_LIBRARIES, refusal, refusals, said, spent } from "./reading.js";

function client({ url, tenant, key }, others = {}) {
  return new OpenAI({
    baseURL: `${url}/${tenant}/v1`,
    apiKey: key,
    organization: "org-of-the-app",
    project: "proj-of-the-app",
    defaultHeaders: OF_LIBRARIES,
    dangerouslyAllowBrowser: true,
    maxRetries: 0,
    ...others,
  });
}

const create = (api, content = "Hello", options = {}) =>
  api.chat.completions.create({ model: "", messages: said(content), ...options });

export async function models(settings) {
  const list = await client(settings).models.list();
  return list.data.map((model) => model.id);
}

export async function whole(settings) {
  const { data, response, request_id } = await create(client(settings)).withResponse();
  return { text: data.choices[0].message.content, requestId: request_id, ...spent(response) };
}

export async function streamed(settings) {
  const options = { stream: true, stream_options: { include_usage: true } };
  const asked = create(client(settings), "Hello", options);
  const { data, request_id } = await asked.withResponse();
  let text = "", usage;
  for await (const chunk of data) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  return { text, requestId: request_id, tokens: usage.total_tokens };
}

export async function aborted(settings) {
  const stream = await create(client(settings), settings.endless, { stream: true });
  let chunks = 0;
  for await (const _ of stream) {
    if (++chunks === 5) stream.controller.abort();
  }
  return chunks;
}

export const { wrongKey, unpaid, limited, noModel, unknownTenant, redisAway } = refusals(
  (settings, ...text) => create(client(settings), ...text),
);
export const notServed = (settings) =>
  refusal(client(settings).responses.create({ model: "m", input: "Hello" }));
export const listedOrigin = (settings) => models({ ...settings, ...settings.listed });
