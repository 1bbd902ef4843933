"""The shipped network: a U-Net stacked in front of a transcription network, trained together.

``features (B, 2, T, 288)`` → U-Net → ``Z (B, z, T, 288)``, with no target of its own → semitones and their harmonics
→ convolutions that treat all pitches alike, beside a bottleneck that sees all pitches at once over a second of
time → heads. Everything is convolutional over time, so a file can be cut into chunks with a margin and stitched again
exactly. That is done in two halves: the first has most of the work and looks half a second around each frame; with the
margin that the bottleneck needs, it would do much of its work twice.

The U-Net in front is the paper's idea (Pedersoli, Tzanetakis and Yi, ICASSP 2020). Its sizes, the pooling in
frequency only, the transcription network behind it and the heads are ours.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ottava.systems.transcription.families.naming import PITCHES

__all__ = ["DrumNetwork", "PreStackedTranscriber", "UNet", "conv"]

N_DRUMS = 5
HARMONICS = (-12, 0, 12, 19, 24, 28, 31, 34, 36)
"""Semitones from a pitch to its lower octave, itself, and its partials 2 to 8."""
_COMBS = ((-12, 0, 12, 24, 36), (28, 31, 34), (19,))
"""The same, in groups that lie equally far apart: one dilated convolution each."""


def conv(
    inputs: int, outputs: int, kernel: tuple[int, int], *, stride: tuple[int, int] = (1, 1), dilation: int = 1
) -> nn.Sequential:
    """Return convolution, batch normalisation and ReLU; pairs are (time, frequency), the dilation is in time."""
    padding = (kernel[0] // 2 * dilation, kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, (dilation, 1), bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """U-Net over (time, frequency) that pools in frequency only and ends without an activation.

    Parameters
    ----------
    inputs, outputs : int
        Channels of X and Z.
    widths : sequence of int
        Channels of each level; every level halves the number of bins.
    """

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, ...] = (8, 16, 24, 32)) -> None:
        super().__init__()
        self.stem = conv(inputs, widths[0], (3, 3))
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(conv(a, b, (3, 3), stride=(1, 2)), conv(b, b, (3, 3), dilation=2 if b == widths[-1] else 1))
            for a, b in pairs
        )
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in reversed(pairs))
        self.up = nn.ModuleList(conv(a, a, (3, 3)) for a, _ in list(reversed(pairs))[:-1])
        self.last = nn.Conv2d(widths[0], outputs, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return Z with as many bins as ``x``, and the features of the lowest level."""
        levels = [self.stem(x)]
        for down in self.down:
            levels.append(down(levels[-1]))
        y = bottom = levels.pop()
        for i, narrow in enumerate(self.narrow):
            y = torch.relu(F.interpolate(narrow(y), scale_factor=(1.0, 2.0)) + levels.pop())
            if i < len(self.up):
                y = self.up[i](y)
        return self.last(y), bottom


class _Dilated(nn.Module):
    """A residual layer over time."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.norm(self.conv(x)))


class DrumNetwork(nn.Module):
    """Hits of drums from broad bands of the features; shares nothing with the notes.

    Parameters
    ----------
    channels, bins : int
        Size of the features.
    widths : sequence of int
        Channels of the convolutions, of which the first divides the number of bins by 4, each other by 2.
    hidden : int
        Width of the layers over time.
    dilations : sequence of int
        Dilation of each of those.
    """

    def __init__(
        self,
        channels: int = 2,
        bins: int = 288,
        widths: tuple[int, ...] = (16, 24, 32),
        hidden: int = 96,
        dilations: tuple[int, ...] = (1, 2, 4, 8),
    ) -> None:
        super().__init__()
        strides = (4, *(2 for _ in widths[1:]))
        self.bands = nn.Sequential(
            *(
                conv(a, b, (3, 7 if s == 4 else 3), stride=(1, s))
                for (a, b), s in zip(pairwise((channels, *widths)), strides, strict=True)
            )
        )
        self.enter = nn.Sequential(
            nn.Conv1d(widths[-1] * (bins >> (len(widths) + 1)), hidden, 1, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
        )
        self.context = nn.Sequential(*(_Dilated(hidden, d) for d in dilations))
        self.hits = nn.Conv1d(hidden, 2 * N_DRUMS, 3, padding=1)
        self.margins_frames = (len(widths), sum(dilations) + 1)  # of either half
        with torch.no_grad():
            assert self.hits.bias is not None
            self.hits.bias[:N_DRUMS] = -4.0

    def embed(self, x: Tensor) -> Tensor:
        """Return the first half's view of each frame, (B, hidden, T)."""
        embedded: Tensor = self.enter(_flatten(self.bands(x)))
        return embedded

    def forward(self, embedded: Tensor) -> Tensor:
        """Return logits (B, T, 10), onsets and velocities of each class, from what :meth:`embed` returns."""
        hits: Tensor = self.hits(self.context(embedded))
        return hits.transpose(1, 2)


class PreStackedTranscriber(nn.Module):
    """U-Net and transcription network in one, and beside them a network for drums.

    Parameters
    ----------
    channels : int
        Channels of the features.
    bins : int
        Log-frequency bins, three to the semitone from A0 on; a multiple of 24.
    unet_widths : sequence of int
        See :class:`UNet`.
    z_channels : int
        Channels of the U-Net's output.
    width : int
        Channels of each pitch in the transcription network; divides ``context``, and 96.
    context : int
        Width of the bottleneck that sees all pitches.
    dilations : sequence of int
        Dilation of each layer of the bottleneck.
    """

    def __init__(
        self,
        channels: int = 2,
        bins: int = 288,
        unet_widths: tuple[int, ...] = (8, 16, 24, 32),
        z_channels: int = 4,
        width: int = 32,
        context: int = 256,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 16),
    ) -> None:
        super().__init__()
        self.width, self.n_semitones, self.for_notes = width, bins // 3, PITCHES + context // width
        self.unet = UNet(channels, z_channels, tuple(unet_widths))
        self.semitones = conv(channels + z_channels, width // 2, (3, 3), stride=(1, 3))
        self.harmonics = conv(width // 2 * len(HARMONICS), width, (1, 1))
        self.local = nn.Sequential(conv(width, width, (3, 3)), conv(width, width, (5, 1)))
        share = 6
        self.gather = conv(width, share, (1, 1))
        self.lowest = conv(unet_widths[-1], 8, (1, 1))
        flat = PITCHES * share + 8 * (bins >> (len(unet_widths) - 1))
        self.enter = nn.Sequential(
            nn.Conv1d(flat, context, 1, bias=False), nn.BatchNorm1d(context), nn.ReLU(inplace=True)
        )
        self.context = nn.Sequential(*(_Dilated(context, d) for d in dilations))
        self.spread = nn.Conv1d(context, PITCHES * share, 1)
        self.merge = conv(width + share, width + width // 2, (3, 1))
        self.notes = nn.Conv2d(width + width // 2, 4, 1)
        self.drums = DrumNetwork(channels, bins)
        # Frames around a frame that the outputs of either half depend on: each layer's reach in time, added up.
        levels = len(unet_widths) - 1
        notes_reach = ((1 + 2 * levels + 1 + (levels - 1) + 1) + (1 + 1 + 2), sum(dilations) + 1)
        self.margins_frames = tuple(max(pair) for pair in zip(notes_reach, self.drums.margins_frames, strict=True))
        # Onsets and offsets are rare; start from their usual frequency rather than from one half.
        with torch.no_grad():
            assert self.notes.bias is not None
            self.notes.bias[:3] = torch.tensor([-4.5, -3.0, -4.5])

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Return logits.

        Parameters
        ----------
        features : Tensor, shape (B, channels, T, bins)
            Levels of :class:`ottava.signal.logfreq.LogFrequency`.

        Returns
        -------
        dict of str to Tensor
            ``onset``, ``frame``, ``offset``, ``velocity`` of shape (B, T, 88); ``drum_onset``, ``drum_velocity``
            (B, T, 5). All logits.
        """
        return self.note_logits(self.embed_notes(features)) | self.drum_logits(self.embed_drums(features))

    def embed(self, features: Tensor) -> Tensor:
        """Return the first half's view of each frame, (B, width, T, columns): for notes, then for drums."""
        return torch.cat([self.embed_notes(features), self.embed_drums(features)], dim=3)

    def embed_notes(self, features: Tensor) -> Tensor:
        """Return the columns of :meth:`embed` that notes come from: one for each pitch, others for all together."""
        x = features * 2 - 1
        z, bottom = self.unet(x)
        semitones = self.semitones(torch.cat([x, z], dim=1))
        local = self.local(self._gather_harmonics(semitones))
        flat = torch.cat([_flatten(self.gather(local)), _flatten(self.lowest(bottom))], dim=1)
        return torch.cat([local, self._columns(self.enter(flat))], dim=3)

    def embed_drums(self, features: Tensor) -> Tensor:
        """Return the columns of :meth:`embed` that drums come from."""
        return self._columns(self.drums.embed(features * 2 - 1))

    def _columns(self, x: Tensor) -> Tensor:
        """Turn (B, width * n, T) into (B, width, T, n)."""
        return x.unflatten(1, (self.width, -1)).transpose(2, 3)

    def note_logits(self, embedded: Tensor) -> dict[str, Tensor]:
        """Return those of :meth:`forward` that speak of notes, from what :meth:`embed_notes` returns."""
        local = embedded[..., :PITCHES]
        context = self.context(_flatten(embedded[..., PITCHES:]))
        spread = self.spread(context).unflatten(1, (-1, PITCHES)).transpose(2, 3)
        convolution, norm, activation = self.merge
        # In two, as runtimes are quicker, and hold less, where the number of channels is a multiple of 16.
        width, padding = self.width, convolution.padding
        merged = F.conv2d(local, convolution.weight[:, :width], padding=padding)
        merged = merged + F.conv2d(torch.relu(spread), convolution.weight[:, width:], padding=padding)
        merged = activation(norm(merged))
        notes = self.notes(merged).permute(0, 2, 3, 1)
        return {name: notes[..., i] for i, name in enumerate(("onset", "frame", "offset", "velocity"))}

    def drum_logits(self, embedded: Tensor) -> dict[str, Tensor]:
        """Return those of :meth:`forward` that speak of drums, from what :meth:`embed_drums` returns."""
        drums = self.drums(_flatten(embedded))
        return {"drum_onset": drums[..., :N_DRUMS], "drum_velocity": drums[..., N_DRUMS:]}

    def _gather_harmonics(self, semitones: Tensor) -> Tensor:
        """Weigh for each pitch what lies at its harmonics; beyond the ends there is nothing.

        One convolution of nine shifted copies, side by side, would say the same, but they would be by far the most that
        the network holds at any time.
        """
        below, above = -min(HARMONICS), max(HARMONICS)
        padded = F.pad(semitones, (below, above + PITCHES - self.n_semitones))
        convolution, norm, activation = self.harmonics
        weight = convolution.weight.unflatten(1, (len(HARMONICS), -1))[..., 0].permute(0, 2, 3, 1)
        parts = []
        for comb in _COMBS:
            spacing = comb[1] - comb[0] if len(comb) > 1 else 1
            teeth = weight[..., [HARMONICS.index(h) for h in comb]]
            heard = padded[..., below + comb[0] : below + comb[-1] + PITCHES]
            parts.append(F.conv2d(heard, teeth, dilation=(1, spacing)))
        weighed: Tensor = activation(norm(parts[0] + parts[1] + parts[2]))
        return weighed


def _flatten(x: Tensor) -> Tensor:
    """Turn (B, C, T, F) into (B, C * F, T)."""
    return x.transpose(2, 3).flatten(1, 2)
