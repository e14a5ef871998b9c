// A conversation by voice: what the microphone hears goes to the server, what it says is played.

/**
 * Begins after a click, or browsers keep it silent. `said(text)` is told what the model says,
 * `state(words)` what goes on, `ended(error)` once that it is over, with an error or without.
 */
export async function talk(vibe, { said, state, ended }) {
  const speaker = new Speaker();
  let microphone;
  try {
    const { url, protocols } = await vibe.voice(); // first: a WebSocket would not say why it fails
    microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } });
    const socket = new WebSocket(url, protocols);
    const end = (error) => {
      socket.onclose = null;
      socket.close();
      for (const track of microphone.getTracks()) track.stop();
      speaker.end();
      ended(error);
    };
    const begin = () => listen(speaker.sound, microphone, socket);
    socket.onopen = () => begin().then(() => state("Listening"), end);
    socket.onclose = ({ code }) => end(ENDS[code]?.() ?? failure("offline", "It was lost"));
    socket.onmessage = ({ data }) => hear(JSON.parse(data), { vibe, speaker, said, state });
    const mute = (isMuted) => (microphone.getTracks()[0].enabled = !isMuted);
    return { mute, stop: () => end() };
  } catch (error) {
    for (const track of microphone?.getTracks() ?? []) track.stop();
    speaker.end();
    const isRefused = error.name === "NotAllowedError" || error.name === "NotFoundError";
    throw isRefused ? failure("refused", "There is no microphone that this page may use.") : error;
  }
}

const failure = (kind, message) => Object.assign(new Error(message), { kind });

// How the server says with a close what it says with a status elsewhere.
const ENDS = {
  4401: () => failure("sign-in", "The key was revoked"),
  4402: () => failure("payment", "The balance is used up"),
  1001: () => failure("refused", "The conversation has lasted as long as it may. Talk again."),
  1013: () => failure("unavailable", "Not now"),
};

function hear(event, { vibe, speaker, said, state }) {
  switch (event.type) {
    case "input_audio_buffer.speech_started":
      speaker.hush(); // who speaks wants to hear no more of the answer
      return state("You are speaking");
    case "response.created":
      return state("Answering");
    case "response.output_audio.delta":
      return speaker.play(Uint8Array.from(atob(event.delta), (one) => one.charCodeAt(0)).buffer);
    case "response.output_audio_transcript.done":
      return said(event.transcript);
    case "response.done":
      vibe.refresh().catch(() => {}); // what is left; it is shown when it is known
      return state("Listening");
  }
}

async function listen(sound, microphone, socket) {
  await sound.audioWorklet.addModule(new URL("microphone.js", import.meta.url));
  const pieces = new AudioWorkletNode(sound, "microphone");
  pieces.port.onmessage = ({ data }) => {
    const audio = btoa(String.fromCharCode(...new Uint8Array(data)));
    if (socket.readyState === WebSocket.OPEN)
      socket.send(JSON.stringify({ type: "input_audio_buffer.append", audio }));
  };
  sound.createMediaStreamSource(microphone).connect(pieces);
}

class Speaker {
  sound = new AudioContext();
  #playing = new Set();
  #until = 0;

  play(pcm) {
    const samples = Float32Array.from(new Int16Array(pcm), (one) => one / 32768);
    const buffer = this.sound.createBuffer(1, samples.length, 24000);
    buffer.copyToChannel(samples, 0);
    const source = this.sound.createBufferSource();
    source.buffer = buffer;
    source.connect(this.sound.destination);
    source.onended = () => this.#playing.delete(source);
    this.#playing.add(source);
    this.#until = Math.max(this.#until, this.sound.currentTime);
    source.start(this.#until);
    this.#until += buffer.duration;
  }

  hush() {
    for (const source of this.#playing) source.stop();
    this.#until = 0;
  }

  end() {
    this.hush();
    this.sound.close();
  }
}
