"""The paper's networks: a U-Net as *transformation* network before a transcription network. A reconstruction.

Pedersoli, Tzanetakis, Yi, "Improving music transcription by pre-stacking a U-Net" (ICASSP 2020) puts a U-Net
in front of several transcription networks and trains the pair together; nothing says what its output should
look like, except that the network behind it must find it easier to read. With X a log-frequency spectrogram,

    Z = U(X),   p = sigmoid(C(Z)),   minimise BCE(p, Y) over U and C.

The paper's text gives no complete layout that we could check against. What is reconstructed here:

- *Transcription networks.* A context of 25 frames points at Thickstun et al. (ICASSP 2018), so their
  translation-invariant network is here as published, beside a linear and a shallow one (weaker) and a small
  residual one. Theirs looks at 512 bands; here the number of bands is an argument.
- *U-Net.* Two convolutions and a 1x1 residual skip a block, learned down- and up-convolution, linear output.
  It pools in frequency only, since 25 frames do not survive four halvings.
- *Convolution instead of patches.* The paper's family cuts one patch for each frame. Every convolution here
  is unpadded in time, so a run over a clip gives, frame by frame, exactly what the patches would give, for a
  small part of the work. ``context`` is the width of that patch: 25 frames for C; U adds its own.
- *Normalisation* has either fixed statistics at test time (``"batch"``) or statistics of one frame
  (``"group"``): statistics over a clip would make the answer depend on how the clip was cut.
- *Residual.* ``residual=True`` gives Z = X + U(X) with the last layer at zero: the pair starts as C alone.
- *Several instruments.* V1 has one U-Net for each family and one shared C; V2 one U-Net and one C each; the
  controls are V3, one U-Net with a channel for each family, and V4, no U-Net and a C with all the outputs.

Axes: X is (batch, 1, bins, frames); logits are (batch, notes, frames) or (batch, families, notes, frames).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ottava.errors import UsageError

__all__ = [
    "NETS",
    "FamilyStack",
    "HarmonicStack",
    "Linear",
    "PreStack",
    "ResNet",
    "SemitoneHead",
    "Shallow",
    "TranslationInvariant",
    "UNet",
    "family_stack",
    "transcription_loss",
]

Norm = Literal["batch", "group"]
Variant = Literal["V1", "V2", "V3", "V4"]
Loss = Literal["bce", "squared"]


def _trim(x: Tensor, margin: int) -> Tensor:
    """Take ``margin`` frames off both ends."""
    return x[..., margin:-margin] if margin else x


class _FrameNorm(nn.GroupNorm):
    """Group normalisation with the statistics of each frame, over the channels of a group and all bins."""

    def __init__(self, channels: int) -> None:
        super().__init__(math.gcd(channels, 4), channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, bins, frames = x.shape
        rows = super().forward(x.permute(0, 3, 1, 2).reshape(-1, channels, bins))
        return rows.view(batch, frames, channels, bins).permute(0, 2, 3, 1)


def _norm(kind: Norm, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else _FrameNorm(channels)


class _Block(nn.Module):
    """Two normalised convolutions beside a 1x1 skip. Unpadded in time: ``margin`` frames go at each end."""

    def __init__(self, inputs: int, outputs: int, times: tuple[int, int], norm: Norm, stride: int = 1) -> None:
        super().__init__()
        self.margin = sum(time // 2 for time in times)
        # No bias before a normalisation: it would have no effect and no gradient.
        self.first = nn.Conv2d(inputs, outputs, (3, times[0]), (stride, 1), (1, 0), bias=False)
        self.first_norm = _norm(norm, outputs)
        self.second = nn.Conv2d(outputs, outputs, (3, times[1]), 1, (1, 0), bias=False)
        self.second_norm = _norm(norm, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1, (stride, 1), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return F.leaky_relu(y + self.skip(_trim(x, self.margin)))


class HarmonicStack(nn.Module):
    """Copies of the spectrogram as channels, each shifted so that a harmonic lies on its fundamental.

    Parameters
    ----------
    harmonics : sequence of float
        Multiples h of the fundamental. Each one's channel shows at bin f what X has at bin
        ``f + bins_per_octave * log2(h)``, and zero outside.
    bins_per_octave : int
    """

    def __init__(self, harmonics: Sequence[float], bins_per_octave: int = 36) -> None:
        super().__init__()
        self.shifts = [round(bins_per_octave * math.log2(h)) for h in harmonics]

    def forward(self, X: Tensor) -> Tensor:
        low, high = max(0, -min(self.shifts)), max(0, max(self.shifts))
        padded, bins = F.pad(X, (0, 0, low, high)), X.shape[2]
        return torch.cat([padded[:, :, low + s : low + s + bins] for s in self.shifts], dim=1)


class UNet(nn.Module):
    """Transformation network: spectrogram in, as many bins out, with a linear last layer.

    Parameters
    ----------
    widths : sequence of int
        Channels at each level. Frequency is halved between levels; time never is.
    channels_out : int
        Channels of Z.
    kernel_times : (int, int)
        Widths in frames of a block's two convolutions, odd. (3, 3) as in the literature; (3, 1) needs fewer
        frames and less work.
    norm : {"batch", "group"}
    residual : bool
        Add X to the output, and start with the last layer at zero.
    harmonics : sequence of float
        If given, the input is stacked by :class:`HarmonicStack`.
    bins_per_octave : int
        For the harmonics only.

    Attributes
    ----------
    context : int
        Frames of X behind one frame of Z. Z is ``context - 1`` frames shorter than X.
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 64, 128),
        channels_out: int = 1,
        *,
        kernel_times: tuple[int, int] = (3, 3),
        norm: Norm = "batch",
        residual: bool = False,
        harmonics: Sequence[float] = (),
        bins_per_octave: int = 36,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.stack = HarmonicStack(harmonics, bins_per_octave) if harmonics else nn.Identity()
        pairs = list(pairwise(widths))
        self.encoder = nn.ModuleList([_Block(len(harmonics) or 1, widths[0], kernel_times, norm)])
        self.encoder.extend(_Block(wide, wide, kernel_times, norm) for _, wide in pairs)
        self.down = nn.ModuleList(nn.Conv2d(a, b, (2, 1), (2, 1)) for a, b in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, (2, 1), (2, 1)) for a, b in pairs)
        self.decoder = nn.ModuleList(_Block(2 * a, a, kernel_times, norm) for a, _ in pairs)
        self.last = nn.Conv2d(widths[0], channels_out, 1)
        if residual:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)
        self.margin = (2 * len(widths) - 1) * self.encoder[0].margin
        self.context = 2 * self.margin + 1

    def forward(self, X: Tensor) -> Tensor:
        """Return Z, shape (batch, channels_out, bins, frames - context + 1)."""
        bins = X.shape[2]
        y = F.pad(self.stack(X), (0, 0, 0, -bins % 2 ** len(self.down)))
        laterals = []
        for block, down in zip(self.encoder, self.down, strict=False):
            y = block(y)
            laterals.append(y)
            y = down(y)
        y = self.encoder[-1](y)
        block_margin = self.encoder[0].margin
        for level in reversed(range(len(self.down))):
            # Since this lateral left, y has passed the encoder blocks below and the decoder blocks below.
            lateral = _trim(laterals[level], (2 * (len(self.down) - level) - 1) * block_margin)
            y = self.decoder[level](torch.cat([self.up[level](y), lateral], dim=1))
        Z = self.last(y)[:, :, :bins]
        return _trim(X, self.margin) + Z if self.residual else Z


class Linear(nn.Module):
    """Every output sees every bin of ``context`` frames, linearly. With one frame it is the probe.

    Parameters
    ----------
    bins, notes, channels : int
    context : int
        Odd number of frames.
    """

    def __init__(self, bins: int, notes: int = 88, *, channels: int = 1, context: int = 25) -> None:
        super().__init__()
        self.context = context
        self.head = nn.Conv2d(channels, notes, (bins, context))

    def forward(self, Z: Tensor) -> Tensor:
        """Return logits, shape (batch, notes, frames - context + 1)."""
        logits: Tensor = self.head(Z).squeeze(2)
        return logits


class SemitoneHead(nn.Module):
    """One row for each note, read from the bins of its semitone: what turns a U-Net into a transcriber.

    Parameters
    ----------
    bins, notes, channels : int
    bins_per_semitone : int
        The first so many bins are the lowest note's.
    """

    context = 1

    def __init__(self, bins: int, notes: int = 88, *, channels: int = 1, bins_per_semitone: int = 3) -> None:
        super().__init__()
        if bins // bins_per_semitone < notes:
            raise UsageError(f"{bins} bins are too few", expected=f"{notes} times {bins_per_semitone}")
        self.notes = notes
        self.head = nn.Conv2d(channels, 1, (bins_per_semitone, 1), (bins_per_semitone, 1))

    def forward(self, Z: Tensor) -> Tensor:
        """Return logits, shape (batch, notes, frames)."""
        logits: Tensor = self.head(Z)[:, 0, : self.notes]
        return logits


class Shallow(nn.Module):
    """One convolution, then a linear layer over all bins: the weak transcription network.

    Parameters
    ----------
    bins, notes, channels : int
    context : int
        Odd number of frames.
    filters : int
    kernel_bins : int
        Odd height of the filters, which step by three bins (a semitone).
    """

    def __init__(
        self,
        bins: int,
        notes: int = 88,
        *,
        channels: int = 1,
        context: int = 25,
        filters: int = 8,
        kernel_bins: int = 9,
    ) -> None:
        super().__init__()
        self.context = context
        self.conv = nn.Conv2d(channels, filters, (kernel_bins, context), (3, 1), (kernel_bins // 2, 0))
        self.head = nn.Conv2d(filters, notes, ((bins - 1) // 3 + 1, 1))

    def forward(self, Z: Tensor) -> Tensor:
        """Return logits, shape (batch, notes, frames - context + 1)."""
        logits: Tensor = self.head(F.relu(self.conv(Z))).squeeze(2)
        return logits


class TranslationInvariant(nn.Module):
    """Thickstun's network: filters that slide over log-frequency, then over time, then a linear layer.

    Parameters
    ----------
    bins, notes, channels : int
    context : int
        Odd number of frames.
    filters : (int, int)
        Filters of the two layers; (128, 256) as published.
    kernel_bins : int
        Height of the first filters, which step by two bins: 128 as published, where 128 bins are 1.7 octaves.
    """

    def __init__(
        self,
        bins: int,
        notes: int = 88,
        *,
        channels: int = 1,
        context: int = 25,
        filters: tuple[int, int] = (128, 256),
        kernel_bins: int = 128,
    ) -> None:
        super().__init__()
        self.context = context
        self.over_bins = nn.Conv2d(channels, filters[0], (kernel_bins, 1), (2, 1))
        self.over_frames = nn.Conv2d(filters[0], filters[1], (1, context))
        self.head = nn.Conv2d(filters[1], notes, ((bins - kernel_bins) // 2 + 1, 1))

    def forward(self, Z: Tensor) -> Tensor:
        """Return logits, shape (batch, notes, frames - context + 1)."""
        y = F.relu(self.over_frames(F.relu(self.over_bins(Z))))
        logits: Tensor = self.head(y).squeeze(2)
        return logits


class ResNet(nn.Module):
    """A small residual network: a stem and four blocks, striding in frequency only.

    The usual average over what is left of the frequency axis would throw the pitch away, so a linear layer
    reads it instead.

    Parameters
    ----------
    bins, notes, channels : int
    context : int
        Odd number of frames, at least 17: the blocks see 17, the stem makes up the rest.
    filters : (int, int)
        Channels of the stem and first two blocks, and of the last two.
    norm : {"batch", "group"}
    """

    def __init__(
        self,
        bins: int,
        notes: int = 88,
        *,
        channels: int = 1,
        context: int = 25,
        filters: tuple[int, int] = (16, 32),
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        self.context = context
        low, high = filters
        self.stem = nn.Conv2d(channels, low, (7, context - 16), (2, 1), (3, 0), bias=False)
        self.stem_norm = _norm(norm, low)
        blocks = ((low, low, 2), (low, low, 1), (low, high, 2), (high, high, 1))
        self.blocks = nn.Sequential(*(_Block(a, b, (3, 3), norm, stride) for a, b, stride in blocks))
        self.head = nn.Conv2d(high, notes, (math.ceil(bins / 8), 1))

    def forward(self, Z: Tensor) -> Tensor:
        """Return logits, shape (batch, notes, frames - context + 1)."""
        y = F.leaky_relu(self.stem_norm(self.stem(Z)))
        logits: Tensor = self.head(self.blocks(y)).squeeze(2)
        return logits


NETS: dict[str, Callable[..., nn.Module]] = {
    "linear": Linear,
    "shallow": Shallow,
    "translation-invariant": TranslationInvariant,
    "resnet": ResNet,
    "semitone-head": SemitoneHead,
}
"""Transcription networks by name. Each takes (bins, notes, channels=...) and knows its ``context``."""


class _Stack(nn.Module, ABC):
    """What single and multi-instrument stacks share: the context, and padding a clip with silence (zeros)."""

    context: int

    @abstractmethod
    def valid(self, X: Tensor) -> Tensor:
        """Return logits for the ``frames - context + 1`` frames whose whole context is inside X."""

    def forward(self, X: Tensor) -> Tensor:
        """Return logits for every frame of X, with silence before and after the clip."""
        return self.valid(F.pad(X, (self.context // 2, self.context // 2)))


class PreStack(_Stack):
    """Transformation networks in series (none: the baseline), then a transcription network.

    Parameters
    ----------
    transforms : sequence of Module
        U-Nets, each reading the output of the one before.
    transcriber : Module
        One of :data:`NETS`.
    """

    def __init__(self, transforms: Sequence[nn.Module], transcriber: nn.Module) -> None:
        super().__init__()
        self.transforms = nn.Sequential(*transforms)
        self.transcriber = transcriber
        contexts: list[Any] = [net.context for net in (*transforms, transcriber)]
        self.context = sum(contexts) - len(transforms)

    def valid(self, X: Tensor) -> Tensor:
        """Return logits (batch, notes, frames - context + 1)."""
        logits: Tensor = self.transcriber(self.transforms(X))
        return logits


class FamilyStack(_Stack):
    """Several instrument families at once; :func:`family_stack` makes the four variants.

    Parameters
    ----------
    transforms : sequence of Module
        U-Nets whose output channels together are one for each family; or none.
    transcribers : sequence of Module
        One for each family, or one that is shared; without transforms, one with ``families * notes`` outputs.
    families : int
    """

    def __init__(self, transforms: Sequence[nn.Module], transcribers: Sequence[nn.Module], families: int) -> None:
        super().__init__()
        self.families = families
        self.transforms = nn.ModuleList(transforms)
        self.transcribers = nn.ModuleList(transcribers)
        margins: list[Any] = [nets[0].context - 1 for nets in (transforms, transcribers) if nets]
        self.context = sum(margins) + 1

    def valid(self, X: Tensor) -> Tensor:
        """Return logits (batch, families, notes, frames - context + 1)."""
        if not self.transforms:
            return self.transcribers[0](X).unflatten(1, (self.families, -1))  # type: ignore[no-any-return]
        Z = torch.cat([transform(X) for transform in self.transforms], dim=1)
        if len(self.transcribers) == 1:  # shared: the families go through it as a larger batch
            return self.transcribers[0](Z.flatten(0, 1).unsqueeze(1)).unflatten(0, (-1, self.families))  # type: ignore[no-any-return]
        each = zip(self.transcribers, Z.split(1, dim=1), strict=True)
        return torch.stack([transcriber(z) for transcriber, z in each], dim=1)


def family_stack(
    variant: Variant,
    families: int,
    unet: Callable[[int], nn.Module],
    transcriber: Callable[[int], nn.Module],
    notes: int = 88,
) -> FamilyStack:
    """Make a multi-instrument variant.

    Parameters
    ----------
    variant : {"V1", "V2", "V3", "V4"}
        See the top of this module.
    families : int
    unet : callable
        Makes a U-Net with that many output channels.
    transcriber : callable
        Makes a transcription network with that many outputs.
    notes : int
    """
    if variant == "V4":
        return FamilyStack([], [transcriber(families * notes)], families)
    unets = [unet(families)] if variant == "V3" else [unet(1) for _ in range(families)]
    count = families if variant == "V2" else 1
    return FamilyStack(unets, [transcriber(notes) for _ in range(count)], families)


def transcription_loss(outputs: Tensor, labels: Tensor, kind: Loss = "bce") -> Tensor:
    """Return the mean loss over all notes, frames and families.

    Parameters
    ----------
    outputs : Tensor
        Logits; for ``"squared"`` the plain outputs of the network, as Thickstun's baseline was trained.
    labels : Tensor
        0 or 1, of the same shape.
    kind : {"bce", "squared"}
    """
    labels = labels.to(outputs.dtype)
    if kind == "squared":
        return F.mse_loss(outputs, labels)
    return F.binary_cross_entropy_with_logits(outputs, labels)
