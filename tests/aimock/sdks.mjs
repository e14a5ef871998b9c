// What an app does with the SDKs of JavaScript: node sdks.mjs <openai|anthropic> <base URL> <key>.
// Prints {text, streamed, input, output}, or {status, name} of the error that ended it.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const messages = [{ role: "user", content: "greeting" }];

async function withOpenAI(settings) {
  const completions = new OpenAI(settings).chat.completions;
  const whole = await completions.create({ model: "", messages });
  const options = { stream: true, stream_options: { include_usage: true } };
  let streamed = "", usage;
  for await (const chunk of await completions.create({ model: "", messages, ...options })) {
    streamed += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  const [input, output] = [usage.prompt_tokens, usage.completion_tokens];
  return { text: whole.choices[0].message.content, streamed, input, output };
}

async function withAnthropic(settings) {
  const client = new Anthropic(settings);
  const asked = { model: "", max_tokens: 100, messages };
  const whole = await client.messages.create(asked);
  const final = await client.messages.stream(asked).finalMessage();
  const { input_tokens: input, output_tokens: output } = final.usage;
  return { text: whole.content[0].text, streamed: final.content[0].text, input, output };
}

const [name, baseURL, apiKey] = process.argv.slice(2);
const run = { openai: withOpenAI, anthropic: withAnthropic }[name];
try {
  console.log(JSON.stringify(await run({ baseURL, apiKey, maxRetries: 2 })));
} catch (error) {
  console.log(JSON.stringify({ status: error.status, name: error.constructor.name }));
}
