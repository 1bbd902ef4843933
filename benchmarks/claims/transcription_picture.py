"""What a U-Net makes of a spectrogram: the picture of claim 7, from what the claims kept.

    python benchmarks/claims/transcription_picture.py

Fundamentals of the notes that sound are marked; their harmonics lie 12 and 19 semitones above.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import matplotlib.figure
import numpy as np

from ottava.io.files import atomic_write

ROOT = Path(__file__).parents[2]


def draw(path: Path, out: Path) -> None:
    """Draw X above Z, each scaled to its own range, with the notes."""
    with np.load(path) as kept:
        pictures = {"X: log-frequency spectrum": kept["X"], "Z: what the U-Net made of it": kept["Z"]}
        sounding, frame_s, item = kept["sounding"], float(kept["frame_s"]), str(kept["item"])
    figure = matplotlib.figure.Figure(figsize=(10, 8), layout="constrained")
    for axes, (title, picture) in zip(figure.subplots(2, 1, sharex=True), pictures.items(), strict=True):
        values = picture.astype(np.float32)
        low, high = np.quantile(values, (0.02, 0.998))
        length_s, top = values.shape[1] * frame_s, 21 + values.shape[0] / 3
        axes.imshow(
            values, origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=high,
            extent=(0, length_s, 21 - 1 / 3, top - 1 / 3), interpolation="nearest",
        )  # fmt: skip
        pitch, frame = np.nonzero(sounding)
        axes.scatter((frame + 0.5) * frame_s, pitch + 21, s=1.2, c="#35e0c0", linewidths=0)
        axes.set(title=title, ylabel="MIDI pitch")
    axes.set_xlabel("seconds")
    figure.suptitle(f"Marked: fundamentals of the notes that sound ({item})", fontsize=10)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=90)
    with atomic_write(out, force=True) as file:
        file.write(drawn.getbuffer())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", type=Path, default=ROOT / "benchmarks/results/claims_transcription.npz")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/claims_z.png")
    options = parser.parse_args()
    if not options.kept.exists():
        parser.error(f"{options.kept}: not there; transcription.py writes it")
    draw(options.kept, options.out)
    print(options.out)


if __name__ == "__main__":
    main()
