// OpenAI's Agents SDK.
import OpenAI from "openai";
import { Agent, run as ask, setDefaultOpenAIClient, setTracingDisabled, tool as asTool } from "@openai/agents";
import { z } from "zod";
import { WEATHER, degreesIn, gather, run } from "./acting.mjs";

// Its traces go to OpenAI itself, with the key.
setTracingDisabled(true);

const Weather = z.object({ city: z.string(), degrees: z.number() });
const weather = asTool({
  name: "weather", description: WEATHER, parameters: z.object({ city: z.string() }),
  execute: async (input) => degreesIn(input),
});

function agent({ url, key, model }, settings) {
  setDefaultOpenAIClient(new OpenAI({ baseURL: url, apiKey: key }));
  return new Agent({ name: "App", model, ...settings });
}

const text = async (call, prompt) => (await ask(agent(call), prompt)).finalOutput;

async function stream(call, prompt) {
  const events = await ask(agent(call), prompt, { stream: true });
  const said = await gather(events.toTextStream());
  await events.completed;
  return said;
}

const tool = async (call, prompt) => (await ask(agent(call, { tools: [weather] }), prompt)).finalOutput;
const schema = async (call, prompt) => (await ask(agent(call, { outputType: Weather }), prompt)).finalOutput;

await run({ text, stream, tool, schema });
