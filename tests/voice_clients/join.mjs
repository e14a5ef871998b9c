// node join.mjs <joinUrl>: Ultravox' client as far as its socket, which tells it of a room: prints
// what it was told, and leaves. Beyond that it needs a browser's media.
class Media {
  constructor() {
    this.destination = {};
  }

  resume() {}
  play() {}
  pause() {}
  createMediaStreamSource() {
    return { connect() {}, disconnect() {} };
  }
}
Object.assign(globalThis, { AudioContext: Media, Audio: Media, window: globalThis });
// There is no microphone, and nobody in the room.
for (const failure of ["unhandledRejection", "uncaughtException"]) process.on(failure, () => {});

const { UltravoxSession } = await import("ultravox-client");
const session = new UltravoxSession();
session.joinCall(process.argv[2]);
const { socket } = session;
const told = await new Promise((resolve) => {
  socket.addEventListener("message", ({ data }) => resolve(JSON.parse(data)));
  socket.addEventListener("close", ({ code }) => resolve({ code }));
});
console.log(JSON.stringify({ status: session.status, told }));
socket.close();
await new Promise((resolve) => socket.addEventListener("close", resolve));
process.exit(0);
