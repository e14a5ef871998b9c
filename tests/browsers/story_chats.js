// Steps that spend: the client's own calls, the SDKs with its options, and voice.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const messages = [{ role: "user", content: "Hello" }];

export async function until(condition) {
  for (let tries = 0; tries < 500; tries++) {
    const found = await condition();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`not in time: ${condition}`);
}

async function failure(promise) {
  try {
    return { answered: await promise };
  } catch ({ name, kind, status, tokensLeft, retryAfter, message }) {
    return { name, kind, status, tokensLeft, retryAfter, message };
  }
}

const left = async (vibe) => (await vibe.call("GET", "/balance")).tokensLeft;

// A stream, without an SDK; the balance is heard of when it has ended.
export async function chat({ vibe }) {
  const before = await left(vibe);
  const heard = new Promise((resolve) => {
    vibe.addEventListener("balance", ({ detail }) => resolve(detail), { once: true });
  });
  const reply = await vibe.call("POST", "/v1/chat/completions", { messages, stream: true });
  const text = await reply.text();
  return { before, heard: await heard, after: await left(vibe), text };
}

export async function chatUntil402({ vibe, heard, VibeError }) {
  let error;
  while (!error)
    await vibe.call("POST", "/v1/chat/completions", { messages }).catch((thrown) => (error = thrown));
  await until(() => heard.some(([name]) => name === "refused"));
  const { kind, status, tokensLeft, message } = error;
  const isOurs = error instanceof VibeError;
  return { kind, status, tokensLeft, message, isOurs, heard, left: await left(vibe) };
}

export async function sdks({ vibe }) {
  const openai = new OpenAI(vibe.openai());
  const whole = await openai.chat.completions.create({ model: "", messages });
  let streamed = "";
  const stream = await openai.chat.completions.create({ model: "", messages, stream: true });
  for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? "";
  const anthropic = new Anthropic(vibe.anthropic());
  const { content } = await anthropic.messages.create({ model: "", max_tokens: 50, messages });
  const shown = await until(async () => (await left(vibe)) === vibe.balance && vibe.balance);
  return { texts: [whole.choices[0].message.content, streamed, content[0].text], shown };
}

// Whoever wants no more of an answer is told what is left, too.
export async function leaveAStream({ vibe, plan }) {
  const asked = [{ role: "user", content: plan.endless }];
  const sdk = new OpenAI(vibe.openai());
  const stream = await sdk.chat.completions.create({ model: "", messages: asked, stream: true });
  let chunks = 0;
  for await (const _ of stream) {
    if (++chunks === 5) stream.controller.abort();
  }
  const isSettled = async () => {
    const { tokensHeld, tokensLeft } = await vibe.refresh();
    return !tokensHeld && tokensLeft === vibe.balance;
  };
  await until(isSettled);
  return { chunks };
}

export async function unpaidSdk({ vibe, heard }) {
  const options = { model: "", messages: [{ role: "user", content: "long ".repeat(9000) }] };
  const error = await failure(new OpenAI(vibe.openai()).chat.completions.create(options));
  await until(() => heard.some(([name]) => name === "refused"));
  return { status: error.status, heard };
}

export async function talk({ vibe }) {
  const before = await left(vibe);
  const { url, protocols, secret } = await vibe.voice({ output_modalities: ["text"] });
  const socket = new WebSocket(url, protocols);
  const content = [{ type: "input_text", text: "Hello" }];
  const said = await new Promise((resolve, reject) => {
    const send = (event) => socket.send(JSON.stringify(event));
    socket.onclose = ({ code, reason }) => reject(new Error(`${code} ${reason}`));
    socket.onopen = () => {
      send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
      send({ type: "response.create" });
    };
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "response.done") resolve(event.response.output[0].content[0]);
    };
  });
  socket.close();
  await until(async () => !(await vibe.refresh()).tokensHeld);
  return { before, said: said.text ?? said.transcript, isSecret: secret.startsWith("ek_") };
}

export async function restrict({ vibe, plan }) {
  const { apiKey, tokens } = await vibe.restrictedKey({ tokens: 50, expiresIn: 60 });
  const headers = { Authorization: `Bearer ${apiKey}` };
  const reply = await fetch(`${plan.server}/${plan.tenant}/balance`, { headers });
  return { isRestricted: apiKey.startsWith("rk_"), tokens, own: (await reply.json()).tokensLeft };
}

export const tooMuch = async ({ vibe }) => failure(vibe.charge(10 ** 12));
export const wrong = async ({ vibe }) => failure(vibe.charge(0));
export const buyUnsigned = async ({ vibe }) => failure(vibe.buy({ pack: "small" }));
// The key goes to the tenant alone.
export const elsewhere = async ({ vibe, plan }) => ({
  ofOthers: await failure(vibe.fetch(`${plan.server}/other/balance`)),
  ofAnother: await failure(vibe.fetch(`${plan.server}/${plan.tenant}/../other/balance`)),
  here: await failure(vibe.fetch("/found")),
});
