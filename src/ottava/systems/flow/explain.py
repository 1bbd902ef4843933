"""The verb ``explain``: what in an input carried what a system says of it, or what carries what any network says."""

from __future__ import annotations

import os
import time
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava import __version__
from ottava.errors import InputError, UsageError
from ottava.io.files import sha256
from ottava.results import FlowMap, Labels, Payload, Result
from ottava.runtime.each import run_each
from ottava.runtime.load import load
from ottava.spec import find_spec, iter_specs, resolve
from ottava.systems.flow.communities import find_communities
from ottava.systems.flow.graph import OnnxNetwork
from ottava.systems.flow.local import explain_one
from ottava.systems.flow.measure import information_flow
from ottava.systems.flow.paths import keep_links

__all__ = ["MOST_LINKS", "Explainer", "explain", "load_samples"]

MOST_LINKS = 20_000
"""Links that a result keeps: those that pass on the largest shares."""


class Explainer:
    """Systems and networks, loaded once for many questions.

    Parameters
    ----------
    weights : path-like or None
        Weights of the system to use in place of the bundled ones.
    threads : int or None
        Threads of the networks; as many as there are cores, at most 4, when not given.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None, threads: int | None = None) -> None:
        self._weights, self._threads = weights, threads
        self._loaded: dict[str, tuple[Any, OnnxNetwork]] = {}

    def __call__(
        self,
        source: Any,
        *,
        system: str | None = None,
        item: int | None = None,
        model: str | os.PathLike[str] | None = None,
        estimator: str | None = None,
        variants: int = 1200,
        communities: bool = False,
        seed: int = 0,
    ) -> Result:
        """Explain one thing. Parameters, result and errors are those of :func:`explain`."""
        began = time.perf_counter()
        if model is not None:
            if system is not None or item is not None or self._weights is not None:
                raise UsageError("a model excludes system, item and weights", expected="one of them")
            name, flow, found = self._explain_network(model, source, estimator or "binned", seed)
        else:
            name, flow, found = self._explain_system(source, system, item, estimator, variants, seed)
        kept = keep_links(flow, MOST_LINKS)
        payloads: dict[str, Payload] = {"flow": kept}
        if communities:
            payloads["communities"] = _label(kept, seed)
        return Result(
            system="flow",
            model=name,
            source=source if isinstance(source, str) else os.fspath(source) if _is_path(source) else "data",
            payloads=payloads,
            settings={"item": item, "communities": communities, "seed": seed, **found},
            version=__version__,
            elapsed_s=time.perf_counter() - began,
        )

    def _explain_system(
        self, source: Any, system: str | None, item: int | None, estimator: str | None, variants: int, seed: int
    ) -> tuple[str, FlowMap, dict[str, Any]]:
        spec = find_spec(system) if system else find_spec(_guess_system(source))
        if spec.ask is None:
            raise UsageError(f"{spec.name} cannot be asked", expected="one of " + ", ".join(_askable()))
        if spec.name not in self._loaded:
            loaded = load(spec.name, weights=self._weights, threads=self._threads)
            path = loaded.session.weights.path
            self._loaded[spec.name] = loaded, OnnxNetwork(path, self._threads, spec.joins)
        loaded, network = self._loaded[spec.name]
        question = resolve(spec.ask)(loaded, source, item)
        method = estimator or "gaussian-copula"
        flow = explain_one(network, question, estimator=method, variants=variants, seed=seed)
        asked = {"system": spec.name, "question": question.text, "estimator": method, "variants": variants}
        found = asked | question.found
        return loaded.session.weights.model, flow, found

    def _explain_network(
        self, model: str | os.PathLike[str], source: Any, estimator: str, seed: int
    ) -> tuple[str, FlowMap, dict[str, Any]]:
        key = os.fspath(model)
        if key not in self._loaded:
            self._loaded[key] = None, OnnxNetwork(model, self._threads)
        network = self._loaded[key][1]
        data = load_samples(source) if _is_path(source) else source
        flow = information_flow(network, data, estimator=estimator, seed=seed)
        samples = len(data) if not isinstance(data, Mapping) else len(next(iter(data.values())))
        name = f"{Path(model).name}@{sha256(Path(model))[:12]}"
        return name, flow, {"estimator": estimator, "samples": samples}


def _label(flow: FlowMap, seed: int) -> Labels:
    """Return the number of each unit's community, largest first, as words."""
    found = find_communities(flow, seed=seed)
    numbers = {unit: number for number, community in enumerate(found.members) for unit in community}
    units = zip(flow.layer.tolist(), flow.unit.tolist(), strict=True)
    return Labels([str(numbers[unit]) for unit in units])


def load_samples(path: str | os.PathLike[str]) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Return the arrays of a ``.npy`` or ``.npz`` file: samples along the first axis.

    Raises
    ------
    ottava.errors.InputError
        If it cannot be read, or is of objects.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            "these samples cannot be read", path=path, found=str(error).splitlines()[0], expected=".npy or .npz"
        ) from error


def _is_path(source: Any) -> bool:
    return isinstance(source, (str, os.PathLike))


def _askable() -> list[str]:
    return [spec.name for spec in iter_specs() if spec.ask]


def _guess_system(source: Any) -> str:
    """Return the first system that accepts a source, by its suffix; sound in memory is transcribed."""
    from ottava.symbolic.score import SUFFIXES, Score

    if _is_path(source) and Path(source).suffix.lower() in (".npy", ".npz"):
        raise UsageError("samples are for a model", found=os.fspath(source), expected="model, an ONNX file")
    written = isinstance(source, Score) or (_is_path(source) and Path(source).suffix.lower() in SUFFIXES)
    kind = "score" if written else "audio"
    return next(spec.name for spec in iter_specs() if spec.ask and kind in spec.verbs[0].accepts)


def explain(
    source: Any = None,
    *,
    system: str | None = None,
    item: int | None = None,
    model: Path | None = None,
    data: Path | None = None,
    estimator: str | None = None,
    variants: int = 1200,
    communities: bool = False,
    seed: int = 0,
    weights: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Any:
    """Tell which parts of an input carried what a system says of it; or what carries what a network says.

    Parameters
    ----------
    source : path-like, what the system accepts, or a list of those
        The input.
    system : str or None
        Whose answer is explained: transcription (a note), structure (a bar's code). The first that accepts such a file,
        when not given.
    item : int or None
        Number of the note or bar, from 1 on; the surest note, or the first bar that repeats, when not given.
    model : path-like or None
        An ONNX file to look into in place of a system.
    data : path-like, array_like, dict of str to array_like, or None
        What the model is to read, in place of the source: samples along the first axis, in a .npy or .npz file, an
        array, or arrays by the names of its inputs.
    estimator : str or None
        How information is estimated: binned, gaussian-copula or ksg. Bins for a network, the copula for one answer,
        when not given.
    variants : int
        Variants of the input that are tried, 32 or more: parts of them are faded out or exchanged. None are of data.
    communities : bool
        Also tell which units belong together, by the links kept, as ``result.communities``; the page colours them.
    seed : int
        Of the variants, and of the shuffles that tell what chance gives.
    weights : path-like or None
        An exported graph of the system to use in place of the bundled one.
    threads : int or None
        Threads of the network; as many as there are cores, at most 4, when not given.

    Returns
    -------
    Result or iterator of Result
        ``result.flow`` is a :class:`ottava.results.FlowMap` with the 20 000 links that pass on most;
        ``result.settings["question"]`` says what is explained.
        For a list, an iterator in its order, in which an error stands in the place of a source that could not be used.

    Raises
    ------
    ottava.errors.InputError
        If the source or the model cannot be used.
    ottava.errors.UsageError
        If an option is unknown, or there is no such item.
    ottava.errors.MissingError, ottava.errors.ModelError
        If weights are missing or not usable.

    Examples
    --------
    >>> result = ottava.explain("song.wav", system="transcription", item=3)  # doctest: +SKIP
    >>> result.flow.attribution_of("features")  # doctest: +SKIP
    """
    explainer = Explainer(weights, threads)
    options: dict[str, Any] = {
        "system": system,
        "item": item,
        "model": model,
        "estimator": estimator,
        "variants": variants,
        "communities": communities,
        "seed": seed,
    }
    if (source is None) == (data is None):
        raise UsageError("there must be a source, or data for a model", found="both" if data is not None else "neither")
    if data is not None and model is None:
        raise UsageError("data are for a model", expected="model, an ONNX file")
    if isinstance(source, list):
        return run_each(explainer, source, options)
    return explainer(data if source is None else source, **options)
