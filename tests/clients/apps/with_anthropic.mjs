// Anthropic's SDK.
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import { WEATHER, degreesIn, run } from "./acting.mjs";

const Weather = z.object({ city: z.string(), degrees: z.number() });
const tools = [{
  name: "weather", description: WEATHER,
  input_schema: { type: "object", properties: { city: { type: "string" } } },
}];

const messagesOf = ({ baseURL, key }) => new Anthropic({ baseURL, apiKey: key }).messages;
const user = (content) => ({ role: "user", content });
const asked = (call, ...messages) => ({ model: call.model, max_tokens: 200, messages });

async function text(call, prompt) {
  return (await messagesOf(call).create(asked(call, user(prompt)))).content[0].text;
}

async function stream(call, prompt) {
  return await messagesOf(call).stream(asked(call, user(prompt))).finalText();
}

async function tool(call, prompt) {
  const question = user(prompt);
  const { content } = await messagesOf(call).create({ ...asked(call, question), tools });
  const results = content.filter((block) => block.type === "tool_use").map((block) => (
    { type: "tool_result", tool_use_id: block.id, content: degreesIn(block.input) }
  ));
  const turns = [question, { role: "assistant", content }, user(results)];
  return (await messagesOf(call).create({ ...asked(call, ...turns), tools })).content[0].text;
}

async function schema(call, prompt) {
  const output_config = { format: zodOutputFormat(Weather) };
  return (await messagesOf(call).parse({ ...asked(call, user(prompt)), output_config })).parsed_output;
}

await run({ text, stream, tool, schema });
