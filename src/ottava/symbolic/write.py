"""Writing scores as MIDI: parts, tempo marks and meters, in musical time."""

from __future__ import annotations

import numpy as np

from ottava.symbolic.score import Score

__all__ = ["TICKS_PER_QUARTER", "write_score"]

TICKS_PER_QUARTER = 480


def write_score(score: Score) -> bytes:
    """Return a score as a MIDI file, format 1.

    Parameters
    ----------
    score : Score
        Its grace notes are left out: they have no length.

    Returns
    -------
    bytes
        Reading it again gives the same parts, tempos and meters, to the tick.
    """
    import symusic

    written = symusic.Score(TICKS_PER_QUARTER)
    for at, qpm in score.tempos:
        written.tempos.append(symusic.Tempo(round(at * TICKS_PER_QUARTER), qpm=qpm))
    for at, beats, unit in score.meters:
        written.time_signatures.append(symusic.TimeSignature(round(at * TICKS_PER_QUARTER), beats, unit))
    for part in score:
        track = symusic.Track(part.name, part.program or 0, part.drums)
        start = np.rint(part.start_q * TICKS_PER_QUARTER).astype(int)
        end = np.rint((part.start_q + part.duration_q) * TICKS_PER_QUARTER).astype(int)
        for begin, stop, pitch, velocity in zip(start, end, part.pitch_midi, part.velocity, strict=True):
            if stop > begin:
                track.notes.append(symusic.Note(int(begin), int(stop - begin), int(pitch), int(velocity)))
        written.tracks.append(track)
    data: bytes = written.dumps_midi()
    return data
