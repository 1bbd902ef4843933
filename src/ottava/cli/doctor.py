"""``ottava doctor``: is all there, and does it work?"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import ottava
from ottava.errors import MissingError, ModelError, OttavaError
from ottava.spec import Spec, Verb, iter_networks, iter_specs, resolve

__all__ = ["doctor"]

_PARTS = ("numpy", "onnxruntime", "soundfile", "soxr", "symusic", "rich", "cyclopts")
_EXTRAS = {
    "video": ("av", "m4a, aac and the sound of videos"),
    "score": ("partitura", "MusicXML and ABC as input"),
    "explain": ("networkx", "communities in explanations"),
    "train": ("lightning", "training"),
}


def doctor() -> int:
    """Check the installation: versions, threads, models, extras, and a run on the example."""
    from ottava.runtime.session import default_threads

    print(f"ottava {ottava.__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"threads {default_threads()}")
    sound = [_check(part, partial(_version, part)) for part in _PARTS]
    sound += [_check(f"model {spec.name}", partial(_model, spec)) for spec in iter_networks()]
    for verb in (verb for spec in iter_specs() for verb in spec.verbs):
        sound.append(_check(f"{verb.name} the example", partial(_example, verb)))
    for extra, (package, purpose) in _EXTRAS.items():
        try:
            state = f"{package} {version(package)}"
        except PackageNotFoundError:
            state = f'not installed: pip install "ottava[{extra}]"'
        print(f"--   [{extra}] for {purpose}: {state}")
    return 0 if all(sound) else 1


def _check(name: str, test: Callable[[], str]) -> bool:
    try:
        print(f"ok   {name}: {test()}")
    except (OttavaError, ImportError, OSError) as error:
        print(f"FAIL {name}: {error}")
        return False
    return True


def _version(part: str) -> str:
    __import__(part)
    try:
        return version(part)
    except PackageNotFoundError as error:
        raise MissingError(f"{part} has no version") from error


def _model(spec: Spec) -> str:
    from ottava.runtime.cards import read_card
    from ottava.runtime.session import Session
    from ottava.runtime.weights import find_weights

    weights = find_weights(spec)
    session = Session(weights, spec)
    known = f"sha256 {weights.sha256[:12]} as its card says"
    return f"{read_card(spec).version}, {known}, {session.threads} threads"


def _example(verb: Verb) -> str:
    from ottava.runtime.examples import find_example

    path = find_example(verb.accepts[0])
    result = resolve(verb.function)(path)
    if not any(len(payload) for payload in result.payloads.values()):
        raise ModelError("found nothing in the example", path=path, expected="music")
    found = ", ".join(repr(payload) for payload in result.payloads.values())
    share = f", {result.elapsed_s / result.duration_s:.3f} of its length" if result.duration_s else ""
    return f"{found}{share}"
