"""Making the rendered corpus, item by item, repeatably and resumably."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from ottava.corpora.rendered import recording
from ottava.corpora.rendered.arrangement import arrange_ensemble, draw_program
from ottava.corpora.rendered.casting import Sources, open_samples, render_cast
from ottava.corpora.rendered.performance import DRUMS, Performance, humanise, press_pedal
from ottava.corpora.rendered.pieces import Groove, Piece, find_sources, made_up_piece
from ottava.corpora.rendered.shards import save_shard
from ottava.corpora.rendered.stems import plan_takes, record_stems
from ottava.corpora.rendered.synthesis import ModelledString
from ottava.errors import InputError, UsageError
from ottava.io.files import atomic_write
from ottava.results import FAMILIES, check_choice
from ottava.signal.logfreq import LogFrequency

__all__ = ["DEFAULT_KINDS", "Recipe", "make_item", "make_rendered"]

_VERSION = 2
_FEATURES = LogFrequency()
_WEIGHTS = {"lieder": 2.0, "pop909": 1.0}  # how often a corpus is drawn from: its textures, not its size
DEFAULT_KINDS = {"piano": 0.5, "ensemble": 0.35, "solo": 0.11, "drums": 0.04}
"""Shares of the kinds of item in the corpus of the shipped model."""
_SPLITS = ("train", "validation", "test")
_FORMS = ("features", "stems", "sound")
_TAKES = 4  # instruments that play each part of a piece in stems


@dataclass(frozen=True)
class Recipe:
    """What a rendered corpus is made from.

    Parameters
    ----------
    scores : tuple of pathlib.Path
        Folders of scores and grooves, see :func:`ottava.corpora.rendered.pieces.find_sources`. Without any, all
        pieces are made up.
    soundfonts : tuple of pathlib.Path
        Instruments for everything: General MIDI SoundFonts (``.sf2``), and configurations of TiMidity (``.cfg``) that
        list GUS patches. One named twice is drawn twice as often. Without any, only ``"piano"`` can be made, by
        string models.
    drum_soundfonts : tuple of pathlib.Path
        Further sources of drums only: SoundFonts with drum kits, and folders of Hydrogen's kits.
    piano_samples : tuple of tuple of pathlib.Path
        Sampled pianos, each a group of folders.
    samples : tuple of (str, pathlib.Path)
        Families, and folders of sampled instruments of theirs, for parts of ensembles and solos.
    without : tuple of (str, frozenset of int)
        Names of fonts (without suffix), and programs of theirs that must not be used; kits are negative, see
        :data:`ottava.corpora.rendered.performance.DRUMS`.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``: which pieces and grooves may be used.
    kinds : dict of str to float
        Shares of the kinds of item: ``"piano"``, ``"ensemble"``, ``"solo"`` (one family, not piano), ``"drums"``.
    length_s : float
        Length of an item in seconds.
    varied : bool
        Change timbres part by part, and let models play some parts, so that a few sources sound as many. Without it
        instruments sound as their source has them. Pianos are always varied.
    recorded : bool
        Put the sound into a room and through equipment; without it, it is what the instruments gave.
    """

    scores: tuple[Path, ...] = ()
    soundfonts: tuple[Path, ...] = ()
    drum_soundfonts: tuple[Path, ...] = ()
    piano_samples: tuple[tuple[Path, ...], ...] = ()
    samples: tuple[tuple[str, Path], ...] = ()
    without: tuple[tuple[str, frozenset[int]], ...] = ()
    split: str = "train"
    kinds: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_KINDS))
    length_s: float = 60.0
    varied: bool = True
    recorded: bool = True

    def __post_init__(self) -> None:
        if self.split not in _SPLITS:
            raise UsageError(f"split {self.split!r} is unknown", expected=", ".join(_SPLITS))
        beyond = set(self.kinds) - set(DEFAULT_KINDS)
        if beyond or (not self.soundfonts and set(self.kinds) != {"piano"}):
            raise UsageError(
                "these kinds of item cannot be made",
                found=", ".join(sorted(self.kinds)),
                expected="piano, ensemble, solo, drums; without a SoundFont only piano",
            )
        for family, _ in self.samples:
            check_choice("family", family, FAMILIES)
        if self.length_s < 5:
            raise UsageError(f"items of {self.length_s} s are too short", expected="5 s or more")
        fonts = tuple(path.stem for path in (*self.soundfonts, *self.drum_soundfonts))
        for name, _ in self.without:
            check_choice("font", name, fonts)

    @property
    def sources(self) -> Sources:
        """What ensembles and solos are played from."""
        return Sources(self.soundfonts, self.drum_soundfonts, self.samples, dict(self.without))


@lru_cache(maxsize=4)
def _sources(folders: tuple[Path, ...], split: str) -> tuple[dict[str, list[Piece]], list[Groove]]:
    return find_sources(folders, split)


def _draw_parts(recipe: Recipe, rng: np.random.Generator, *, made_up: float) -> tuple[str, list[Performance], float]:
    """Return a piece's name, its performance from somewhere in the middle, and its tempo."""
    by_corpus, _ = _sources(recipe.scores, recipe.split)
    for _attempt in range(8):
        if rng.random() < made_up or not by_corpus:
            name, bpm, parts = "made-up", rng.uniform(40, 110), [*made_up_piece(rng)]
        else:
            corpora = sorted(by_corpus)
            weights = np.array([_WEIGHTS[c] for c in corpora])
            pieces = by_corpus[corpora[rng.choice(len(corpora), p=weights / weights.sum())]]
            piece = pieces[int(rng.integers(len(pieces)))]
            name, bpm = piece.name, 80 * np.exp(rng.normal(0, 0.25))
            try:
                parts = piece.read()
            except InputError as error:
                warnings.warn(f"{error}; drawing another", stacklevel=2)
                continue
        parts = [p for p in parts if len(p.start_q)]
        if sum(len(p.start_q) for p in parts) < 20:
            continue  # an empty or nearly empty score
        if name != "made-up":
            shift = int(rng.integers(-7, 8))
            low = min(int(p.pitch_midi.min()) for p in parts)
            high = max(int(p.pitch_midi.max()) for p in parts)
            shift = int(np.clip(shift, 21 - low, 108 - high)) if high - low <= 87 else 0
            parts = [replace(p, pitch_midi=p.pitch_midi + shift) for p in parts]
        played = humanise(parts, rng, bpm=bpm)
        last_s = max(float(p.end_s.max()) for p in played if len(p))
        begin_s = rng.uniform(0, max(last_s - recipe.length_s, 0))
        cut = [p.window(begin_s, begin_s + recipe.length_s) for p in played]
        if sum(map(len, cut)) >= 20:
            return name, cut, bpm
    found = recipe.scores[0] if recipe.scores else None
    raise InputError("eight scores in a row were damaged or nearly empty", path=found)


def _merge(parts: list[Performance]) -> Performance:
    """Play several parts on one keyboard: a key can only be struck again once it is up."""
    joined = Performance(
        np.concatenate([p.start_s for p in parts]),
        np.concatenate([p.end_s for p in parts]),
        np.concatenate([p.pitch_midi for p in parts]),
        np.concatenate([p.velocity for p in parts]),
    )
    order = np.lexsort((joined.start_s, joined.pitch_midi))
    start_s, end_s, pitch = joined.start_s[order], joined.end_s[order].copy(), joined.pitch_midi[order]
    keep = np.ones(len(order), bool)
    keep[1:] = (pitch[1:] != pitch[:-1]) | (np.diff(start_s) > 0.04)
    start_s, end_s, pitch, velocity = start_s[keep], end_s[keep], pitch[keep], joined.velocity[order][keep]
    same = np.flatnonzero(pitch[:-1] == pitch[1:])
    end_s[same] = np.maximum(np.minimum(end_s[same], start_s[same + 1] - 0.005), start_s[same] + 0.02)
    order = np.argsort(start_s, kind="stable")
    return Performance(start_s[order], end_s[order], pitch[order], velocity[order])


def _draw_drums(recipe: Recipe, rng: np.random.Generator, bpm: float) -> Performance | None:
    _, grooves = _sources(recipe.scores, recipe.split)
    long_enough = [g for g in grooves if _stretch(g.bpm, bpm) is not None]
    if not long_enough:
        return None
    groove = long_enough[int(rng.integers(len(long_enough)))]
    played = groove.item.truth()
    stretch = _stretch(groove.bpm, bpm)
    assert stretch is not None
    start_s = played.start_s * stretch
    if not len(start_s):
        return None
    # Short fills and beats are repeated until the item is full.
    period_s = max(float(start_s[-1]) + 0.25 * 60 / bpm, 1.0)
    times = int(np.ceil(recipe.length_s / period_s))
    start_s = np.concatenate([start_s + i * period_s for i in range(times)])
    keep = start_s < recipe.length_s - 0.2
    pitch, velocity = (np.tile(a.astype(np.int64), times)[keep] for a in (played.pitch_midi, played.velocity))
    return Performance(start_s[keep], start_s[keep] + 0.1, pitch, velocity, DRUMS)


def _stretch(groove_bpm: float, bpm: float) -> float | None:
    """Return the factor on time that brings a groove to a tempo, its half or its double, if it is a mild one."""
    for factor in (groove_bpm / bpm, groove_bpm / bpm / 2, 2 * groove_bpm / bpm):
        if 0.7 <= factor <= 1.4:
            return factor
    return None


def _render_piano(
    recipe: Recipe, part: Performance, rng: np.random.Generator, tune: float
) -> tuple[NDArray[np.float32], str]:
    rate_hz = _FEATURES.rate_hz
    choice = rng.random()
    if choice < 0.4 and recipe.piano_samples:
        folders = recipe.piano_samples[int(rng.integers(len(recipe.piano_samples)))]
        sound = open_samples(folders).play(part, rng)
        return _retune(sound, rate_hz, tune), folders[0].name
    if choice >= 0.65 and recipe.soundfonts:
        font = recipe.soundfonts[int(rng.integers(len(recipe.soundfonts)))]
        instruments = recipe.sources.instruments(font)
        if programs := [p for p in (0, 0, 0, 0, 1, 1, 2, 3) if instruments.keys(p)]:
            program = int(rng.choice(programs))
            sound = instruments.play([replace(part, program=program)], rate_hz=rate_hz / tune)
            return sound, f"{font.stem}:{program}"
    return _retune(ModelledString(rng, rate_hz).play(part, rng), rate_hz, tune), "modelled string"


def _retune(sound: NDArray[np.float32], rate_hz: int, tune: float) -> NDArray[np.float32]:
    import soxr

    return np.asarray(soxr.resample(sound, rate_hz * tune, rate_hz, quality="MQ"), np.float32)


def make_item(
    recipe: Recipe, seed: int, index: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, object]]:
    """Make one item of the corpus.

    Parameters
    ----------
    recipe : Recipe
        Sources and shares.
    seed, index : int
        Name the item; the same pair gives the same item.

    Returns
    -------
    sound : ndarray of float32, shape (n,)
        Mono at the features' rate (16 kHz).
    notes : ndarray of float32, shape (m, 5)
        See :mod:`ottava.corpora.rendered`.
    about : dict
        Where it comes from, plain data.
    """
    rng = np.random.default_rng((seed, index, _SPLITS.index(recipe.split)))
    rate_hz = _FEATURES.rate_hz
    kinds = sorted(recipe.kinds)
    shares = np.array([recipe.kinds[k] for k in kinds])
    kind = kinds[rng.choice(len(kinds), p=shares / shares.sum())]
    # Played a little sharp or flat, and so a little faster or slower: one resampling.
    tune = 2 ** (rng.normal(0, 12) / 1200)
    cast: list[tuple[str, Performance]]
    if kind == "piano":
        name, parts, bpm = _draw_parts(recipe, rng, made_up=0.2)
        if len(parts) > 1 and rng.random() < 0.5:
            parts = parts[-1:] if len(parts[-1]) > 20 else parts
        part = heard = _merge(parts)
        if rng.random() < 0.6:
            heard = press_pedal(part, rng, period_s=60 / bpm * float(rng.choice([1, 2, 2, 3, 4])))
        sound, voices = _render_piano(recipe, heard, rng, tune)
        cast, sources = [("keys", part)], [voices]
    elif kind == "drums":
        name, bpm = "groove", rng.uniform(70, 150)
        drums = _draw_drums(recipe, rng, bpm)
        planned = [("drums", drums)] if drums is not None else []
    else:
        name, parts, bpm = _draw_parts(recipe, rng, made_up=0.1)
        if kind == "solo":
            family = str(rng.choice(list(FAMILIES)))
            part = parts[int(rng.integers(len(parts)))] if rng.random() < 0.6 else _merge(parts)
            if not len(part):
                part = _merge(parts)
            planned = [(family, replace(part, program=draw_program(family, rng)))]
        else:
            beat = _draw_drums(recipe, rng, bpm) if rng.random() < 0.5 else None
            planned = arrange_ensemble(parts, beat, rng)
    if kind != "piano":
        cast, sound, sources = render_cast(
            planned,
            rng,
            sources=recipe.sources,
            length_s=recipe.length_s,
            tune=tune,
            rate_hz=rate_hz,
            varied=recipe.varied,
        )
    sound = sound[: int(recipe.length_s * rate_hz)]
    if recipe.recorded:
        sound = recording.record(sound, rng, rate_hz=rate_hz)
    else:
        sound = sound * np.float32(0.7 / max(float(np.abs(sound).max(initial=0)), 1e-9))
    rows = [
        (start / tune, end / tune, pitch, velocity, 6 if family == "drums" else FAMILIES.index(family))
        for family, part in cast
        for start, end, pitch, velocity in zip(part.start_s, part.end_s, part.pitch_midi, part.velocity, strict=True)
    ]
    notes = np.array(sorted(rows), np.float32).reshape(-1, 5)
    notes = notes[notes[:, 0] < len(sound) / rate_hz]
    return sound, notes, _about(recipe, seed, index, piece=name, kind=kind, sources=sources)


def _write_stems(recipe: Recipe, path: Path, seed: int, index: int) -> int:
    rng = np.random.default_rng((seed, index, _SPLITS.index(recipe.split)))
    tune = 2 ** (rng.normal(0, 12) / 1200)
    name, parts, bpm = _draw_parts(recipe, rng, made_up=0.1)
    beats = [beat for _ in range(_TAKES // 2) if (beat := _draw_drums(recipe, rng, bpm)) is not None]
    planned, part = plan_takes(parts, beats, _TAKES, rng)
    stems, sources = record_stems(
        planned,
        part,
        rng,
        sources=recipe.sources,
        length_s=recipe.length_s,
        tune=tune,
        varied=recipe.varied,
        recorded=recipe.recorded,
    )
    about = _about(recipe, seed, index, piece=name, kind="stems", sources=sources)
    counts = np.array([len(notes) for notes in stems.notes])
    save_shard(path, about, features=stems.features, part=stems.part, notes=np.concatenate(stems.notes), counts=counts)
    return int(counts.sum())


def _about(recipe: Recipe, seed: int, index: int, **more: object) -> dict[str, object]:
    return {**more, "split": recipe.split, "seed": seed, "index": index, "version": _VERSION}


def _write_item(recipe: Recipe, out: Path, seed: int, index: int, form: str) -> int:
    if form == "stems":
        return _write_stems(recipe, _path(out, recipe, seed, index, form), seed, index)
    sound, notes, about = make_item(recipe, seed, index)
    path = _path(out, recipe, seed, index, form)
    if form == "sound":
        # The truth first: an item counts as made once its sound is there.
        with atomic_write(path.with_suffix(".tsv"), force=True) as file:
            file.write(_table(notes).encode())
        with atomic_write(path) as file:
            soundfile.write(file, sound, _FEATURES.rate_hz, format="FLAC", subtype="PCM_16")
        return len(notes)
    levels = np.rint(np.clip(_FEATURES.features(sound), 0, 1) * 255).astype(np.uint8)
    save_shard(path, about, features=levels, notes=notes)
    return len(notes)


def _path(out: Path, recipe: Recipe, seed: int, index: int, form: str) -> Path:
    return out / recipe.split / f"{seed:03d}-{index:06d}{'.flac' if form == 'sound' else '.npz'}"


def _table(notes: NDArray[np.float32]) -> str:
    lines = ["onset_s\toffset_s\tpitch_midi\tvelocity\tinstrument"]
    for start, end, pitch, velocity, kind in notes.tolist():
        instrument = (*FAMILIES, "drums")[int(kind)]
        lines.append(f"{start:.5f}\t{end:.5f}\t{pitch:.0f}\t{velocity:.0f}\t{instrument}")
    return "\n".join(lines) + "\n"


def make_rendered(
    out: Path,
    recipe: Recipe,
    *,
    count: int,
    seed: int = 0,
    jobs: int = 1,
    form: str = "features",
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Make (or complete) a rendered corpus.

    Parameters
    ----------
    out : pathlib.Path
        Folder of the corpus; items already there are kept.
    recipe : Recipe
        Sources and shares.
    count : int
        Number of items.
    seed : int
        Seed of the corpus.
    jobs : int
        Processes.
    form : str
        ``"features"`` for shards to train on; ``"stems"`` for shards whose parts lie apart, each played by several
        instruments (the recipe's ``kinds`` are not used); or ``"sound"`` for FLAC files with their notes beside them
        (``.tsv``), which ``ottava evaluate`` and any other program can read.
    progress : callable or None
        Called with (items done, items in all).

    Returns
    -------
    int
        How many items were made now.
    """
    check_choice("form", form, _FORMS)
    if form == "stems" and not recipe.soundfonts:
        raise UsageError("stems need instruments", found="no SoundFont", expected="at least one")
    (out / recipe.split).mkdir(parents=True, exist_ok=True)
    todo = [i for i in range(count) if not _path(out, recipe, seed, i, form).exists()]
    done = count - len(todo)
    if jobs <= 1:
        for index in todo:
            _write_item(recipe, out, seed, index, form)
            done += 1
            if progress:
                progress(done, count)
        return len(todo)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(_write_item, recipe, out, seed, i, form) for i in todo]):
            future.result()
            done += 1
            if progress:
                progress(done, count)
    return len(todo)
