"""Tiny corpora in the layouts of the real ones: sine tones and a handful of notes, known to the tests.

Every truth has the two notes of :data:`NOTES`, in the form in which the corpus writes them, unless said
otherwise.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import symusic

NOTES = ((0.5, 1.0, 60, 80), (1.0, 2.0, 64, 50))
"""Start and end in seconds, pitch, velocity. At 120 quarter notes a minute, quarters are half seconds."""


def sine(path: Path, seconds: float = 0.2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(int(seconds * 8000)) * 0.3), 8000)


def midi(
    path: Path, notes=NOTES, *, program: int = 0, drums: bool = False, name: str = "", pedal=(), quarter_s=0.5
) -> None:
    """Write notes with an explicit tempo; pedal is a list of (time in seconds, value)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    score = symusic.Score(480)
    score.tempos.append(symusic.Tempo(0, 60 / quarter_s))
    track = symusic.Track(name, program, drums)
    for start, end, pitch, velocity in notes:
        ticks = [round(time / quarter_s * 480) for time in (start, end)]
        track.notes.append(symusic.Note(ticks[0], ticks[1] - ticks[0], pitch, velocity))
    for time, value in pedal:
        track.controls.append(symusic.ControlChange(round(time / quarter_s * 480), 64, value))
    score.tracks.append(track)
    score.dump_midi(path)


def table(path: Path, header: str, *rows: tuple[object, ...], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header.split(","))
        writer.writerows(rows)


def maestro(folder: Path) -> None:
    rows = []
    for split, year, composer, title in (
        ("train", 2004, "Franz Schubert", "Sonata in A Major, D. 664"),
        ("validation", 2006, "Claude Debussy", "Étude No. 6"),
        ("test", 2018, "Fryderyk Chopin", "Ballade No. 1"),
    ):
        stem = f"{year}/MIDI-Unprocessed_{split}_wav--1"
        midi(folder / f"{stem}.midi", pedal=[(0.7, 127), (1.5, 0)])
        sine(folder / f"{stem}.wav")
        rows.append((composer, title, split, year, f"{stem}.midi", f"{stem}.wav", 2.0))
    header = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration"
    table(folder / "maestro-v3.0.0.csv", header, *rows)


def musicnet(folder: Path) -> None:
    """Programs count from 1: 41 is the violin. The labels of the real set have seven columns."""
    for split, name, program in (("train", "1727", 1), ("train", "2186", 41), ("test", "2303", 61)):
        rows = [
            (int(start * 44100), int(end * 44100), program, pitch, 0.0, 1.0, "Quarter")
            for start, end, pitch, _ in NOTES
        ]
        header = "start_time,end_time,instrument,note,start_beat,end_beat,note_value"
        table(folder / f"musicnet/{split}_labels/{name}.csv", header, *rows)
        sine(folder / f"musicnet/{split}_data/{name}.wav")


def guitarset(folder: Path) -> None:
    """Six strings, each with an annotation of its own; pitches are measured, so not whole."""
    for stem in ("00_BN1-129-Eb_comp", "05_BN3-154-E_solo"):
        strings = [
            {
                "namespace": "note_midi",
                "annotation_metadata": {"data_source": str(string)},
                "data": [
                    {"time": start, "duration": end - start, "value": pitch + 0.18, "confidence": None}
                    for number, (start, end, pitch, _) in enumerate(NOTES)
                    if string == number + 2
                ],
            }
            for string in range(6)
        ]
        other = {"namespace": "beat_position", "annotation_metadata": {}, "data": []}
        path = folder / "annotation" / f"{stem}.jams"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"annotations": [other, *strings], "file_metadata": {}, "sandbox": {}}))
        sine(folder / "audio_mono-mic" / f"{stem}_mic.wav")


def slakh(folder: Path) -> None:
    """S00 piano, S01 drums, S02 bass, S03 was not rendered, S04 is a sound effect."""
    stems = (
        ("S00", "Piano", 0, False, True),
        ("S01", "Drums", 128, True, True),
        ("S02", "Bass", 33, False, True),
        ("S03", "Guitar", 24, False, False),
        ("S04", "Sound Effects", 126, False, True),
    )
    for split, number in (("train", 1), ("validation", 1501), ("test", 1876), ("omitted", 30)):
        track = folder / "slakh2100_flac_redux" / split / f"Track{number:05}"
        sine(track / "mix.flac")
        about = ["UUID: 1a81ae092884234f3264e2f45927f00a", "normalized: true", "stems:"]
        for name, kind, program, drums, rendered in stems:
            about += [
                f"  {name}:",
                f"    audio_rendered: {str(rendered).lower()}",
                f"    inst_class: {kind}",
                f"    is_drum: {str(drums).lower()}",
                "    midi_saved: true",
                f"    program_num: {program}",
            ]
            notes = [(start, end, 36 if drums else pitch, v) for start, end, pitch, v in NOTES]
            midi(track / "MIDI" / f"{name}.mid", notes, program=program % 128, drums=drums)
            if rendered:
                sine(track / "stems" / f"{name}.flac")
        (track / "metadata.yaml").write_text("\n".join(about) + "\n")


def maps(folder: Path) -> None:
    """One piece is played by a sampled piano and by the Disklavier; one of the archives unpacks deeper."""
    for place, stem in (
        ("AkPnBcht/MUS", "MAPS_MUS-alb_se3_AkPnBcht"),
        ("AkPnBcht/MUS", "MAPS_MUS-chpn-p4_AkPnBcht"),
        ("MAPS_ENSTDkAm_2/ENSTDkAm/MUS", "MAPS_MUS-chpn-p4_ENSTDkAm"),
        ("ENSTDkCl/MUS", "MAPS_MUS-bor_ps6_ENSTDkCl"),
    ):
        rows = [(start, end, pitch) for start, end, pitch, _ in NOTES]
        table(folder / place / f"{stem}.txt", "OnsetTime,OffsetTime,MidiPitch", *rows, delimiter="\t")
        sine(folder / place / f"{stem}.wav")
        midi(folder / place / f"{stem}.mid")
    sine(folder / "AkPnBcht/ISOL/NO/MAPS_ISOL_NO_F_S0_M60_AkPnBcht.wav")


def groove(folder: Path) -> None:
    """The kit's own keys: 22 and 26 are hi-hat edges, 58 a tom's rim."""
    hits = ((0.5, 0.6, 36, 80), (0.5, 0.6, 22, 50), (1.0, 1.1, 26, 50), (1.5, 1.6, 58, 90))
    rows = []
    for split, drummer in (("train", 1), ("validation", 5), ("test", 7)):
        stem = f"drummer{drummer}/session1/1_funk_120_beat_4-4"
        midi(folder / "groove" / f"{stem}.mid", hits, drums=True)
        start = (f"drummer{drummer}", f"drummer{drummer}/session1", f"drummer{drummer}/session1/1")
        rows.append((*start, "funk", 120, "beat", "4-4", f"{stem}.mid", f"{stem}.wav", 2.0, split))
    header = "drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,audio_filename,duration,split"
    table(folder / "groove" / "info.csv", header, *rows)


MUSICXML = """<?xml version="1.0" encoding="UTF-8"?>
<score-partwise version="3.1">
  <part-list>
    <score-part id="P1"><part-name>Singstimme
Voice</part-name>
      <midi-instrument id="P1-I1"><midi-program>69</midi-program></midi-instrument>
    </score-part>
    <score-part id="P2"><part-name>Piano</part-name>
      <midi-instrument id="P2-I1"><midi-program>1</midi-program></midi-instrument>
    </score-part>
  </part-list>
  <part id="P1">
    <measure number="0" implicit="yes">
      <attributes><divisions>2</divisions><time><beats>4</beats><beat-type>4</beat-type></time></attributes>
      <direction><sound tempo="60"/></direction>
      <note><pitch><step>G</step><octave>4</octave></pitch><duration>2</duration></note>
    </measure>
    <measure number="1">
      <note><grace/><pitch><step>B</step><octave>4</octave></pitch></note>
      <note><pitch><step>C</step><octave>5</octave></pitch><duration>8</duration><tie type="start"/></note>
    </measure>
    <measure number="2">
      <direction><sound tempo="120"/></direction>
      <note><pitch><step>C</step><octave>5</octave></pitch><duration>4</duration><tie type="stop"/></note>
      <note><pitch><step>D</step><octave>5</octave></pitch><duration>4</duration></note>
    </measure>
  </part>
  <part id="P2">
    <measure number="0" implicit="yes">
      <attributes><divisions>1</divisions></attributes>
      <note><rest/><duration>1</duration></note>
    </measure>
    <measure number="1">
      <note><pitch><step>C</step><octave>3</octave></pitch><duration>4</duration></note>
      <note><chord/><pitch><step>E</step><octave>3</octave></pitch><duration>4</duration></note>
    </measure>
    <measure number="2"><note><rest/><duration>4</duration></note></measure>
  </part>
</score-partwise>
"""
"""An upbeat of one quarter at 60, a tied note of six quarters into bar 2, where the tempo is 120."""


def mxl(path: Path, *, full_path: str = "score.xml") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        container = f"<container><rootfiles><rootfile full-path='{full_path}'/></rootfiles></container>"
        archive.writestr("META-INF/container.xml", container)
        archive.writestr(full_path, MUSICXML)


def lieder(folder: Path) -> None:
    mxl(folder / "scores/Schubert,_Franz/Winterreise,_D.911/01_Gute_Nacht/lc4985014.mxl")
    mxl(folder / "scores/Abbott,_Jane_Bingham/_/Just_for_Today/lc5088560.mxl")


def openewld(folder: Path) -> None:
    """The container of a title with an apostrophe is no XML, in the real set too."""
    title = "I_Wish_I_Was_in_Dixie's_Land"
    place = folder / "openewld/dataset/Dan_Emmett" / title
    mxl(place / f"{title}.mxl", full_path=f"{title}.xml")
    (place / f"{title}.csv").write_text("0.6,0.1\n")


def pop909(folder: Path) -> None:
    for name in ("001", "002"):
        midi(folder / f"POP909/{name}/{name}.mid", name="MELODY")
        (folder / f"POP909/{name}/beat_midi.txt").write_text("0.05 1.0 1.0\n")


def nottingham(folder: Path) -> None:
    for place in ("MIDI", "MIDI/melody", "MIDI/chords"):
        midi(folder / "nottingham" / place / "jigs107.mid")


def pairs(folder: Path) -> None:
    sine(folder / "a.flac")
    table(folder / "a.tsv", "onset_s,offset_s,pitch_midi,velocity", *NOTES, delimiter="\t")
    sine(folder / "deeper/b.wav")
    midi(folder / "deeper/b.mid")
    sine(folder / "no-truth.wav")


REPLICAS: dict[str, Callable[[Path], None]] = {
    write.__name__: write
    for write in (
        maestro, musicnet, guitarset, slakh, maps, groove, lieder, openewld, pop909, nottingham, pairs
    )
}  # fmt: skip
