"""A network that looks closely at each note, then at the notes around it."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ottava.results import FAMILIES
from ottava.systems.transcription.families.naming import FRAMES, HEARD, LEAD, PARTIALS, PITCHES
from ottava.systems.transcription.train.network import conv

__all__ = ["FamilyNetwork"]

_NEAR_S = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Time constants of how near two onsets are."""


class FamilyNetwork(nn.Module):
    """Families of a group of neighbouring notes.

    Parameters
    ----------
    channels : int
        Channels of the features.
    widths : sequence of int
        Channels of the convolutions over time and frequency.
    sound : int
        Channels of the convolutions over a note's partials in time.
    hidden : int
        Width of a note's description.
    heads, layers : int
        Of the attention among notes.
    dropout : float
        In training.
    """

    partials: Tensor
    moments: Tensor
    near_s: Tensor

    def __init__(
        self,
        channels: int = 2,
        widths: tuple[int, ...] = (16, 16, 16),
        sound: int = 256,
        hidden: int = 256,
        heads: int = 8,
        layers: int = 3,
        dropout: float = 0.15,
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, widths[0], (5, 5)),
            *(_separable(a, b, 2**n) for n, (a, b) in enumerate(pairwise(widths))),
        )
        self.sound = nn.Sequential(
            _Halve(widths[-1] * len(PARTIALS), sound),
            _Halve(sound, sound),
            nn.Flatten(),
            nn.Linear(sound * FRAMES // 4, hidden),
        )
        self.pitch = nn.Embedding(PITCHES, hidden)
        self.heard = nn.Sequential(nn.Linear(HEARD, 64), nn.ReLU(), nn.Linear(64, hidden, bias=False))
        self.norm = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(dropout)
        self.alone = nn.Linear(hidden, len(FAMILIES) + 1)
        self.layers = nn.ModuleList(_Attention(hidden, heads, dropout) for _ in range(layers))
        self.together = nn.Linear(hidden, len(FAMILIES) + 1)
        nn.init.normal_(self.pitch.weight, std=0.1)
        nn.init.zeros_(self.heard[2].weight)
        steps = [round(36 * math.log2(ratio)) for ratio in PARTIALS]  # of a third of a semitone
        self.register_buffer("partials", torch.tensor(steps), persistent=False)
        self.register_buffer("moments", torch.arange(FRAMES), persistent=False)
        self.register_buffer("near_s", torch.tensor(_NEAR_S), persistent=False)
        self.body.to(memory_format=torch.channels_last)  # a sixth quicker in training on a CPU

    def forward(
        self, levels: Tensor, frame: Tensor, pitch: Tensor, time_s: Tensor, heard: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits of each note by itself, and of each among the others: families, then whether it is one.

        Both are of shape (B, N, 7).

        Parameters
        ----------
        levels : Tensor, shape (B, channels, T, bins)
            Levels of :class:`ottava.signal.logfreq.LogFrequency`, three bins to the semitone from A0.
        frame : Tensor of int64, shape (B, N)
            Frames of the onsets.
        pitch : Tensor of int64, shape (B, N)
            Semitones from A0.
        time_s : Tensor, shape (B, N)
            Onsets in seconds; only differences matter.
        heard : Tensor, shape (B, N, HEARD)
            What the network for notes says of the onsets; zeros where they are known to be true.
        """
        described = self.describe(levels, frame, pitch, heard)
        return self.alone(self.dropout(described)), self.compare(described, pitch, time_s)

    def describe(self, levels: Tensor, frame: Tensor, pitch: Tensor, heard: Tensor) -> Tensor:
        """Return what each note sounds like by itself, (B, N, hidden); arguments are those of :meth:`forward`."""
        y = F.pad(self.body(levels), (1, 1, LEAD, FRAMES))  # one silent bin on either side stands for all beyond
        batch, width, frames, bins = y.shape
        columns = y.permute(0, 2, 3, 1).reshape(-1, width)
        # Where each note's lead begins, then all moments and partials.
        row = torch.arange(batch, device=y.device)[:, None] * frames + frame
        partial = torch.clamp(3 * pitch[..., None] + self.partials + 1, 0, bins - 1)
        at = (row[..., None, None] + self.moments[:, None]) * bins + partial[:, :, None]
        seen = torch.index_select(columns, 0, at.flatten()).view(-1, FRAMES, len(PARTIALS) * width)
        described = self.sound(seen) + self.pitch(pitch.flatten()) + self.heard(heard.flatten(0, 1))
        return torch.relu(self.norm(described)).unflatten(0, pitch.shape)

    def described_by(self) -> tuple[nn.Module, ...]:
        """Return what describes a note by itself."""
        return self.body, self.sound, self.pitch, self.heard, self.norm, self.alone

    def compare(self, described: Tensor, pitch: Tensor, time_s: Tensor) -> Tensor:
        """Return logits (B, N, 7) of notes among the others, from their descriptions."""
        near = torch.exp(-(time_s[:, :, None] - time_s[:, None, :]).abs()[..., None] / self.near_s)
        interval = pitch[:, :, None] - pitch[:, None, :] + PITCHES - 1
        for layer in self.layers:
            described = layer(described, near, interval)
        logits: Tensor = self.together(self.dropout(described))
        return logits


def _separable(inputs: int, outputs: int, dilation: int) -> nn.Sequential:
    """Return what :func:`conv` does with a third of the work: each channel by itself, then all at each place."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, 1, (dilation, 1), (dilation, 1), groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Halve(nn.Module):
    """A convolution over three frames that keeps every second, from (N, T, inputs) to (N, T / 2, outputs); T is even.

    Written as one product of matrices: over so few frames a runtime takes half as long for that.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(3 * inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 1, 0))
        y = self.weigh(torch.cat([x[:, :-1:2], x[:, 1::2], x[:, 2::2]], dim=2))
        return torch.relu(self.norm(y.flatten(0, 1))).view(y.shape)


class _Attention(nn.Module):
    """A Transformer layer among notes; how near they are in time, and the interval, enter each head as a bias."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.near = nn.Linear(len(_NEAR_S), heads, bias=False)
        self.interval = nn.Embedding(2 * PITCHES - 1, heads)
        nn.init.zeros_(self.interval.weight)
        self.leave = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, near: Tensor, interval: Tensor) -> Tensor:
        """Mix notes (B, N, width), given how near they are (B, N, N, times) and their intervals (B, N, N)."""
        q, k, v = self.project(self.norm(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = (self.near(near) + self.interval(interval)).permute(0, 3, 1, 2)
        weight = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5 + bias
        mixed = (torch.softmax(weight, dim=3) @ v).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.leave(mixed))
        y: Tensor = x + self.dropout(self.feed(x))
        return y
