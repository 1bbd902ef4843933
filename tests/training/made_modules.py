"""Small torch modules whose layers are of many kinds, and data for them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Convolutions(nn.Module):
    """A residual, a concatenation, batch norm, in-place and functional activations."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.b, self.c = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(12, 5, 1)
        self.out = nn.Linear(5 * 9, 4)

    def forward(self, x):
        h = F.relu(self.norm(self.a(x)))
        k = F.relu_(self.b(h))
        h = F.gelu(self.c(torch.cat([h + k, k], 1)))
        return self.out(F.max_pool2d(h, 2).flatten(1)).log_softmax(1)


class Sequences(nn.Module):
    """An embedding, a recurrent layer in both directions, and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 6)
        self.rnn = nn.GRU(6, 5, bidirectional=True, batch_first=True)
        self.attention = nn.MultiheadAttention(10, 2, batch_first=True)
        self.out = nn.Linear(10, 3)

    def forward(self, words):
        h, _ = self.rnn(self.words(words))
        h = h + self.attention(h, h, h, need_weights=False)[0]
        return self.out(h.mean(1))


def images(n=80):
    return np.random.default_rng(0).normal(size=(n, 1, 6, 6)).astype(np.float32)


def words(n=80):
    return np.random.default_rng(0).integers(0, 9, (n, 7))
