const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];
const BLACK = [1, 3, 6, 8, 10];
const RULER = 22; // px

/** Name of a MIDI pitch; middle C is C4. */
const pitchName = (pitch) => NAMES[pitch % 12] + (Math.floor(pitch / 12) - 1);

/** Columns of notes by start, with quick answers to "which are there between these times?". */
class NoteTable {
  constructor(columns) {
    Object.assign(this, columns);
    this.count = this.start.length;
    let latest = 0;
    this.latestEnd = this.end.map((end) => (latest = Math.max(latest, end))); // of all notes so far: increasing
  }

  /** No note before this one still sounds at `time`. */
  firstSounding(time) {
    return firstAbove(this.latestEnd, time);
  }

  /** Call `visit(i)` for each note that touches [from, to]. */
  between(from, to, visit) {
    for (let i = this.firstSounding(from); i < this.count && this.start[i] <= to; i++) {
      if (this.end[i] > from) visit(i);
    }
  }
}

/** Piano roll with a drum lane, on two canvases: one redrawn when the view moves, one above it for each frame. */
class Roll {
  #box;
  #base;
  #overlay;
  #stale = true;

  constructor(box, notes, rows, player, visible) {
    this.#box = box;
    [this.#base, this.#overlay] = box.querySelectorAll("canvas");
    Object.assign(this, { notes, rows, player, visible, hovered: -1, from: 0 });
    let low = 127;
    let high = 0;
    notes.row.forEach((row, i) => {
      if (row >= 0) return;
      low = Math.min(low, notes.pitch[i]);
      high = Math.max(high, notes.pitch[i]);
    });
    this.hasPitches = low <= high;
    this.hasDrums = notes.row.some((row) => row >= 0);
    const spare = Math.max(0, 24 - (high - low)); // at least two octaves, so that few notes do not become bricks
    this.low = Math.max(0, low - 1 - Math.floor(spare / 2));
    this.high = Math.min(127, high + 1 + Math.ceil(spare / 2));
    this.span = Math.min(this.longest, Math.max(6, (box.clientWidth || 900) / 50));
    if (!this.hasPitches) box.classList.add("only-drums");
  }

  get longest() {
    return Math.max(this.player.duration, 1);
  }

  invalidate() {
    this.#stale = true;
  }

  /** Move and scale the view: `span` seconds from `from`, within the recording. */
  look(from, span = this.span) {
    this.span = Math.min(Math.max(span, 0.5), this.longest);
    this.from = Math.max(0, Math.min(from, this.longest - this.span));
    this.invalidate();
  }

  zoom(factor, anchor = this.player.time) {
    const inside = anchor >= this.from && anchor <= this.from + this.span;
    const at = inside ? anchor : this.from + this.span / 2;
    const span = Math.min(Math.max(this.span / factor, 0.5), this.longest);
    this.look(at - ((at - this.from) / this.span) * span, span);
  }

  /** Keep the playhead in view: gliding while it plays, or page by page for those who want less motion. */
  follow(time, glide) {
    const share = (time - this.from) / this.span;
    if (glide && share > 0.3 && share < 1) this.look(this.from + 0.12 * (share - 0.3) * this.span); // eases in
    else if (share < 0 || share > 0.95) this.look(time - 0.1 * this.span);
  }

  #layout(width, height) {
    const gutter = this.hasDrums ? 54 : 38;
    const laneRow = this.hasDrums ? (this.hasPitches ? 16 : Math.min(36, (height - RULER) / this.rows.length)) : 0;
    const laneTop = height - laneRow * this.rows.length - (this.hasDrums ? 4 : 0);
    const pitchBottom = laneTop - (this.hasDrums ? 8 : 0);
    const pitchRow = (pitchBottom - RULER) / (this.high - this.low + 1);
    return { width, height, gutter, laneRow, laneTop, pitchBottom, pitchRow, scale: (width - gutter) / this.span };
  }

  /** Box of a note in px: x, y, width, height. */
  #place(i, view) {
    const { notes } = this;
    const x = view.gutter + (notes.start[i] - view.from) * view.scale;
    if (notes.row[i] >= 0) return [x, view.laneTop + notes.row[i] * view.laneRow + 2, 5, view.laneRow - 4];
    const y = RULER + (this.high - notes.pitch[i]) * view.pitchRow;
    const gap = view.pitchRow > 6 ? 1 : 0;
    return [x, y + gap / 2, Math.max(2, (notes.end[i] - notes.start[i]) * view.scale - 1), view.pitchRow - gap];
  }

  draw(colours) {
    if (this.#stale) this.#drawBase(colours);
    this.#stale = false;
    this.#drawOverlay(colours);
  }

  #view(canvas) {
    const { width, height, ratio, context } = fitCanvas(canvas, this.#box);
    const view = this.#layout(width, height);
    view.from = Math.round(this.from * view.scale * ratio) / (view.scale * ratio); // whole pixels: edges stay crisp
    return { view, context };
  }

  #drawBase(colours) {
    const { view, context } = this.#view(this.#base);
    const { width, height, gutter, laneRow, laneTop, pitchBottom, pitchRow } = view;
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, width, height);
    if (this.hasPitches) {
      context.fillStyle = colours.shade;
      for (let pitch = this.low; pitch <= this.high; pitch++) {
        if (BLACK.includes(pitch % 12)) context.fillRect(gutter, RULER + (this.high - pitch) * pitchRow, width, pitchRow);
      }
    }
    if (this.hasDrums) {
      context.fillStyle = colours.shade;
      for (let row = 0; row < this.rows.length; row += 2) context.fillRect(gutter, laneTop + row * laneRow, width, laneRow);
    }
    this.#drawGrid(context, view, colours);

    context.save();
    context.beginPath();
    context.rect(gutter, RULER, width - gutter, height - RULER);
    context.clip();
    const shown = [];
    this.notes.between(this.from - 6 / view.scale, this.from + this.span, (i) => {
      if (this.visible(this.notes.instrument[i])) shown.push(i);
    });
    const round = shown.length < 1500 && (pitchRow > 5 || !this.hasPitches);
    for (const i of shown) {
      context.fillStyle = colours.instruments[this.notes.instrument[i]];
      context.globalAlpha = 0.6 + (0.4 * this.notes.velocity[i]) / 127;
      this.#fill(context, this.#place(i, view), round);
    }
    context.restore();
    this.#drawGutter(context, view, colours);
    if (this.hasPitches && this.hasDrums) {
      context.fillStyle = colours.line;
      context.fillRect(0, (pitchBottom + laneTop) / 2, width, 1);
    }
  }

  #fill(context, [x, y, w, h], round) {
    if (!round) return context.fillRect(x, y, w, h);
    context.beginPath();
    context.roundRect(x, y, w, h, Math.min(2.5, h / 3, w / 2));
    context.fill();
  }

  #drawGrid(context, view, colours) {
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800].find((s) => s * view.scale > 64) ?? 3600;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (let k = Math.ceil(this.from / step); k * step <= this.from + this.span; k++) {
      const x = view.gutter + (k * step - view.from) * view.scale;
      context.fillStyle = colours.line;
      context.fillRect(Math.round(x), RULER - 6, 1, view.height);
      context.fillStyle = colours.faint;
      const label = clockText(k * step, step < 1 ? 1 : 0);
      if (x + 4 + context.measureText(label).width < view.width) context.fillText(label, Math.round(x) + 4, RULER / 2);
    }
    if (!this.hasPitches) return;
    context.fillStyle = colours.line;
    for (let pitch = Math.ceil(this.low / 12) * 12; pitch <= this.high; pitch += 12) {
      context.fillRect(view.gutter, Math.round(RULER + (this.high - pitch + 1) * view.pitchRow), view.width, 1);
    }
  }

  #drawGutter(context, view, colours) {
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, view.gutter, view.height);
    context.fillStyle = colours.line;
    context.fillRect(view.gutter - 1, RULER, 1, view.height);
    context.textAlign = "right";
    if (this.hasPitches) {
      for (let pitch = this.low; pitch <= this.high; pitch++) {
        const y = RULER + (this.high - pitch) * view.pitchRow;
        context.fillStyle = colours.line;
        if (BLACK.includes(pitch % 12)) context.fillRect(view.gutter - 9, y, 8, view.pitchRow);
        context.fillStyle = colours.faint;
        if (pitch % 12 === 0) context.fillText(pitchName(pitch), view.gutter - 13, Math.max(RULER + 6, y + view.pitchRow / 2));
      }
    }
    if (this.hasDrums) {
      context.fillStyle = colours.faint;
      this.rows.forEach((name, row) => context.fillText(name, view.gutter - 7, view.laneTop + (row + 0.5) * view.laneRow));
    }
    context.textAlign = "left";
  }

  #drawOverlay(colours) {
    const { view, context } = this.#view(this.#overlay);
    const time = this.player.time;
    context.clearRect(0, 0, view.width, view.height);
    context.save();
    context.beginPath();
    context.rect(view.gutter, 0, view.width - view.gutter, view.height);
    context.clip();
    const lit = this.player.playing ? time : Infinity;
    this.notes.between(lit, lit, (i) => this.visible(this.notes.instrument[i]) && this.#outline(context, view, i, colours));
    if (this.hovered >= 0) this.#outline(context, view, this.hovered, colours);
    context.restore();
    const x = view.gutter + (time - view.from) * view.scale;
    if (x < view.gutter - 1) return;
    context.fillStyle = colours.playhead;
    context.fillRect(Math.round(x) - 1, 0, 2, view.height);
    context.beginPath();
    context.arc(Math.round(x), 5, 5, 0, 2 * Math.PI);
    context.fill();
  }

  #outline(context, view, i, colours) {
    const [x, y, w, h] = this.#place(i, view);
    context.fillStyle = colours.instruments[this.notes.instrument[i]];
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.5;
    context.beginPath();
    context.roundRect(x - 0.5, y - 0.5, w + 1, h + 1, Math.min(3, h / 2));
    context.fill();
    context.stroke();
  }

  timeAt(x) {
    const { gutter, scale } = this.#layout(this.#box.clientWidth, this.#box.clientHeight);
    return this.from + Math.max(0, x - gutter) / scale;
  }

  /** The note nearest to a point within `reach` px, or -1. */
  noteAt(x, y, reach) {
    const view = { ...this.#layout(this.#box.clientWidth, this.#box.clientHeight), from: this.from };
    const time = this.from + (x - view.gutter) / view.scale;
    let [best, nearest] = [-1, reach * reach + 1e-9];
    this.notes.between(time - (5 + reach) / view.scale, time + reach / view.scale, (i) => {
      if (!this.visible(this.notes.instrument[i])) return;
      const [left, top, w, h] = this.#place(i, view);
      const dx = Math.max(left - x, 0, x - left - w);
      const dy = Math.max(top - y, 0, y - top - h);
      if (dx * dx + dy * dy <= nearest) [best, nearest] = [i, dx * dx + dy * dy];
    });
    return best;
  }
}

/** 75.25 -> "1:15" or, with a digit, "1:15.2". */
function clockText(seconds, digits = 0) {
  const unit = 10 ** digits;
  const ticks = Math.floor(seconds * unit + 1e-6);
  const [h, m, s] = [Math.floor(ticks / unit / 3600), Math.floor(ticks / unit / 60) % 60, Math.floor(ticks / unit) % 60];
  const tail = digits ? `.${String(ticks % unit).padStart(digits, "0")}` : "";
  return (h ? `${h}:${String(m).padStart(2, "0")}` : m) + `:${String(s).padStart(2, "0")}${tail}`;
}
