// What the microphone hears, in pieces of 0.1 s: numbers of 16 bits, 24,000 a second.
registerProcessor("microphone", class extends AudioWorkletProcessor {
  heard = [];
  at = 0;

  process([[samples = new Float32Array(128)]]) {
    for (; this.at < samples.length; this.at += sampleRate / 24000)
      this.heard.push(samples[Math.floor(this.at)] * 32767);
    this.at -= samples.length;
    if (this.heard.length >= 2400) {
      this.port.postMessage(Int16Array.from(this.heard).buffer);
      this.heard = [];
    }
    return true;
  }
});
