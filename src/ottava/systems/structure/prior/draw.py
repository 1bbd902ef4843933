"""Drawing bars that go with those around them."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from ottava.runtime.session import Session
from ottava.runtime.weights import find_weights
from ottava.spec import find_spec

__all__ = ["Prior"]


class Prior:
    """The prior over codes, loaded once.

    Parameters
    ----------
    weights : path-like or None
        An exported graph to use in place of the bundled one.
    threads : int or None
        Threads of the network.

    Raises
    ------
    ottava.errors.MissingError, ottava.errors.ModelError
        If the weights are missing or not usable.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None, threads: int | None = None) -> None:
        spec = find_spec("structure.prior")
        self.session = Session(find_weights(spec, weights), spec, threads)

    def draw(
        self, codes: NDArray[np.float32], known: NDArray[np.bool_], at: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return a code for one bar, shape (code,).

        Parameters
        ----------
        codes : ndarray of float32, shape (bars, code)
            Codes of all bars; those that are not known are not looked at.
        known : ndarray of bool, shape (bars,)
            Which are known.
        at : int
            The bar.
        rng : numpy.random.Generator
            Draws it.
        """
        shown = np.where(known[:, None], codes, 0).astype(np.float32)
        found = self.session.run({"codes": shown[None], "known": known[None].astype(np.float32)})
        weight = found["weight"][0, at].astype(np.float64)
        which = int(rng.choice(len(weight), p=weight / weight.sum()))
        mean, deviation = found["mean"][0, at, which], np.exp(found["log_deviation"][0, at, which])
        return np.asarray(mean + deviation * rng.standard_normal(len(mean)), np.float32)
