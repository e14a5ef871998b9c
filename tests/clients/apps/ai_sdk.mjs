// The AI SDK, by whichever provider of its.
import { Output, generateText, isStepCount, stepCountIs, streamText, tool as asTool } from "ai";
import { z } from "zod";
import { WEATHER, degreesIn, gather } from "./acting.mjs";

const weather = asTool({
  description: WEATHER,
  inputSchema: z.object({ city: z.string() }),
  execute: async (input) => degreesIn(input),
});

export const actsOf = (modelOf) => ({
  async text(call, prompt) {
    return (await generateText({ model: modelOf(call), prompt })).text;
  },

  async stream(call, prompt) {
    let failure;
    const onError = ({ error }) => (failure = error);
    const said = await gather(streamText({ model: modelOf(call), prompt, onError }).textStream);
    if (failure) throw failure;
    return said;
  },

  async tool(call, prompt) {
    const asked = { model: modelOf(call), prompt, tools: { weather } };
    return (await generateText({ ...asked, stopWhen: stepCountIs(3) })).text;
  },

  async schema(call, prompt) {
    const schema = z.object({ city: z.string(), degrees: z.number() });
    return (await generateText({ model: modelOf(call), prompt, output: Output.object({ schema }) })).output;
  },
});
