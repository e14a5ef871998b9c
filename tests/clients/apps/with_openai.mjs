// OpenAI's SDK, with responses.
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { WEATHER, degreesIn, run } from "./acting.mjs";

const Weather = z.object({ city: z.string(), degrees: z.number() });
const tools = [{
  type: "function", name: "weather", description: WEATHER, strict: false,
  parameters: { type: "object", properties: { city: { type: "string" } } },
}];

const responses = ({ url, key }) => new OpenAI({ baseURL: url, apiKey: key }).responses;

async function text(call, input) {
  return (await responses(call).create({ model: call.model, input })).output_text;
}

async function stream(call, input) {
  let said = "";
  for await (const event of await responses(call).create({ model: call.model, input, stream: true })) {
    if (event.type === "response.output_text.delta") said += event.delta;
  }
  return said;
}

async function tool(call, prompt) {
  const input = [{ role: "user", content: prompt }];
  const { output } = await responses(call).create({ model: call.model, input, tools });
  input.push(...output);
  for (const item of output.filter((one) => one.type === "function_call")) {
    const said = degreesIn(JSON.parse(item.arguments));
    input.push({ type: "function_call_output", call_id: item.call_id, output: said });
  }
  return (await responses(call).create({ model: call.model, input, tools })).output_text;
}

async function schema(call, input) {
  const format = zodTextFormat(Weather, "weather");
  const answer = await responses(call).parse({ model: call.model, input, text: { format } });
  return answer.output_parsed;
}

await run({ text, stream, tool, schema });
