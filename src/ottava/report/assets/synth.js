/** Plain sounds for the families: strengths of the partials, and an envelope in seconds. */
const VOICES = {
  keys: { partials: [1, 0.45, 0.2, 0.12, 0.06], attack: 0.004, decay: 0.7, sustain: 0, release: 0.12, gain: 0.2 },
  plucked: { partials: [1, 0.6, 0.45, 0.3, 0.2, 0.1], attack: 0.003, decay: 0.4, sustain: 0, release: 0.08, gain: 0.17 },
  bass: { partials: [1, 0.5, 0.15], attack: 0.006, decay: 0.8, sustain: 0.2, release: 0.08, gain: 0.3 },
  bowed: { partials: [1, 0.5, 0.4, 0.25, 0.2, 0.1], attack: 0.07, decay: 0.5, sustain: 0.8, release: 0.15, gain: 0.1 },
  winds: { partials: [1, 0.15, 0.4, 0.1, 0.15], attack: 0.04, decay: 0.4, sustain: 0.8, release: 0.08, gain: 0.13 },
  voice: { partials: [1, 0.35, 0.1], attack: 0.05, decay: 0.5, sustain: 0.85, release: 0.12, gain: 0.16 },
};

/** Drum hits by row of the lane: filtered noise, and for skins a falling tone. Times in seconds. */
const HITS = [
  { tone: [140, 45], toneLength: 0.16, noise: ["lowpass", 400, 0.02], gain: 0.6 },
  { tone: [220, 160], toneLength: 0.08, noise: ["bandpass", 2200, 0.14], gain: 0.35 },
  { noise: ["highpass", 8000, 0.05], gain: 0.2 },
  { tone: [170, 80], toneLength: 0.22, noise: ["lowpass", 700, 0.03], gain: 0.4 },
  { noise: ["highpass", 5000, 0.6], gain: 0.2 },
  { noise: ["bandpass", 3500, 0.06], gain: 0.25 },
];

/** Plays the notes in step with the player. Made on first use, since browsers want a gesture first. */
class Synth {
  #context;
  #master;
  #families;
  #waves = {};
  #noise;
  #bus = null; // one for each stretch of playing: cutting it silences every voice that is under way
  #timer = 0;
  #next = 0;

  constructor(player, notes, instruments) {
    this.player = player;
    this.notes = notes;
    this.instruments = instruments;
    this.#context = new AudioContext();
    this.#master = this.#context.createGain();
    const limiter = this.#context.createDynamicsCompressor();
    this.#master.connect(limiter).connect(this.#context.destination);
    this.#families = instruments.map(() => this.#context.createGain());
    for (const [name, { partials }] of Object.entries(VOICES)) {
      const sines = new Float32Array([0, ...partials]);
      this.#waves[name] = this.#context.createPeriodicWave(new Float32Array(sines.length), sines);
    }
    this.#noise = this.#context.createBuffer(1, this.#context.sampleRate, this.#context.sampleRate);
    const samples = this.#noise.getChannelData(0);
    for (let i = 0; i < samples.length; i++) samples[i] = Math.random() * 2 - 1;
  }

  get running() {
    return this.#bus !== null;
  }

  setVolume(volume) {
    this.#master.gain.setTargetAtTime(volume, this.#context.currentTime, 0.02);
  }

  setAudible(audible) {
    this.#families.forEach((gain, i) => gain.gain.setTargetAtTime(audible(i) ? 1 : 0, this.#context.currentTime, 0.01));
  }

  /** Begin at the player's position, dropping whatever was under way. */
  start() {
    this.stop();
    this.#context.resume();
    this.#bus = this.#context.createGain();
    this.#bus.connect(this.#master);
    for (const gain of this.#families) gain.connect(this.#bus);
    this.#next = this.notes.firstSounding(this.player.time);
    const schedule = () => this.#schedule();
    schedule();
    this.#timer = setInterval(schedule, 100);
  }

  stop() {
    clearInterval(this.#timer);
    if (!this.#bus) return;
    const bus = this.#bus;
    this.#bus = null;
    for (const gain of this.#families) gain.disconnect(bus);
    bus.disconnect();
  }

  /** Hand over all notes that begin within the next 1.2 s: enough for a tab in the background, whose timers tick once a second. */
  #schedule() {
    const { notes, player } = this;
    const now = player.time;
    const clock = this.#context.currentTime + 0.01;
    const rate = player.rate;
    for (; this.#next < notes.count && notes.start[this.#next] < now + 1.2 * rate; this.#next++) {
      const i = this.#next;
      if (notes.end[i] <= now) continue;
      const at = Math.max(clock + (notes.start[i] - now) / rate, clock);
      const until = clock + (notes.end[i] - now) / rate;
      const out = this.#families[notes.instrument[i]];
      const loud = (notes.velocity[i] / 127) ** 1.5;
      if (notes.row[i] >= 0) {
        if (notes.start[i] >= now - 0.05) this.#hit(HITS[notes.row[i]], at, loud, out);
      } else {
        this.#note(this.instruments[notes.instrument[i]].id, notes.pitch[i], at, until, loud, out);
      }
    }
  }

  #note(family, pitch, at, until, loud, out) {
    const voice = VOICES[family];
    const oscillator = new OscillatorNode(this.#context, { frequency: 440 * 2 ** ((pitch - 69) / 12), periodicWave: this.#waves[family] });
    const envelope = new GainNode(this.#context, { gain: 0 });
    const top = voice.gain * loud;
    envelope.gain.setValueAtTime(0, at);
    envelope.gain.linearRampToValueAtTime(top, at + voice.attack);
    envelope.gain.setTargetAtTime(top * voice.sustain, at + voice.attack, voice.decay);
    envelope.gain.setTargetAtTime(0, Math.max(until, at + voice.attack), voice.release / 3);
    oscillator.connect(envelope).connect(out);
    this.#run(oscillator, envelope, at, until + 2 * voice.release + voice.attack);
  }

  #hit(hit, at, loud, out) {
    const [type, frequency, length] = hit.noise;
    const source = new AudioBufferSourceNode(this.#context, { buffer: this.#noise });
    const filter = new BiquadFilterNode(this.#context, { type, frequency });
    const envelope = this.#fall(at, length, hit.gain * loud);
    source.connect(filter).connect(envelope).connect(out);
    this.#run(source, envelope, at, at + length * 1.5);
    if (!hit.tone) return;
    const tone = new OscillatorNode(this.#context, { frequency: hit.tone[0] });
    tone.frequency.setValueAtTime(hit.tone[0], at);
    tone.frequency.exponentialRampToValueAtTime(hit.tone[1], at + hit.toneLength);
    const body = this.#fall(at, hit.toneLength, hit.gain * loud);
    tone.connect(body).connect(out);
    this.#run(tone, body, at, at + hit.toneLength * 1.5);
  }

  #fall(at, length, top) {
    const envelope = new GainNode(this.#context, { gain: 0 });
    envelope.gain.setValueAtTime(top, at);
    envelope.gain.setTargetAtTime(0, at, length / 4);
    return envelope;
  }

  /** Start and stop a source; let go of its nodes when it has ended. */
  #run(source, last, at, until) {
    source.start(at);
    source.stop(until);
    source.addEventListener("ended", () => last.disconnect());
  }
}
