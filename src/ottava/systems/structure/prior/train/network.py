"""A Transformer over codes, some of which are hidden."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ottava.systems.structure.train.network import Attention

__all__ = ["PriorNetwork"]

_LEAST_DEVIATION, _MOST_DEVIATION = -4.0, 1.0


class PriorNetwork(nn.Module):
    """Mixtures of Gaussians for each bar's code, given the known ones.

    Parameters
    ----------
    width, heads, layers : int
        Of the Transformer.
    code : int
        Size of a code.
    mixture : int
        Gaussians of each mixture.
    """

    def __init__(self, width: int = 96, heads: int = 4, layers: int = 3, code: int = 32, mixture: int = 8) -> None:
        super().__init__()
        self.code, self.mixture = code, mixture
        self.read = nn.Linear(code + 1, width)
        self.layers = nn.ModuleList(Attention(width, heads, causal=False) for _ in range(layers))
        self.write = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, mixture * (2 * code + 1)))

    def forward(self, codes: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return weights (batch, bars, mixture), means and log-deviations (batch, bars, mixture, code).

        Parameters
        ----------
        codes : Tensor, shape (batch, bars, code)
            Those that are not known are not looked at.
        known : Tensor, shape (batch, bars)
            1 or 0.
        """
        seen = known[..., None]
        x = self.read(torch.cat([codes * seen, seen], 2))
        for layer in self.layers:
            x, _ = layer(x)
        weight, mean, spread = self.write(x).split(
            [self.mixture, self.mixture * self.code, self.mixture * self.code], 2
        )
        shape = (self.mixture, self.code)
        low, high = _LEAST_DEVIATION, _MOST_DEVIATION
        deviation = low + (high - low) * spread.unflatten(2, shape).sigmoid()
        return weight.softmax(2), mean.unflatten(2, shape), deviation
