// What an app does with each client: it opens a session, speaks or writes, and keeps what comes.
import { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket } from "@openai/agents-realtime";
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket as OfOpenAI } from "openai/realtime/websocket";

const TRANSCRIBED = "conversation.item.input_audio_transcription.completed";

class Found {
  constructor() {
    Object.assign(this, { kinds: [], transcript: "", audioBytes: 0, responses: [], balances: [] });
    Object.assign(this, { transcriptions: [], errors: [], closed: null, protocol: null });
    this.waiting = () => {};
  }

  take(event) {
    this.kinds.push(event.type);
    if (event.type === "response.output_audio_transcript.delta") this.transcript += event.delta;
    if (event.type === "response.done") this.responses.push(event.response);
    if (event.type === TRANSCRIBED) this.transcriptions.push(event.usage);
    if (event.type === "rate_limits.updated") this.balances.push(event.rate_limits[0].remaining);
    if (event.type === "error") this.errors.push(event.error.code);
    this.waiting();
  }

  watch(socket) {
    socket.addEventListener("open", () => (this.protocol = socket.protocol));
    const close = (code, reason) => {
      this.closed ??= { code, reason: `${reason}` };
      this.waiting();
    };
    socket.addEventListener("close", ({ code, reason }) => close(code, reason));
    // Node 20 says no more of a handshake that was refused.
    socket.addEventListener("error", () => setTimeout(() => close(1006, ""), 200));
  }

  // True: it has come; false: the session was closed before.
  async until(condition) {
    while (!condition() && !this.closed) await new Promise((resolve) => (this.waiting = resolve));
    return condition();
  }
}

const base64 = (buffer) => {
  let text = "";
  for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
  return btoa(text);
};

const item = (text) => ({
  type: "conversation.item.create",
  item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
});

// How the clients that send events themselves say something, by text and by voice.
const sending = (send) => ({
  say: (text) => [item(text), { type: "response.create" }].forEach(send),
  speak: (audio) => send({ type: "input_audio_buffer.append", audio: base64(audio) }),
});

const bytes = (text) => (text.length * 3) / 4 - (text.match(/=*$/)[0].length);

async function agents(url, key, found) {
  const transport = new OpenAIRealtimeWebSocket({ url, useInsecureApiKey: true });
  const agent = new RealtimeAgent({ name: "tested", instructions: "Be brief." });
  const session = new RealtimeSession(agent, { transport });
  transport.on("connection_change", (status) => {
    if (status === "connecting") found.watch(transport.connectionState.websocket);
  });
  transport.on("*", (event) => found.take(event));
  session.on("audio", ({ data }) => (found.audioBytes += data.byteLength));
  session.on("error", () => {});
  await session.connect({ apiKey: key, url });
  return {
    say: (text) => session.sendMessage(text),
    speak: (audio) => session.sendAudio(audio),
    close: () => session.close(),
  };
}

async function openai(url, key, found) {
  const { origin, pathname, searchParams } = new URL(url.replace("ws", "http"));
  const client = new OpenAI({
    baseURL: origin + pathname.replace(/\/realtime$/, ""),
    apiKey: key,
    dangerouslyAllowBrowser: true,
  });
  const onURL = (its) => (its.protocol = "ws:");
  const realtime = new OfOpenAI({ model: searchParams.get("model"), onURL }, client);
  found.watch(realtime.socket);
  realtime.on("event", (event) => {
    if (event.type === "response.output_audio.delta") found.audioBytes += bytes(event.delta);
    found.take(event);
  });
  realtime.on("error", () => {});
  return { ...sending((event) => realtime.send(event)), close: () => realtime.close() };
}

async function socket(url, key, found) {
  const plain = new WebSocket(url, ["realtime", `openai-insecure-api-key.${key}`]);
  found.watch(plain);
  plain.addEventListener("message", ({ data }) => {
    const event = JSON.parse(data);
    if (event.type === "response.output_audio.delta") found.audioBytes += bytes(event.delta);
    found.take(event);
  });
  return {
    ...sending((event) => plain.send(JSON.stringify(event))),
    close: () => plain.close(1000),
  };
}

export const CLIENTS = { agents, openai, socket };

const CHUNK = 9600; // 0.2 s

// So many turns, or until it is closed; `audio` is PCM of 24 kHz, spoken in each turn in place of
// the text, if there is any. Without `turns` it goes on until it is closed.
export async function converse(name, { url, key, text, audio, turns }) {
  const found = new Found();
  let client;
  try {
    client = await CLIENTS[name](url, key, found);
  } catch (error) {
    await new Promise((resolve) => setTimeout(resolve, 50)); // its close comes after it
    return { ...found, threw: `${error.message ?? error.type}` };
  }
  if (await found.until(() => found.kinds.includes("session.created"))) {
    for (let turn = 1; !turns || turn <= turns; turn++) {
      if (audio) {
        for (let at = 0; at < audio.byteLength; at += CHUNK) client.speak(audio.slice(at, at + CHUNK));
      } else {
        client.say(text);
      }
      // Each is followed by what is left after it.
      const parts = () => found.responses.length + found.transcriptions.length;
      const done = () => found.responses.length >= turn && found.balances.length >= parts();
      if (!(await found.until(done))) break;
    }
    if (!found.closed) client.close();
  }
  await found.until(() => found.closed);
  return found;
}
