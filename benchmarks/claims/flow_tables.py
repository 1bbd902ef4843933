"""The small data sets and networks of the claims about information flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

__all__ = ["SETS", "Data", "accuracy", "banknote", "digits_network", "load", "loss", "make_network", "train"]


class Data:
    """Samples and classes in two parts, features scaled by the first part's mean and deviation."""

    def __init__(self, name: str, x: NDArray[Any], y: NDArray[Any], seed: int) -> None:
        self.name = name
        parts = train_test_split(x.astype(np.float64), y, test_size=0.3, random_state=seed, stratify=y)
        first, second = parts[0], parts[1]
        mean, spread = first.mean(0), first.std(0)
        scale = np.where(spread > 0, spread, 1)
        self.train, self.test = (((part - mean) / scale).astype(np.float32) for part in (first, second))
        self.train_class, self.test_class = (part.astype(np.int64) for part in parts[2:])
        self.classes = int(y.max()) + 1


def _half(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a number to be predicted as two classes, below and above its median."""
    return x, (y > np.median(y)).astype(int)


SETS: dict[str, Callable[[], tuple[NDArray[Any], NDArray[Any]]]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "diabetes, halves": lambda: _half(*datasets.load_diabetes(return_X_y=True)),
    "digits": lambda: datasets.load_digits(return_X_y=True),
}
"""All ship with scikit-learn."""


def banknote(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the Banknote authentication set of the UCI repository from its text file."""
    table = np.loadtxt(path, delimiter=",")
    if table.shape[1] != 5:
        raise SystemExit(f"{path}: {table.shape[1]} columns, expected 5")
    return table[:, :4], table[:, 4].astype(int)


def load(name: str, seed: int, banknote_path: Path | None = None) -> Data:
    """Return a data set, split by a seed."""
    x, y = banknote(banknote_path) if name == "banknote" and banknote_path else SETS[name]()
    return Data(name, x, y, seed)


def make_network(sizes: Sequence[int]) -> nn.Sequential:
    """Return dense layers with rectifiers between them; the outputs are logits."""
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def digits_network() -> nn.Sequential:
    """Return a network of convolutions for pictures of 8 x 8."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 16, 48), nn.ReLU(), nn.Linear(48, 10),
    )  # fmt: skip


def train(network: nn.Module, x: NDArray[Any], y: NDArray[Any], steps: int = 600, seed: int = 0) -> nn.Module:
    """Train with Adam, whole sets of up to 512 samples at a time."""
    generator = torch.Generator().manual_seed(seed)
    samples, classes = torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.Adam(network.parameters(), 0.01 if len(x) < 1000 else 0.003)
    for _ in range(steps):
        chosen = torch.randperm(len(x), generator=generator)[:512] if len(x) > 512 else slice(None)
        optimizer.zero_grad()
        F.cross_entropy(network(samples[chosen]), classes[chosen]).backward()
        optimizer.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the share of samples whose class is found."""
    return float((network(torch.from_numpy(x)).argmax(1).numpy() == y).mean())


def loss(data: Data) -> Callable[[nn.Module], torch.Tensor]:
    """Return the function from a network to its loss on the training samples."""
    return lambda network: F.cross_entropy(network(torch.from_numpy(data.train)), torch.from_numpy(data.train_class))
