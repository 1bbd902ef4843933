"""The shipped network: a Transformer VAE over bars of any number, whose decoder may point at earlier bars.

What differs from the paper's (:mod:`.paper`), and why:

* Heads are shared by all bars and attention knows distances only, so that tunes may have any length, and codes may
  be moved.
* The encoder's attention is told how alike each pair of bars is, in rhythm, pitches and shape, and learns what that
  is good for.
* The decoder writes each symbol either anew or as that of the bar it points at, its pitch moved by an offset. What a
  repeated bar has to store is then where it comes from; when that changes, so does the repeat, transposed or not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ottava.corpora.tunes import BEATS
from ottava.systems.structure.lines import NO_PITCH, ONSET, OUTSIDE, PITCHES, RHYTHMS, STEPS
from ottava.systems.structure.relations import MOST_OFFSET

__all__ = [
    "CHORD_FEATURES", "DISTANCES", "OFFSETS",
    "Attention", "StructureNetwork", "Written", "stored_nats", "target_probabilities", "write_forced",
]  # fmt: skip

DISTANCES = 128
"""Distances in bars that are told apart."""
OFFSETS = 2 * MOST_OFFSET + 1
CHORD_FEATURES = 24 * BEATS
"""Roots and pitch classes of a bar's chords, from the reference on."""
_LIKENESSES = 6
_FAR = -1e9


class Written(NamedTuple):
    """What the decoder says of each bar.

    Parameters
    ----------
    rhythm : Tensor, shape (batch, bars, STEPS, RHYTHMS)
        Log-probabilities of rhythms that are written anew.
    line : Tensor, shape (batch, bars, STEPS, PITCHES)
        The same of pitches.
    copies : Tensor, shape (batch, bars, STEPS, 2)
        Probability that rhythm and pitch are taken from the bar pointed at, if there is one.
    offset : Tensor, shape (batch, bars, STEPS, OFFSETS)
        Log-probabilities of the offset of a pitch that is taken over, from :data:`.relations.MOST_OFFSET` down on.
    pointer : Tensor, shape (batch, bars, bars + 1)
        Probability of pointing at no bar (first), and at each; 0 for all but earlier bars.
    """

    rhythm: Tensor
    line: Tensor
    copies: Tensor
    offset: Tensor
    pointer: Tensor


def _distances(n: Tensor | int, device: torch.device, signed: bool = False) -> Tensor:
    place = torch.arange(n, device=device)  # type: ignore[arg-type]  # a traced size is a tensor
    distance = place[:, None] - place
    far = DISTANCES - 1
    return distance.clamp(-far, far) + far if signed else distance.clamp(0, far)


def _later(n: Tensor | int, device: torch.device, own: bool) -> Tensor:
    """Return which bars each may not see."""
    place = torch.arange(n, device=device)  # type: ignore[arg-type]
    return place > place[:, None] if own else place >= place[:, None]


class Attention(nn.Module):
    """Attention over bars with biases by distance, then a feed-forward layer; norms in front.

    Parameters
    ----------
    width, heads : int
        Channels of a bar, and heads.
    related : bool
        Add biases by likeness, and values that tell distance and interval.
    causal : bool
        Let each bar see only itself and those before it; else distances have signs.
    """

    def __init__(self, width: int, heads: int, related: bool = False, causal: bool = True) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm = nn.LayerNorm(width)
        self.query, self.key_value, self.out = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
        )
        self.near = nn.Parameter(torch.zeros(heads, DISTANCES if causal else 2 * DISTANCES - 1))
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        if related:
            self.alike = nn.Linear(_LIKENESSES, heads)
            self.distance = nn.Embedding(DISTANCES, width // heads)
            self.interval = nn.Embedding(2 * PITCHES - 1, width // heads)

    def forward(
        self, x: Tensor, memory: Tensor | None = None, likeness: Tensor | None = None, interval: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the bars, and the weights (batch, heads, bars, bars)."""
        batch, n, width = x.shape
        normed = self.norm(x)
        heard = normed if memory is None else memory
        query = self.query(normed).view(batch, n, self.heads, -1).transpose(1, 2)
        key, value = (
            part.view(batch, n, self.heads, -1).transpose(1, 2) for part in self.key_value(heard).chunk(2, -1)
        )
        distance = _distances(n, x.device, signed=not self.causal)
        score = query @ key.transpose(2, 3) / math.sqrt(width / self.heads) + self.near[:, distance]
        if likeness is not None:
            score = score + self.alike(likeness).permute(0, 3, 1, 2)
        if self.causal:
            score = score.masked_fill(_later(n, x.device, own=True), _FAR)
        weights = score.softmax(3)
        mixed = weights @ value
        if interval is not None:
            mixed = mixed + torch.einsum("bhij,ijd->bhid", weights, self.distance(distance))
            mixed = mixed + torch.einsum("bhij,bijd->bhid", weights, self.interval(interval))
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, n, width))
        return x + self.feed(x), weights


class StructureNetwork(nn.Module):
    """Encoder, codes and decoder.

    Parameters
    ----------
    width : int
        Channels of a bar.
    heads : int
        Heads of attention.
    code : int
        Size of a bar's code.
    layers : int
        Layers of the encoder, and of the decoder.
    hidden : int
        Width of the layers that read and write the steps of a bar.
    apart : bool
        Give rhythm a half of the code for itself: what is written of rhythm then comes from that half alone.
    pointing : bool
        Let the decoder point at earlier bars; without, it writes all anew.
    likeness : bool
        Tell the encoder how alike bars are.
    chords : bool
        Tell encoder and decoder the chords of each bar: a condition, which codes then need not store.
    """

    def __init__(
        self,
        width: int = 128,
        heads: int = 4,
        code: int = 32,
        layers: int = 2,
        hidden: int = 384,
        apart: bool = False,
        pointing: bool = True,
        likeness: bool = True,
        chords: bool = False,
    ) -> None:
        super().__init__()
        self.code, self.apart, self.pointing, self.likeness = code, apart, pointing, likeness
        self.read_rhythm = nn.Linear(STEPS * RHYTHMS, hidden)
        self.read_line = nn.Linear(STEPS * PITCHES, hidden)
        self.read_first = nn.Embedding(PITCHES, hidden)
        self.read = nn.Sequential(nn.GELU(), nn.Linear(hidden, width))
        self.read_chords = nn.Linear(CHORD_FEATURES, width) if chords else None
        self.encoder = nn.ModuleList(Attention(width, heads, related=likeness) for _ in range(layers))
        self.mean, self.log_variance = nn.Linear(width, code), nn.Linear(width, code)
        self.recall = nn.Linear(code, width)
        self.past = nn.ModuleList(Attention(width, heads) for _ in range(layers))
        self.codes = nn.ModuleList(Attention(width, heads) for _ in range(layers))
        self.write = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU())
        self.rhythm, self.line = nn.Linear(hidden, STEPS * RHYTHMS), nn.Linear(hidden, STEPS * PITCHES)
        if pointing:
            self.copies, self.offset = nn.Linear(hidden, STEPS * 2), nn.Linear(hidden, STEPS * OFFSETS)
            self.ask, self.answer, self.nowhere = nn.Linear(width, 64), nn.Linear(width, 64), nn.Linear(width, 1)
            self.far = nn.Parameter(torch.zeros(DISTANCES))
            self.far_keys = nn.Parameter(0.1 * torch.randn(DISTANCES, 64))

    def hear(self, rhythm: Tensor, line: Tensor) -> Tensor:
        """Return bars (batch, bars, width) from rhythm and line, int64 of shape (batch, bars, STEPS)."""
        x = self.read_rhythm(F.one_hot(rhythm, RHYTHMS).flatten(2).float())
        x = x + self.read_line(_shape(line).flatten(2)) + self.read_first(line[:, :, 0])
        return self.read(x)

    def encode(self, rhythm: Tensor, line: Tensor, chords: Tensor | None = None) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return mean and log-variance of the codes, (batch, bars, code) each, and each layer's attention."""
        x = self.hear(rhythm, line)
        if self.read_chords is not None and chords is not None:
            x = x + self.read_chords(chords)
        likeness, interval = _compare(rhythm, line) if self.likeness else (None, None)
        weights = []
        for layer in self.encoder:
            x, seen = layer(x, None, likeness, interval)
            weights.append(seen)
        return self.mean(x), self.log_variance(x).clamp(-8, 3), weights

    def decode(self, codes: Tensor, rhythm: Tensor, line: Tensor, chords: Tensor | None = None) -> Written:
        """Return what is written of each bar, given its code and the bars before it.

        Parameters
        ----------
        codes : Tensor, shape (batch, bars, code)
            Codes.
        rhythm, line : Tensor of int64, shape (batch, bars, STEPS)
            The bars themselves, of which each sees only earlier ones.
        chords : Tensor, shape (batch, bars, CHORD_FEATURES), or None
            Chords of each bar, its own too.
        """
        heard = self.hear(rhythm, line)
        told = self.read_chords(chords) if self.read_chords is not None and chords is not None else None
        trunk = self._follow(codes, heard, told)
        hidden = self.write(trunk)
        of_rhythm, hidden_rhythm = trunk, hidden
        if self.apart:
            half = codes * (torch.arange(self.code, device=codes.device) < self.code // 2)
            of_rhythm = self._follow(half, heard, told)
            hidden_rhythm = self.write(of_rhythm)
        rhythm_new = self.rhythm(hidden_rhythm).unflatten(2, (STEPS, RHYTHMS)).log_softmax(3)
        line_new = self.line(hidden).unflatten(2, (STEPS, PITCHES)).log_softmax(3)
        batch, n, _ = codes.shape
        if not self.pointing:
            none = torch.zeros(batch, n, n + 1, device=codes.device)
            none[:, :, 0] = 1
            silent = torch.zeros(batch, n, STEPS, OFFSETS, device=codes.device)
            return Written(rhythm_new, line_new, torch.zeros(batch, n, STEPS, 2, device=codes.device), silent, none)
        copies = torch.stack(
            [
                self.copies(hidden_rhythm).unflatten(2, (STEPS, 2))[..., 0],
                self.copies(hidden).unflatten(2, (STEPS, 2))[..., 1],
            ],
            3,
        ).sigmoid()
        offset = self.offset(hidden).unflatten(2, (STEPS, OFFSETS)).log_softmax(3)
        return Written(rhythm_new, line_new, copies, offset, self._point(of_rhythm, heard))

    def _follow(self, codes: Tensor, heard: Tensor, told: Tensor | None) -> Tensor:
        memory = self.recall(codes)
        x = memory + F.pad(heard, (0, 0, 1, -1))
        if told is not None:
            x = x + told
        for past, code in zip(self.past, self.codes, strict=True):
            x, _ = past(x)
            x, _ = code(x, memory)
        return x

    def _point(self, trunk: Tensor, heard: Tensor) -> Tensor:
        n = trunk.shape[1]
        distance = _distances(n, trunk.device)
        query = self.ask(trunk)
        by_distance = query @ self.far_keys.T  # (batch, bars, DISTANCES)
        score = query @ self.answer(heard).transpose(1, 2) + by_distance.gather(
            2, distance.expand(trunk.shape[0], -1, -1)
        )
        score = (score / 8 + self.far[distance]).masked_fill(_later(n, trunk.device, own=False), _FAR)
        return torch.cat([self.nowhere(trunk), score], 2).softmax(2)


def _shape(line: Tensor) -> Tensor:
    """Return one-hot pitches from the bar's first on, (batch, bars, STEPS, PITCHES)."""
    first = line[:, :, :1]
    moved = torch.where(line == NO_PITCH, 0, (line - first + PITCHES // 2).clamp(1, PITCHES - 1))
    return F.one_hot(moved, PITCHES).float()


def _compare(rhythm: Tensor, line: Tensor) -> tuple[Tensor, Tensor]:
    """Return likenesses of each pair of bars, (batch, bars, bars, 6), and the interval between them, as a class."""
    n = rhythm.shape[1]
    kinds, shapes = F.one_hot(rhythm, RHYTHMS).float().flatten(2), _shape(line).flatten(2)
    pitches = F.one_hot(line, PITCHES).float().flatten(2)
    r, s, p = (x @ x.transpose(1, 2) / STEPS for x in (kinds, shapes, pitches))
    whole = [(STEPS * x - STEPS + 1).clamp(0) for x in (r, s, p)]
    likeness = torch.stack([r, s, p, whole[0], whole[0] * whole[1], whole[0] * whole[2]], 3)
    likeness = likeness * (1 - torch.eye(n, device=line.device))[..., None]
    first = line[:, :, 0]
    return likeness, first[:, :, None] - first[:, None] + PITCHES - 1


def target_probabilities(
    written: Written, rhythm: Tensor, line: Tensor, past: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Return the probability of each rhythm and pitch of these bars, (batch, bars, STEPS) each.

    Parameters
    ----------
    written : Written
        From :meth:`StructureNetwork.decode` of the same bars.
    rhythm, line : Tensor of int64, shape (batch, bars, STEPS)
        The bars.
    past : tuple of Tensor or None
        Rhythm and line of the bars that the decoder saw before each, if those are others.
    """
    past_rhythm, past_line = past or (rhythm, line)
    new_rhythm = written.rhythm.gather(3, rhythm[..., None])[..., 0].exp()
    new_line = written.line.gather(3, line[..., None])[..., 0].exp()
    pointer, somewhere = written.pointer[:, :, 1:], 1 - written.pointer[:, :, 0]
    same = (rhythm[:, :, None] == past_rhythm[:, None]).float()
    copied_rhythm = torch.einsum("bij,bijs->bis", pointer, same)
    offset = line[:, :, None] - past_line[:, None]
    legal = (offset.abs() <= MOST_OFFSET) & (line[:, :, None] != NO_PITCH) & (past_line[:, None] != NO_PITCH)
    # (batch, later, steps, earlier): of each step, the probability of the offset that each earlier bar would need.
    needed = (offset.clamp(-MOST_OFFSET, MOST_OFFSET) + MOST_OFFSET).transpose(2, 3)
    likely = written.offset.exp().gather(3, needed).transpose(2, 3) * legal
    copied_line = torch.einsum("bij,bijs->bis", pointer, likely)
    from_rhythm, from_line = written.copies.unbind(3)
    both = (
        (1 - from_rhythm * somewhere[..., None]) * new_rhythm + from_rhythm * copied_rhythm,
        (1 - from_line * somewhere[..., None]) * new_line + from_line * copied_line,
    )
    return both


@torch.no_grad()
def write_forced(written: Written, rhythm: Tensor, line: Tensor) -> tuple[Tensor, Tensor]:
    """Return each bar as it is written after the bars before it, the likeliest symbol of each step.

    Parameters
    ----------
    written : Written
        From :meth:`StructureNetwork.decode`.
    rhythm, line : Tensor of int64, shape (batch, bars, STEPS)
        The bars that it saw.
    """
    pointer, somewhere = written.pointer[:, :, 1:], 1 - written.pointer[:, :, 0]
    from_rhythm, from_line = (x[..., None] for x in written.copies.unbind(3))
    there = torch.einsum("bij,bjsr->bisr", pointer, F.one_hot(rhythm, RHYTHMS).float())
    of_rhythm = (1 - from_rhythm * somewhere[..., None, None]) * written.rhythm.exp() + from_rhythm * there
    pitched = F.one_hot(line, PITCHES).float()
    pitched[..., NO_PITCH] = 0
    there = F.pad(torch.einsum("bij,bjsp->bisp", pointer, pitched), (MOST_OFFSET, MOST_OFFSET))
    of_line = (1 - from_line * somewhere[..., None, None]) * written.line.exp()
    offset = written.offset.exp()
    for k in range(OFFSETS):  # a pitch comes from the one that lies k - MOST_OFFSET below it
        begin = 2 * MOST_OFFSET - k
        of_line = of_line + from_line * offset[..., k : k + 1] * there[..., begin : begin + PITCHES]
    # Where bars end, and that bars without onsets have no pitch, is known.
    outside = rhythm == OUTSIDE
    new_rhythm = torch.where(outside, OUTSIDE, of_rhythm[..., :OUTSIDE].argmax(3))
    return new_rhythm, _settle(new_rhythm, of_line[..., 1:].argmax(3) + 1)


def _settle(rhythm: Tensor, line: Tensor) -> Tensor:
    """Return what :func:`ottava.systems.structure.lines.settle` does."""
    onset = rhythm == ONSET
    place = torch.arange(rhythm.shape[-1], device=rhythm.device).expand_as(rhythm)
    last = torch.where(onset, place, -1).cummax(-1).values
    first = onset.int().argmax(-1, keepdim=True)
    settled = line.gather(-1, torch.where(last < 0, first, last))
    return torch.where(onset.any(-1, keepdim=True), settled, NO_PITCH)


def stored_nats(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return what codes store beyond the prior N(0, 1): nats of each, the last axis summed."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1)
