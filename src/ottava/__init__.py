"""Ottava: listen to music on a laptop CPU, offline.

The verbs are resolved on first touch; importing this package does nothing else.

>>> import ottava
>>> result = ottava.transcribe("song.mp3")  # doctest: +SKIP
>>> result.notes  # doctest: +SKIP
Notes(412: keys 310, bass 102, 93.4 s)
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "explain", "listen", "load", "structure", "transcribe", "vary"]

# Where each public name lives. The stub beside this file gives editors and type checkers the same, with types.
_HOMES = {
    "transcribe": "ottava.systems.transcription.run:transcribe",
    "structure": "ottava.systems.structure.run:structure",
    "vary": "ottava.systems.structure.vary:vary",
    "explain": "ottava.systems.flow.explain:explain",
    "listen": "ottava.pipelines.listen:listen",
    "load": "ottava.runtime.load:load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ottava' has no attribute {name!r}")
    from ottava.spec import resolve

    value = resolve(_HOMES[name])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
