"use strict";

/** The clock of the page: the recording when there is one, else the wall clock. Fires "change". */
class Player extends EventTarget {
  #audio;
  #base = 0; // where the wall clock was set ...
  #since = 0; // ... and when, in ms
  #running = false;

  constructor(audio, duration) {
    super();
    this.#audio = audio;
    this.duration = duration;
    this.hasSound = audio.hasAttribute("src");
    this.rate = 1;
    for (const name of ["play", "playing", "pause", "seeking", "seeked", "ended"]) {
      audio.addEventListener(name, () => this.#changed());
    }
    audio.addEventListener("error", () => {
      if (!this.hasSound) return;
      this.hasSound = false;
      this.dispatchEvent(new Event("unplayable"));
    });
  }

  get playing() {
    return this.hasSound ? !this.#audio.paused && !this.#audio.ended : this.#running;
  }

  /** Playing, and not waiting for the recording to catch up. */
  get moving() {
    return this.playing && (!this.hasSound || (!this.#audio.seeking && this.#audio.readyState > 2));
  }

  get time() {
    if (this.hasSound) return Math.min(this.#audio.currentTime, this.duration);
    const elapsed = this.#running ? ((performance.now() - this.#since) / 1000) * this.rate : 0;
    return Math.min(this.#base + elapsed, this.duration);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #setWall(time, running) {
    this.#base = time;
    this.#since = performance.now();
    this.#running = running;
    this.#changed();
  }

  play() {
    if (this.time >= this.duration - 0.01) this.seek(0);
    if (this.hasSound) this.#audio.play().catch(() => this.#changed());
    else this.#setWall(this.time, true);
  }

  pause() {
    if (this.hasSound) this.#audio.pause();
    else this.#setWall(this.time, false);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  seek(time) {
    const target = Math.max(0, Math.min(time, this.duration));
    if (this.hasSound) this.#audio.currentTime = target;
    else this.#setWall(target, this.#running);
  }

  setRate(rate) {
    const time = this.time;
    this.rate = rate;
    if (!this.hasSound) this.#setWall(time, this.#running);
    this.#audio.playbackRate = rate;
    this.#audio.defaultPlaybackRate = rate; // a file chosen later starts with it
    this.#changed();
  }

  /** Loudness of the recording, 0 to 1. Muted at 0 because phones ignore the volume. */
  setVolume(volume) {
    this.#audio.volume = volume;
    this.#audio.muted = volume === 0;
  }

  attach(url) {
    const time = this.time;
    this.pause();
    this.hasSound = true;
    this.#audio.src = url;
    this.#audio.addEventListener("loadedmetadata", () => this.seek(time), { once: true });
  }
}

/** Waveform of the whole recording, or density of the notes where there is none, and what the roll shows. */
class Overview {
  #canvas;
  #box;

  constructor(box, player, peak, loudness) {
    this.#box = box;
    this.#canvas = box.firstElementChild;
    this.player = player;
    this.peak = peak;
    this.loudness = loudness;
    this.window = null; // [from, to] of the roll in seconds
    const seek = (event) => {
      const { left, width } = box.getBoundingClientRect();
      player.seek(((event.clientX - left) / width) * player.duration);
    };
    box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      box.setPointerCapture(event.pointerId);
      seek(event);
    });
    box.addEventListener("pointermove", (event) => box.hasPointerCapture(event.pointerId) && seek(event));
  }

  draw(colours) {
    const { width, height, context } = fitCanvas(this.#canvas, this.#box);
    context.clearRect(0, 0, width, height);
    const duration = this.player.duration || 1;
    if (this.window && this.window[1] - this.window[0] < duration * 0.999) {
      context.fillStyle = colours.window;
      const from = (this.window[0] / duration) * width;
      context.beginPath();
      context.roundRect(from, 0, Math.max(4, ((this.window[1] - this.window[0]) / duration) * width), height, 4);
      context.fill();
    }
    const bars = Math.floor(width / 3);
    const played = (this.player.time / duration) * width;
    const most = (values, from, to) => {
      let top = 0;
      for (let i = from; i < Math.max(to, from + 1) && i < values.length; i++) top = Math.max(top, values[i]);
      return top / 255;
    };
    for (const [values, part] of [[this.peak, "Peak"], [this.loudness, "Loud"]]) {
      for (let i = 0; i < bars; i++) {
        const share = most(values, Math.floor((i / bars) * values.length), Math.floor(((i + 1) / bars) * values.length));
        const tall = Math.max(1, share * (height - 8));
        context.fillStyle = colours[(i * 3 < played ? "played" : "ahead") + part];
        context.fillRect(i * 3, (height - tall) / 2, 2, tall);
      }
    }
    context.fillStyle = colours.playhead;
    context.fillRect(Math.min(played, width - 2), 0, 2, height);
  }
}

/** Size a canvas to its box in device pixels; return the box's size and a context scaled to it. */
function fitCanvas(canvas, box) {
  const { clientWidth: width, clientHeight: height } = box;
  const ratio = window.devicePixelRatio || 1;
  const context = canvas.getContext("2d");
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { width, height, ratio, context };
}

/** Position of the first value that is greater than `limit` in an increasing list. */
function firstAbove(values, limit) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}
