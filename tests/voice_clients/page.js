// A page that talks: the address has the settings, what it finds goes to where it comes from.
import { converse } from "./clients.js";

const settings = JSON.parse(decodeURIComponent(location.hash.slice(1)));

// The sound file as a session takes it: PCM of 24 kHz.
async function speech() {
  const file = await (await fetch("/speech.wav")).arrayBuffer();
  const samples = (await new OfflineAudioContext(1, 1, 24000).decodeAudioData(file)).getChannelData(0);
  return Int16Array.from(samples, (sample) => Math.max(-1, Math.min(1, sample)) * 32767).buffer;
}

// What becomes of a handshake with these subprotocols.
function offer({ url, protocols }) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, protocols);
    socket.onmessage = ({ data }) => {
      resolve({ protocol: socket.protocol, first: JSON.parse(data).type });
      socket.close();
    };
    socket.onclose = ({ code }) => resolve({ code });
  });
}

async function secret({ base, key }) {
  const reply = await fetch(`${base}/realtime/client_secrets`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ session: { type: "realtime" } }),
  });
  return { status: reply.status, ...(await reply.json()) };
}

const DO = {
  offer,
  secret,
  talk: async ({ client, speaks, ...others }) => {
    const audio = speaks ? await speech() : null;
    const { waiting, ...found } = await converse(client, { ...others, audio });
    return found;
  },
  talkBySecret: async ({ base, ...others }) => {
    const { value } = await secret({ base, key: others.key });
    return DO.talk({ ...others, key: value });
  },
};

const found = {};
for (const [name, { does, ...others }] of Object.entries(settings)) {
  try {
    found[name] = await DO[does](others);
  } catch (error) {
    found[name] = { threw: `${error.stack ?? error}` };
  }
}
await fetch("/found", { method: "POST", body: JSON.stringify(found) });
