"""Read written music: MusicXML (``.mxl``, ``.musicxml``, ``.xml``), ABC and MIDI, in quarter notes.

A :class:`Score` keeps what :class:`ottava.results.Notes` has no room for: parts with their names, and musical
time. It is what gets performed and rendered; :meth:`Score.notes` plays it straight, at its marked tempo.

MusicXML is parsed by partitura, ABC by music21 (the ``[score]`` extra), MIDI by symusic. Repeats are not unfolded:
music sounds once, in the order in which it is written.
"""

from __future__ import annotations

import io
import os
import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.errors import InputError, MissingError
from ottava.io.rewrite import count_beginnings
from ottava.results import Notes
from ottava.symbolic.instruments import family_of_program

__all__ = ["DEFAULT_METER", "DEFAULT_TEMPO_QPM", "SUFFIXES", "Part", "Score", "read_abc", "read_score"]

DEFAULT_TEMPO_QPM = 120.0
"""Quarter notes per minute where a score marks no tempo: MIDI's own default."""

DEFAULT_METER = (4, 4)
"""Numerator and denominator where a score marks no meter, likewise."""

NOMINAL_VELOCITY = 64
"""Velocity of notes whose source gives none."""

SUFFIXES: tuple[str, ...] = (".mxl", ".musicxml", ".xml", ".abc", ".mid", ".midi")
"""Of files that can be read."""
# The sound that notation programs give to a vocal line is anything from oboe to choir; its name tells more.
_SINGING = re.compile(
    r"voi(x|ces?)|voc[ei]|vocals?|canto|chant|gesang|(sing)?stimme|sång|zang|(mezzo)?sopran[oi]?|mezzo"
    r"|(contr)?alto?|t[eé]nor[ei]?|bar[iy]ton[eo]?|ch(oi)?r|coro|chorus"
)
_PLAYING = re.compile(r"sax|flut|flöt|flaut|record|clarin|klarin|horn|tromb|posaun|viol|banjo|guit|drum|tuba|oboe")


_MOST_BYTES = 2**26  # of a score that is unpacked; a symphony has a tenth of that
_VOICE = re.compile(r"\[?V:\s*([^\s\]]+)([^\]\n]*)\]?(.*\n?)")  # which voice, what is told of it, and its notes
_VOICE_NAME = re.compile(r"\b(?:name|nm)\s*=\s*(?:\"([^\"]*)\"|(\S+))")


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """One part of a score, its notes sorted by onset and pitch.

    Parameters
    ----------
    name : str
        Name as written, on one line; may be empty.
    program : int or None
        General MIDI program, 0-127, if the score assigns one.
    drums : bool
        Pitches are General MIDI percussion keys.
    start_q, duration_q : numpy.ndarray of float64, shape (n,)
        In quarter notes from the start of the score. Grace notes last 0.
    pitch_midi : numpy.ndarray of int16, shape (n,)
        Sounding pitch, 0-127.
    velocity : numpy.ndarray of int16, shape (n,)
        1-127; 64 throughout where the source has none.
    """

    name: str
    program: int | None
    drums: bool
    start_q: NDArray[np.float64]
    duration_q: NDArray[np.float64]
    pitch_midi: NDArray[np.int16]
    velocity: NDArray[np.int16]

    @property
    def sings(self) -> bool:
        """Whether the part's name is that of a voice."""
        name = self.name.casefold()
        return any(map(_SINGING.fullmatch, re.findall(r"\w+", name))) and not _PLAYING.search(name)

    @property
    def instrument(self) -> str | None:
        """Family by name (voices) or program, ``"drums"``, or None if neither tells."""
        if self.drums:
            return "drums"
        if self.sings:
            return "voice"
        return None if self.program is None else family_of_program(self.program)

    def __len__(self) -> int:
        return len(self.pitch_midi)

    def __repr__(self) -> str:
        return f"Part({self.name!r}: {self.instrument}, {len(self)} notes)"


@dataclass(frozen=True, eq=False)
class Score:
    """Parts and tempo marks. Iterating gives the parts.

    Parameters
    ----------
    parts : tuple of Part
        In the score's order, those with notes.
    tempos : tuple of (float, float)
        Position in quarter notes and tempo in quarter notes per minute, sorted; the first at position 0.
    meters : tuple of (float, int, int)
        Position in quarter notes, and numerator and denominator of the meter from there on, sorted; the first at
        position 0.
    upbeat_q : float
        Length of an incomplete bar at the beginning, in quarter notes; 0 if there is none, or if the source does not
        tell, as MIDI.
    bars_q : tuple of float
        Where bars begin as they are written, complete or not, and at last where they end; empty if the source does not
        tell, as MIDI.
    lost : int
        Notes that begin and never end, which MIDI files may have; no part has them.
    """

    parts: tuple[Part, ...]
    tempos: tuple[tuple[float, float], ...]
    meters: tuple[tuple[float, int, int], ...] = ((0.0, *DEFAULT_METER),)
    upbeat_q: float = 0.0
    bars_q: tuple[float, ...] = ()
    lost: int = 0

    def __iter__(self) -> Iterator[Part]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def seconds(self, quarters: ArrayLike) -> NDArray[np.float64]:
        """Convert positions in quarter notes, 0 or later, to seconds."""
        at = np.asarray(quarters, dtype=np.float64)
        starts, tempos = np.array(self.tempos, dtype=np.float64).T
        begins_s = np.concatenate(([0.0], np.cumsum(np.diff(starts) * 60.0 / tempos[:-1])))
        which = np.searchsorted(starts, at, side="right") - 1
        seconds: NDArray[np.float64] = begins_s[which] + (at - starts[which]) * 60.0 / tempos[which]
        return seconds

    def notes(self, *, default: str = "keys") -> Notes:
        """Play the score as written: exact times, no grace notes.

        Parameters
        ----------
        default : str
            Family of parts whose instrument is unknown.
        """
        if not self.parts:
            return Notes.empty()
        columns: list[list[ArrayLike]] = [[] for _ in range(5)]
        for part in self.parts:
            held = part.duration_q > 0
            onset = part.start_q[held]
            end = onset + part.duration_q[held]
            instrument = np.full(len(onset), part.instrument or default)
            row: tuple[ArrayLike, ...] = (
                self.seconds(onset),
                self.seconds(end),
                part.pitch_midi[held],
                part.velocity[held],
                instrument,
            )
            for column, values in zip(columns, row, strict=True):
                column.append(values)
        start, stop, pitch, velocity, instrument = (np.concatenate(column) for column in columns)
        return Notes(start, stop, pitch, velocity, np.ones(len(start)), instrument).sorted()


def read_score(path: str | os.PathLike[str]) -> Score:
    """Read a MusicXML, ABC or MIDI file.

    Parameters
    ----------
    path : path-like
        ``.mxl``, ``.musicxml``, ``.xml``, ``.abc``, ``.mid`` or ``.midi``. Of several tunes in an ABC file, the first.

    Returns
    -------
    Score
        An upbeat starts at 0. No notes at all is valid: a score of no parts.

    Raises
    ------
    ottava.errors.InputError
        If the file is missing, damaged, or of another kind.
    ottava.errors.MissingError
        If partitura or music21 is needed and not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError("this is no score", path=path, found=suffix or "no suffix", expected=", ".join(SUFFIXES))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path) from error
    if suffix == ".abc":
        return _first_tune(path, data)
    return _read_midi(path, data) if suffix in (".mid", ".midi") else _read_musicxml(path, data)


def _read_midi(path: Path, data: bytes) -> Score:
    import symusic

    try:
        score = symusic.Score.from_midi(data)
    except Exception as error:  # symusic raises whatever its C++ core threw
        raise InputError(f"damaged MIDI: {error}", path=path) from error
    if score.tpq <= 0 or any(tempo.mspq <= 0 for tempo in score.tempos):
        raise InputError("damaged MIDI", path=path, found="a tempo or time base of zero")
    n_read = sum(len(track.notes) for track in score.tracks)
    lost = _count_lost(data, n_read)
    if lost and not n_read:
        raise InputError("damaged MIDI", path=path, found=f"{lost} notes that begin and never end")
    parts = []
    for track in score.tracks:
        notes = track.notes.numpy()
        onset, duration = notes["time"] / score.tpq, notes["duration"] / score.tpq
        velocity = np.clip(notes["velocity"], 1, 127)
        drums = track.is_drum
        parts.append(_part(track.name, track.program, drums, onset, duration, notes["pitch"], velocity))
    # By the MIDI standard the default tempo holds until the first mark, wherever that is.
    marks = [(tempo.time / score.tpq, tempo.qpm) for tempo in score.tempos]
    meters = [(mark.time / score.tpq, mark.numerator, mark.denominator) for mark in score.time_signatures]
    return replace(_score(parts, [(0.0, DEFAULT_TEMPO_QPM), *marks], meters), lost=lost)


def _count_lost(data: bytes, n_read: int) -> int:
    try:
        return max(count_beginnings(data) - n_read, 0)
    except InputError:  # what has been read is good enough to be read
        return 0


def _read_musicxml(path: Path, data: bytes) -> Score:
    try:
        import partitura
    except ImportError as error:
        raise MissingError(
            "reading MusicXML needs partitura", path=path, expected="pip install 'ottava[score]'"
        ) from error
    try:
        xml = _unpack(data)
        programs = _programs(ElementTree.fromstring(xml))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks about directions in words, which play no part here
            score = partitura.load_musicxml(io.BytesIO(xml), quiet=True)
            tables = [(part, partitura.utils.music.ensure_notearray(part)) for part in score.parts]
    except Exception as error:  # three parsers, each with errors of its own; all mean that the file is at fault
        raise InputError(f"damaged MusicXML: {error}", path=path) from error
    tempos = [
        (float(part.quarter_map(mark.start.t)) - _origin(part), float(mark.bpm))
        for part, _ in tables
        for mark in part.iter_all(partitura.score.Tempo)
        if mark.bpm > 0 and mark.unit in (None, "q")
    ]
    meters = [
        (float(part.quarter_map(mark.start.t)) - _origin(part), mark.beats, mark.beat_type)
        for part, _ in tables[:1]
        for mark in part.iter_all(partitura.score.TimeSignature)
    ]
    upbeat_q = -_origin(tables[0][0]) if tables else 0.0
    bars_q: list[float] = []
    for part, _ in tables[:1]:
        measures = sorted((measure.start.t, measure.end.t) for measure in part.iter_all(partitura.score.Measure))
        ends = [start for start, _ in measures] + [end for _, end in measures[-1:]]
        bars_q = [float(part.quarter_map(t)) - _origin(part) for t in ends]
    parts = []
    for part, table in tables:
        program, drums = programs.get(part.id, (None, False))
        onset, duration = table["onset_quarter"] - _origin(part), table["duration_quarter"]
        velocity = np.full(len(table), NOMINAL_VELOCITY)
        parts.append(_part(part.part_name or "", program, drums, onset, duration, table["pitch"], velocity))
    return _score(parts, tempos, meters, upbeat_q, bars_q)


def _first_tune(path: Path, data: bytes) -> Score:
    for _, score in read_abc(data.decode("utf-8", "replace"), path):
        return score
    raise InputError("no tune in it", path=path, expected="ABC with X:, K: and notes")


def read_abc(text: str, path: str | os.PathLike[str] | None = None) -> Iterator[tuple[str, Score]]:
    """Yield the title and the score of each tune of an ABC file.

    Parameters
    ----------
    text : str
        One tune or several, each beginning with ``X:``.
    path : path-like or None
        Only for messages.

    Raises
    ------
    ottava.errors.InputError
        If a tune cannot be parsed.
    ottava.errors.MissingError
        If music21 is not installed.
    """
    try:
        from music21 import converter
    except ImportError as error:
        raise MissingError("reading ABC needs music21", path=path, expected="pip install 'ottava[score]'") from error
    head, *tunes = re.split(r"^(?=X:)", text, flags=re.MULTILINE)
    for tune in tunes or [head]:
        title = re.search(r"^T:\s*(.*?)\s*$", tune, flags=re.MULTILINE)
        if not re.search(r"^K:", tune, flags=re.MULTILINE):
            raise InputError("no ABC", path=path, found="no line K:", expected="a key, and notes after it")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # remarks about what is not played
                streams = [(name, converter.parseData(text, format="abc")) for name, text in _split_voices(tune)]
                score = _from_music21([(name, s.parts[0] if s.parts else s) for name, s in streams])
        except Exception as error:  # music21 raises errors of many unrelated kinds
            raise InputError(f"damaged ABC: {error}", path=path, found=title[1] if title else None) from error
        yield (title[1] if title else ""), score


def _split_voices(tune: str) -> list[tuple[str, str]]:
    """Return name and text of each voice of a tune in ABC: the head, and the lines of the voice.

    Voices take turns line by line, and are told of in the head; music21 knows neither.
    """
    marks = [mark for mark in map(_VOICE.match, tune.splitlines()) if mark]
    if len(marks) < 2:
        return [("", tune)]
    names: dict[str, str] = {}
    for mark in marks:
        told = _VOICE_NAME.search(mark[2])
        names[mark[1]] = (
            (told[1] or told[2] or "") if told else names.get(mark[1], "" if mark[1].isdecimal() else mark[1])
        )
    top, key, body = re.split(r"(^K:.*\n?)", tune, maxsplit=1, flags=re.MULTILINE)
    head = "".join(line for line in top.splitlines(keepends=True) if not _VOICE.match(line)) + key
    texts = dict.fromkeys(names, "")
    voice = next(iter(names))
    for line in body.splitlines(keepends=True):
        turn = _VOICE.match(line)
        voice = turn[1] if turn else voice
        texts[voice] += turn[3].lstrip() if turn else line
    return [(names[voice], head + text) for voice, text in texts.items() if text.strip()] or [("", tune)]


def _from_music21(voices: list[tuple[str, Any]]) -> Score:
    """Return a score of voices with their names. The first says where bars begin, and what the meter and tempo are."""
    first = voices[0][1]
    measures = list(first.getElementsByClass("Measure"))
    meters = [
        (float(mark.getOffsetInHierarchy(first)), mark.numerator, mark.denominator)
        for mark in first.recurse().getElementsByClass("TimeSignature")
    ]
    tempos = [
        (float(mark.getOffsetInHierarchy(first)), float(mark.getQuarterBPM()))
        for mark in first.recurse().getElementsByClass("MetronomeMark")
        if mark.number
    ]
    bars_q = [float(measure.offset) for measure in measures]
    if measures:
        bars_q.append(bars_q[-1] + float(measures[-1].duration.quarterLength))
    upbeat_q = bars_q[1] if measures and measures[0].paddingLeft > 0 else 0.0
    return _score([_read_voice(name, voice) for name, voice in voices], tempos, meters, upbeat_q, bars_q)


def _read_voice(name: str, voice: Any) -> Part:
    rows = []
    for measure in voice.getElementsByClass("Measure"):
        for note in measure.notes:
            if getattr(note, "pitches", None) and not (note.tie and note.tie.type in ("stop", "continue")):
                length, tied = float(note.quarterLength), note
                while tied.tie and tied.tie.type in ("start", "continue"):
                    tied = tied.next("Note")
                    if tied is None or not tied.tie:
                        break
                    length += float(tied.quarterLength)
                rows.append((float(measure.offset) + float(note.offset), length, max(p.midi for p in note.pitches)))
    onset, duration, pitch = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return _part(name, None, False, onset, duration, pitch, np.full(len(rows), NOMINAL_VELOCITY))


def _origin(part: Any) -> float:
    """Return where a part starts: partitura counts from the first full bar, each part by its own meter."""
    return float(part.quarter_map(part.first_point.t))


def _unpack(data: bytes) -> bytes:
    """Return the score inside a compressed file.

    The archive's own list of contents is not asked: notation programs have shipped lists that are no XML,
    and there is one score in it.
    """
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            name = member.filename
            if name.lower().endswith((".xml", ".musicxml")) and not name.startswith("META-INF/"):
                if member.file_size > _MOST_BYTES:
                    raise ValueError(f"a score of {member.file_size} bytes, more than {_MOST_BYTES}")
                return archive.read(member)
    raise ValueError("no score in the archive")


def _programs(root: ElementTree.Element) -> dict[str, tuple[int | None, bool]]:
    """Return program, counted from 0, and whether it is percussion, of each part's first instrument."""
    programs: dict[str, tuple[int | None, bool]] = {}
    for part in root.iter("score-part"):
        number = part.findtext("midi-instrument/midi-program")
        drums = part.findtext("midi-instrument/midi-channel") == "10"
        programs[part.get("id", "")] = (None if number is None else min(max(int(number) - 1, 0), 127), drums)
    return programs


def _part(
    name: str,
    program: int | None,
    drums: bool,
    onset: ArrayLike,
    duration: ArrayLike,
    pitch: ArrayLike,
    velocity: ArrayLike,
) -> Part:
    onset, pitch = np.asarray(onset, dtype=np.float64), np.asarray(pitch, dtype=np.int16)
    duration, velocity = np.asarray(duration, dtype=np.float64), np.asarray(velocity, dtype=np.int16)
    order = np.lexsort((pitch, onset))
    columns = tuple(column[order] for column in (onset, duration, pitch, velocity))
    return Part(" ".join(name.split()), program, drums, *columns)


def _score(
    parts: list[Part],
    tempos: list[tuple[float, float]],
    meters: list[tuple[float, int, int]],
    upbeat_q: float = 0.0,
    bars_q: list[float] | None = None,
) -> Score:
    """Drop empty parts and let the first tempo and meter hold from the start."""
    # Of marks at one position the last counts; the default comes first.
    signatures = {at: (beats, unit) for at, beats, unit in sorted(meters, key=lambda mark: mark[0])}
    marks = dict(sorted(tempos, key=lambda mark: mark[0]))
    if 0.0 not in signatures:
        signatures[0.0] = next(iter(signatures.values()), DEFAULT_METER)
    if 0.0 not in marks:
        # Music before the first mark is taken at that mark's tempo; scores print it over the first full bar.
        marks[0.0] = next(iter(marks.values()), DEFAULT_TEMPO_QPM)
    return Score(
        tuple(part for part in parts if len(part)),
        tuple(sorted(marks.items())),
        tuple((at, *meter) for at, meter in sorted(signatures.items())),
        max(upbeat_q, 0.0),
        tuple(bars_q or ()),
    )
