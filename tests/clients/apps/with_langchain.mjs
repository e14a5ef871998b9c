// LangChain.
import { ChatOpenAI } from "@langchain/openai";
import { tool as asTool } from "@langchain/core/tools";
import { z } from "zod";
import { WEATHER, degreesIn, run } from "./acting.mjs";

const Weather = z.object({ city: z.string(), degrees: z.number() });
const settings = { name: "weather", description: WEATHER, schema: z.object({ city: z.string() }) };
const weather = asTool(degreesIn, settings);

const client = ({ url, key, model }) => (
  new ChatOpenAI({ model, apiKey: key, configuration: { baseURL: url } })
);

const text = async (call, prompt) => (await client(call).invoke(prompt)).text;

async function stream(call, prompt) {
  let said = "";
  for await (const chunk of await client(call).stream(prompt)) said += chunk.text;
  return said;
}

async function tool(call, prompt) {
  const model = client(call).bindTools([weather]);
  const turns = [{ role: "user", content: prompt }];
  const answer = await model.invoke(turns);
  turns.push(answer);
  for (const asked of answer.tool_calls) turns.push(await weather.invoke(asked));
  return (await model.invoke(turns)).text;
}

const schema = (call, prompt) => client(call).withStructuredOutput(Weather).invoke(prompt);

await run({ text, stream, tool, schema });
