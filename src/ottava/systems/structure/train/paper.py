"""The paper's network, as its authors' code has it: eight bars, one code each, and attention that looks back.

J. Jiang, G. G. Xia, D. B. Carlton, C. N. Anderson and R. H. Miyakawa, *Transformer VAE: A Hierarchical Model for
Structure-Aware and Interpretable Music Representation Learning*, ICASSP 2020. Sizes, masks, heads and loss follow the
released code (``music-x-lab/TransformerVAE``), not the paper's text, which was not at hand.

A bar is 16 steps of 47 symbols. A local network turns each bar into a vector; a Transformer encoder over the bars
gives each bar a Gaussian code; a Transformer decoder, which is fed the true bar before in training and its own in use,
turns codes back into vectors, and a local network writes the bars, all steps of one at once.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "BARS",
    "HIGH_MIDI",
    "LOW_MIDI",
    "STEPS",
    "SYMBOLS",
    "WIDTH",
    "BarVae",
    "Coded",
    "PaperVae",
    "divergence",
    "mask",
    "paper_loss",
]

BARS, STEPS, SYMBOLS = 8, 16, 47
LOW_MIDI, HIGH_MIDI = 40, 84
"""Pitches that have a symbol, from E2 to C6; others are silence."""
WIDTH = 256
"""Channels of a bar; the widths of all layers go with it, but not the size of codes."""
_HEADS, _LAYERS, _CODE = 4, 3, 64


def mask(kind: int, bars: int = BARS) -> Tensor:
    """Return which bars (rows) may look at which (columns), as booleans.

    Parameters
    ----------
    kind : int
        0: all at all; 1: each at itself and earlier ones; 2: each at itself alone.
    bars : int
        How many.
    """
    if kind == 0:
        return torch.ones(bars, bars, dtype=torch.bool)
    return torch.ones(bars, bars, dtype=torch.bool).tril() if kind == 1 else torch.eye(bars, dtype=torch.bool)


class _Attention(nn.Module):
    """Attention whose heads are each as wide as the model, without a bias; residual from the query, then a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.query, self.key, self.value = (nn.Linear(width, _HEADS * width, bias=False) for _ in range(3))
        self.leave = nn.Linear(_HEADS * width, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        for layer in (self.query, self.key, self.value):
            # As if each head had a matrix of its own.
            nn.init.kaiming_normal_(layer.weight)

    def forward(self, x: Tensor, seen: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, bars, width) and the weights (B, heads, bars, bars)."""
        q, k, v = (
            layer(y).unflatten(2, (_HEADS, self.width)).transpose(1, 2)
            for layer, y in ((self.query, x), (self.key, seen), (self.value, seen))
        )
        scores = (q @ k.transpose(2, 3) / math.sqrt(self.width)).masked_fill(~allowed, -math.inf)
        weights = torch.softmax(scores, dim=3)
        mixed = self.leave((weights @ v).transpose(1, 2).flatten(2))
        return self.norm(x + mixed), weights


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x + self.net(x))
        return y


def _mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class _Local(nn.Module):
    """What reads and writes single bars, alike for all."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.read = _mlp(STEPS * SYMBOLS, 2 * width, 3 * width // 2, width)
        self.write = _mlp(width, 3 * width // 2, 2 * width, STEPS * SYMBOLS)

    def hear(self, symbols: Tensor) -> Tensor:
        """Turn symbols (B, bars, 16) into vectors (B, bars, width)."""
        h: Tensor = self.read(F.one_hot(symbols, SYMBOLS).flatten(2).float())
        return h

    def speak(self, d: Tensor) -> Tensor:
        """Turn vectors (B, bars, width) into logits (B, bars, 16, 47)."""
        logits: Tensor = self.write(d)
        return logits.unflatten(-1, (STEPS, SYMBOLS))


class Coded(NamedTuple):
    """Codes of a tune: means and logarithms of variances (B, bars, 64), and the encoder's attention, by layer."""

    mean: Tensor
    log_variance: Tensor
    attention: tuple[Tensor, ...]


class _Heads(nn.Module):
    """A linear layer for each bar, none shared."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(inputs, outputs) for _ in range(BARS))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([layer(x[:, i]) for i, layer in enumerate(self.layers)][: x.shape[1]], dim=1)


class PaperVae(nn.Module):
    """The Transformer VAE.

    Parameters
    ----------
    masks : sequence of int
        Kinds of :func:`mask` of the encoder's attention, of the decoder's to the codes, and of the decoder's to itself.
        The authors' released model has 1, 1, 1.
    past : bool
        Give the decoder the bar before each, as the authors do. Without it all that a bar is written from is codes.
    width : int
        Channels of a bar, :data:`WIDTH` with the authors. Codes have 64 numbers whatever it is: the loss divides by how
        many there are.
    """

    def __init__(self, masks: tuple[int, int, int] = (1, 1, 1), past: bool = True, width: int = WIDTH) -> None:
        super().__init__()
        self.local = _Local(width)
        self.past = past
        self.encoder_places = nn.Parameter(torch.randn(BARS, width) * 0.02)
        self.decoder_places = nn.Parameter(torch.randn(BARS, width) * 0.02)
        self.encoder = nn.ModuleList(nn.ModuleList((_Attention(width), _FeedForward(width))) for _ in range(_LAYERS))
        self.decoder = nn.ModuleList(
            nn.ModuleList((_Attention(width), _Attention(width), _FeedForward(width))) for _ in range(_LAYERS)
        )
        self.mean, self.log_variance = _Heads(width, _CODE), _Heads(width, _CODE)
        self.enter = _Heads(_CODE, width)
        for name, kind in zip(("seen", "read", "own"), masks, strict=True):
            self.register_buffer(f"{name}_mask", mask(kind), persistent=False)

    seen_mask: Tensor
    read_mask: Tensor
    own_mask: Tensor

    def encode(self, symbols: Tensor) -> Coded:
        """Return the codes of tunes of eight bars, symbols (B, 8, 16) of int64."""
        x = self.local.hear(symbols) + self.encoder_places
        attention = []
        for attend, feed in self.encoder:  # type: ignore[misc]  # a list of modules is a module to mypy
            x, weights = attend(x, x, self.seen_mask)
            x = feed(x)
            attention.append(weights)
        return Coded(self.mean(x), self.log_variance(x), tuple(attention))

    def decode(self, codes: Tensor, before: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return logits (B, n, 16, 47), and the attention of the decoder to itself, by layer.

        Parameters
        ----------
        codes : Tensor, shape (B, 8, 64)
        before : Tensor of int64, shape (B, n - 1, 16)
            The bars before the last of the ``n`` bars to write, true ones or the network's own.
        """
        n = before.shape[1] + 1
        c = self.enter(codes)
        x = self.decoder_places[:n].expand(len(codes), -1, -1)
        if self.past and n > 1:
            x = x + F.pad(self.local.hear(before), (0, 0, 1, 0))
        attention = []
        for own, read, feed in self.decoder:  # type: ignore[misc]
            x, weights = own(x, x, self.own_mask[:n, :n])
            x, _ = read(x, c, self.read_mask[:n])
            x = feed(x)
            attention.append(weights)
        return self.local.speak(x), tuple(attention)

    def forward(self, symbols: Tensor) -> tuple[Tensor, Coded]:
        """Return logits (B, 8, 16, 47) with the true bars before each, and the codes they were sampled from."""
        coded = self.encode(symbols)
        noise = torch.randn_like(coded.mean)
        codes = coded.mean + torch.exp(0.5 * coded.log_variance) * noise
        return self.decode(codes, symbols[:, :-1])[0], coded

    @torch.no_grad()
    def write(self, codes: Tensor) -> Tensor:
        """Write tunes from codes alone, (B, 8, 64) to symbols (B, 8, 16): each bar goes on from the network's own."""
        written = codes.new_zeros((len(codes), 0, STEPS), dtype=torch.int64)
        for _ in range(BARS):
            logits, _ = self.decode(codes, written)
            written = torch.cat([written, logits[:, -1:].argmax(3)], dim=1)
        return written


class BarVae(nn.Module):
    """The VAE of single bars from which the local networks start.

    Parameters
    ----------
    width : int
        As in :class:`PaperVae`; here it is the size of a code, too.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.local = _Local(width)
        self.mean, self.log_variance = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, symbols: Tensor) -> tuple[Tensor, Coded]:
        """Return logits and codes of bars, symbols (B, bars, 16); each by itself."""
        h = self.local.hear(symbols)
        mean, log_variance = self.mean(h), self.log_variance(h)
        codes = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.local.speak(codes), Coded(mean, log_variance, ())


def divergence(coded: Coded) -> Tensor:
    """Return how far codes are from the prior: nats in each dimension, (B, bars, code)."""
    return 0.5 * (coded.mean.square() + coded.log_variance.exp() - coded.log_variance - 1)


def paper_loss(logits: Tensor, symbols: Tensor, coded: Coded, weight: float) -> Tensor:
    """Return the loss as the authors write it: both parts are means, not sums.

    In nats a tune the divergence of a tune of eight bars therefore counts ``weight / 4``.
    """
    wrong = F.cross_entropy(logits.flatten(0, 2), symbols.flatten())
    return wrong + weight * divergence(coded).mean()
