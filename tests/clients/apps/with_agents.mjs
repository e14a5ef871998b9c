// OpenAI's Agents SDK.
import OpenAI from "openai";
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool as asTool } from "@openai/agents";
import { z } from "zod";
import { WEATHER, degreesIn, gather, run } from "./acting.mjs";

// Its traces go to OpenAI itself, with the key.
setTracingDisabled(true);

const Weather = z.object({ city: z.string(), degrees: z.number() });
const weather = asTool({
  name: "weather", description: WEATHER, parameters: z.object({ city: z.string() }),
  execute: async (input) => degreesIn(input),
});

function ask({ url, key, model }, prompt, settings, options) {
  const openAIClient = new OpenAI({ baseURL: url, apiKey: key });
  const runner = new Runner({ modelProvider: new OpenAIProvider({ openAIClient }) });
  return runner.run(new Agent({ name: "App", model, ...settings }), prompt, options);
}

const text = async (call, prompt) => (await ask(call, prompt)).finalOutput;

async function stream(call, prompt) {
  const events = await ask(call, prompt, {}, { stream: true });
  const said = await gather(events.toTextStream());
  await events.completed;
  return said;
}

const tool = async (call, prompt) => (await ask(call, prompt, { tools: [weather] })).finalOutput;
const schema = async (call, prompt) => (
  (await ask(call, prompt, { outputType: Weather })).finalOutput
);

await run({ text, stream, tool, schema });
