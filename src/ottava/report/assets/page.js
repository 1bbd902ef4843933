const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const audio = $("audio");
const player = new Player(audio, data.duration);
const notes = data.notes?.start.length ? new NoteTable(data.notes) : null;
const instruments = data.instruments ?? [];
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Which instruments are shown and heard: the soloed ones if any, else those that are not muted.
const muted = new Set();
const soloed = new Set();
const visible = (i) => (soloed.size ? soloed.has(i) : !muted.has(i));

const outline = notes && !data.peak ? density(notes) : null;
const overview = new Overview($("overview"), player, outline ?? bytes(data.peak), outline ?? bytes(data.loudness));
const roll = notes ? new Roll($("roll"), notes, data.rows, player, visible) : null;
let synth = null;
let colours = readColours();
let following = true;

/** A stand-in for the waveform: how many notes sound in each of 400 parts, 255 at most. */
function density({ start, end }) {
  const parts = new Float64Array(400);
  const part = (time) => Math.min(399, Math.floor((time / (data.duration || 1)) * 400));
  start.forEach((time, i) => {
    for (let k = part(time); k <= part(end[i]); k++) parts[k]++;
  });
  const most = Math.max(...parts);
  return parts.map((count) => (count / most) * 200);
}

/** Resolve the style's colours to what a canvas understands; they change with the theme. */
function readColours() {
  const probe = document.body.appendChild(document.createElement("i"));
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const names = { paper: "surface", shade: "shade", line: "line", faint: "faint", ink: "ink", playhead: "playhead", window: "window",
    playedPeak: "played-peak", playedLoud: "played-loud", aheadPeak: "ahead-peak", aheadLoud: "ahead-loud" };
  const found = Object.fromEntries(Object.entries(names).map(([key, name]) => [key, colour(name)]));
  found.instruments = instruments.map(({ id }) => colour(id));
  probe.remove();
  return found;
}

// Drawing: a loop while it plays, single frames otherwise.

let pending = false;
function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => {
    pending = false;
    frame();
  });
}

function frame() {
  const time = player.time;
  if (roll) {
    if (following && player.playing) roll.follow(time, !calm.matches);
    roll.draw(colours);
    overview.window = [roll.from, roll.from + roll.span];
  }
  overview.draw(colours);
  $("now").textContent = clockText(time, 1);
  const text = `${clockText(time)} of ${clockText(player.duration)}`;
  if ($("overview").getAttribute("aria-valuetext") !== text) {
    $("overview").setAttribute("aria-valuenow", Math.floor(time));
    $("overview").setAttribute("aria-valuetext", text);
  }
  if (!player.playing) return;
  if (time >= player.duration) player.pause();
  else redraw();
}

function refresh() {
  colours = readColours();
  roll?.invalidate();
  redraw();
}

// Transport

let wasPlaying = false;
player.addEventListener("change", () => {
  const { playing } = player;
  if (playing !== wasPlaying) {
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    $("play").classList.toggle("playing", playing);
    wasPlaying = playing;
  }
  if (player.moving) playNotes();
  else synth?.stop();
  redraw();
});

/** Loudness of recording and notes; equal power all the way, and only notes where there is no recording. */
function mix() {
  if (!player.hasSound) return [0, 1];
  const angle = ($("mix").value / 100) * (Math.PI / 2);
  return [$("mix").value === "100" ? 0 : Math.cos(angle), Math.sin(angle)];
}

/** Start the synthesiser at the player's position if the mix wants it. */
function playNotes() {
  const [, volume] = mix();
  if (!notes || (!synth && !volume)) return;
  synth ??= new Synth(player, notes, instruments);
  synth.setVolume(volume);
  synth.setAudible(visible);
  if (volume) synth.start();
  else synth.stop();
}

function seek(time) {
  player.seek(time);
  if (roll && (time < roll.from || time > roll.from + roll.span)) roll.look(time - 0.3 * roll.span);
}

$("play").addEventListener("click", () => player.toggle());
$("speed").addEventListener("change", () => player.setRate(Number($("speed").value)));
$("mix").addEventListener("input", () => {
  const [volume, notesVolume] = mix();
  player.setVolume(volume);
  if (synth?.running && notesVolume) synth.setVolume(notesVolume);
  else if (player.moving) playNotes();
});
$("overview").setAttribute("aria-valuemax", Math.ceil(player.duration));
$("length").textContent = clockText(player.duration);

function showSoundState() {
  $("absence").hidden = player.hasSound;
  $("mix-box").hidden = !player.hasSound || !notes;
}

player.addEventListener("unplayable", () => {
  $("absence-text").textContent = "This browser cannot play that recording. Choose another file to listen along.";
  showSoundState();
  redraw();
});
$("attach").addEventListener("change", () => {
  const [file] = $("attach").files;
  if (file) player.attach(URL.createObjectURL(file));
  showSoundState();
  redraw();
});

// Keyboard. What a focused control does with a key itself stays the control's.

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, .table")) return;
  const far = event.shiftKey ? 10 : 2;
  const actions = {
    ArrowLeft: () => seek(player.time - far),
    ArrowRight: () => seek(player.time + far),
    Home: () => seek(0),
    End: () => seek(player.duration),
    "+": () => zoom(1.5),
    "=": () => zoom(1.5),
    "-": () => zoom(1 / 1.5),
  };
  if (!event.target.closest("button, a, summary")) actions[" "] = () => player.toggle();
  if (!(event.key in actions)) return;
  actions[event.key]();
  event.preventDefault();
});

// Theme and downloads

document.addEventListener("themechange", refresh);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
new ResizeObserver(refresh).observe(document.body);

// Browsers refuse to follow long data addresses; the same bytes as a blob have no limit.
for (const link of document.querySelectorAll(".downloads a")) {
  if (link.href.length < 1e6) continue;
  const [, type, text] = link.href.match(/^data:([^;]*);base64,(.*)$/);
  link.href = URL.createObjectURL(new Blob([bytes(text)], { type }));
}
if (player.hasSound) {
  const [type, text] = audio.src.slice(5).split(";base64,");
  audio.src = URL.createObjectURL(new Blob([bytes(text)], { type }));
}

// Notes

function zoom(factor, anchor) {
  roll?.zoom(factor, anchor);
  redraw();
}

function describe(i) {
  const row = notes.row[i];
  const pitch = row >= 0 ? `${data.rows[row]} (key ${notes.pitch[i]})` : pitchName(notes.pitch[i]);
  return { pitch, start: clockText(notes.start[i], 2), length: `${(notes.end[i] - notes.start[i]).toFixed(2)} s`,
    instrument: instruments[notes.instrument[i]].label, velocity: notes.velocity[i], confidence: notes.confidence[i].toFixed(2) };
}

if (notes) {
  wireChips();
  wireRoll($("roll"), $("tip"));
  wireTable();
  $("zoom-in").addEventListener("click", () => zoom(1.5));
  $("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  $("follow").addEventListener("click", () => setFollowing(!following));
}

function setFollowing(value) {
  following = value;
  $("follow").setAttribute("aria-pressed", value);
}

function wireChips() {
  const chips = document.querySelectorAll(".chip");
  const toggle = (set, i) => (set.has(i) ? set.delete(i) : set.add(i));
  const update = () => {
    chips.forEach((chip, i) => {
      chip.querySelector(".chip-show").setAttribute("aria-pressed", !muted.has(i));
      chip.querySelector(".chip-solo").setAttribute("aria-pressed", soloed.has(i));
      chip.classList.toggle("off", !visible(i));
    });
    synth?.setAudible(visible);
    roll.hovered = -1;
    $("tip").hidden = true;
    roll.invalidate();
    document.dispatchEvent(new Event("visible"));
    redraw();
  };
  chips.forEach((chip, i) => {
    chip.querySelector(".chip-show").addEventListener("click", () => (toggle(muted, i), update()));
    chip.querySelector(".chip-solo").addEventListener("click", () => (toggle(soloed, i), update()));
  });
}

/** Pointers on the roll: hover or tap tells about a note, a click seeks, dragging moves, two fingers or Ctrl + wheel zoom. */
function wireRoll(box, tip) {
  const held = new Map(); // pointers that are down: [first x, last x]
  let dragged = false;
  const place = (event) => {
    const { left, top } = box.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const tell = (event, reach) => {
    const [x, y] = place(event);
    roll.hovered = roll.noteAt(x, y, reach);
    tip.hidden = roll.hovered < 0;
    if (roll.hovered >= 0) {
      const note = describe(roll.hovered);
      tip.replaceChildren(Object.assign(document.createElement("strong"), { textContent: note.pitch }),
        ` ${note.instrument}`, document.createElement("br"), `at ${note.start}, ${note.length} long`,
        document.createElement("br"), `velocity ${note.velocity}, confidence ${note.confidence}`);
      tip.style.left = `${Math.max(4, Math.min(x + 14, box.clientWidth - tip.offsetWidth - 4))}px`;
      tip.style.top = `${y > box.clientHeight / 2 ? Math.max(4, y - tip.offsetHeight - 14) : y + 18}px`;
    }
    redraw();
  };
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (!held.size) dragged = false;
    held.set(event.pointerId, [event.clientX, event.clientX]);
  });
  box.addEventListener("pointermove", (event) => {
    const pointer = held.get(event.pointerId);
    if (!pointer) return event.pointerType === "mouse" && tell(event, 2);
    if (!dragged && held.size === 1 && Math.abs(event.clientX - pointer[0]) < 5) return;
    dragged = true;
    box.setPointerCapture(event.pointerId);
    const others = [...held].filter(([id]) => id !== event.pointerId).map(([, [, x]]) => x);
    if (others.length) {
      const [before, after] = [Math.abs(pointer[1] - others[0]), Math.abs(event.clientX - others[0])];
      const middle = (event.clientX + others[0]) / 2 - box.getBoundingClientRect().left;
      if (before > 8 && after > 8) zoom(after / before, roll.timeAt(middle));
    } else {
      if (player.playing) setFollowing(false);
      roll.look(roll.from - (roll.timeAt(1e4 + event.clientX) - roll.timeAt(1e4 + pointer[1])));
      redraw();
    }
    pointer[1] = event.clientX;
  });
  box.addEventListener("pointerup", (event) => {
    if (held.delete(event.pointerId) && !dragged) {
      tell(event, event.pointerType === "mouse" ? 2 : 10);
      player.seek(roll.timeAt(place(event)[0]));
    }
  });
  box.addEventListener("pointercancel", (event) => held.delete(event.pointerId));
  box.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "mouse") return;
    held.delete(event.pointerId);
    roll.hovered = -1;
    tip.hidden = true;
    redraw();
  });
  box.addEventListener("wheel", (event) => {
    const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(-event.deltaY / 200), roll.timeAt(place(event)[0]));
    else if (Math.abs(across) > (event.shiftKey ? 0 : Math.abs(event.deltaY))) {
      if (player.playing) setFollowing(false);
      roll.look(roll.from + roll.timeAt(1e4 + across) - roll.timeAt(1e4));
      redraw();
    } else return; // the page scrolls
    event.preventDefault();
  }, { passive: false });
}

/** The notes of the shown instruments as a table, a hundred at a time, made when it is opened. */
function wireTable() {
  const size = 100;
  let first = 0;
  const fill = () => {
    if (!$("list").open) return;
    const shown = notes.start.map((_, i) => i).filter((i) => visible(notes.instrument[i]));
    first = Math.max(0, Math.min(first, Math.floor((shown.length - 1) / size) * size));
    $("rows").replaceChildren(...shown.slice(first, first + size).map((i) => {
      const note = describe(i);
      const row = document.createElement("tr");
      for (const key of ["start", "length", "pitch", "instrument", "velocity", "confidence"]) row.insertCell().textContent = note[key];
      const go = Object.assign(document.createElement("button"), { type: "button", textContent: note.start, className: "link" });
      go.setAttribute("aria-label", `Go to ${note.start}`);
      go.addEventListener("click", () => seek(notes.start[i]));
      row.cells[0].replaceChildren(go);
      return row;
    }));
    $("range").textContent = shown.length ? `${first + 1}–${Math.min(first + size, shown.length)} of ${shown.length}` : "All instruments are muted";
    $("earlier").disabled = first === 0;
    $("later").disabled = first + size >= shown.length;
  };
  $("list").addEventListener("toggle", fill);
  document.addEventListener("visible", fill);
  $("earlier").addEventListener("click", () => ((first -= size), fill()));
  $("later").addEventListener("click", () => ((first += size), fill()));
}

showSoundState();
redraw();
