"""The arms of the transcription claims: what is compared with what, and how the budgets are matched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from torch import nn

from ottava.results import FAMILIES
from ottava.systems.transcription.train.budget import closest, count_multiply_adds, count_parameters
from ottava.systems.transcription.train.paper import (
    NETS,
    FamilyStack,
    Linear,
    PreStack,
    SemitoneHead,
    UNet,
    family_stack,
)

BINS, NOTES = 288, 88
Stack = PreStack | FamilyStack

# All is scaled down to minutes on one core. The kernel of 64 bins spans the octaves of the published 128.
UNET = {"widths": (6, 12, 16, 24, 24), "kernel_times": (3, 1)}
OPTIONS: dict[str, dict[str, Any]] = {
    "shallow": {"filters": 8},
    "translation-invariant": {"filters": (16, 32), "kernel_bins": 64},
    "resnet": {"filters": (8, 16)},
}
FAMILY_UNET = {"widths": (4, 8, 12, 16), "kernel_times": (3, 1)}
FAMILY_NET = "resnet"
FAMILY_OPTIONS = {"filters": (6, 12)}


@dataclass(frozen=True)
class Arm:
    """One network and how it is trained.

    Parameters
    ----------
    name : str
    build : callable
        Makes the network, with fresh weights.
    families : bool
        One set of notes for each instrument family.
    schedule : {"joint", "frozen", "reconstruction"}
        U and C together; C behind a U that was trained as autoencoder; together with a term that draws Z to X.
    probe : bool
        Afterwards, train a linear probe on Z and compare fundamentals with harmonics.
    """

    name: str
    build: Callable[[], Stack]
    families: bool = False
    schedule: str = "joint"
    probe: bool = False


def _net(name: str, **more: Any) -> nn.Module:
    return NETS[name](BINS, NOTES, **(OPTIONS[name] | more))


def pair(name: str, *, residual: bool = True) -> PreStack:
    """Return U + C."""
    return PreStack([UNet(**UNET, residual=residual)], _net(name))


def _enlarged(name: str) -> Iterator[dict[str, Any]]:
    """Yield arguments of ever larger transcription networks.

    They get the context of the pair as well, so that a pair cannot win by merely seeing more frames.
    """
    context = {"context": pair(name).context}
    if name == "shallow":
        for filters, height in product(range(6, 90), (7, 9, 11, 13)):
            yield context | {"filters": filters, "kernel_bins": height}
    elif name == "translation-invariant":
        for high, spread in product(range(20, 70), (-2, -1, 0, 1, 2)):
            yield context | {"filters": (high // 2 + spread, high)}
    else:
        for high, spread in product(range(14, 60), (-2, -1, 0, 1, 2)):
            yield context | {"filters": (high // 2 + spread, high)}


def _macs(net: nn.Module) -> int:
    return count_multiply_adds(net, BINS)


@cache
def _matched(name: str, budget: str) -> dict[str, Any]:
    measure = {"parameters": count_parameters, "multiply-adds": _macs}[budget]
    return closest(lambda **o: PreStack([], _net(name, **o)), _enlarged(name), measure, measure(pair(name)))


def _as_transcriber(widths: tuple[int, ...], kernel_times: tuple[int, int]) -> PreStack:
    unet = UNet(widths, widths[0], kernel_times=kernel_times)
    return PreStack([unet], SemitoneHead(BINS, NOTES, channels=widths[0]))


@cache
def _matched_transcriber() -> tuple[int, ...]:
    """Return widths of a U-Net that alone has the parameters of U + resnet, and about its context."""
    base: tuple[int, ...] = UNET["widths"]  # type: ignore[assignment]
    scaled = ({"widths": tuple(round(w * s / 50) for w in base)} for s in range(50, 120))
    target = count_parameters(pair("resnet"))
    found = closest(lambda widths: _as_transcriber(widths, (3, 3)), scaled, count_parameters, target)
    return tuple(found["widths"])


def _families(
    variant: str, widths: tuple[int, ...] | None = None, filters: tuple[int, int] | None = None
) -> FamilyStack:
    unet = FAMILY_UNET | ({"widths": widths} if widths else {})
    options: dict[str, Any] = FAMILY_OPTIONS | ({"filters": filters} if filters else {})
    if variant == "V4":  # the context of the others, for the same reason as above
        options["context"] = _families("V1").context
    return family_stack(
        variant,  # type: ignore[arg-type]
        len(FAMILIES),
        lambda channels: UNet(channels_out=channels, **unet, residual=True),  # type: ignore[arg-type]
        lambda notes: NETS[FAMILY_NET](BINS, notes, **options),
        NOTES,
    )


@cache
def _matched_families(variant: str, other: str) -> dict[str, Any]:
    """Return the arguments that give V3 or V4 the parameters of V1 or V2."""
    if variant == "V3":  # its one U-Net grows, below all where it is narrow in frequency and so cheap to run
        grid = product((6, 8, 10), (12, 16), range(16, 65, 4), range(16, 133, 4))
        candidates: Iterator[dict[str, Any]] = ({"widths": widths} for widths in grid)
    else:
        candidates = ({"filters": sizes} for sizes in product(range(4, 31), range(3, 31)))
    target = count_parameters(_families(other))
    return closest(lambda **o: _families(variant, **o), candidates, count_parameters, target)


def arms() -> list[Arm]:
    """Return all arms, in the order of the claims."""
    found = []
    for name in OPTIONS:
        found += [
            Arm(f"{name}/C", lambda name=name: PreStack([], _net(name))),
            Arm(f"{name}/U+C", lambda name=name: pair(name), probe=True),
            Arm(f"{name}/U+C plain", lambda name=name: pair(name, residual=False), probe=True),
        ]
        for budget in ("parameters", "multiply-adds"):
            found.append(
                Arm(
                    f"{name}/C={budget}",
                    lambda name=name, budget=budget: PreStack([], _net(name, **_matched(name, budget))),
                )
            )
    small: tuple[int, ...] = UNET["widths"]  # type: ignore[assignment]
    found += [
        Arm("U alone", lambda: _as_transcriber(small, (3, 1))),
        Arm("U alone=parameters", lambda: _as_transcriber(_matched_transcriber(), (3, 3))),
        Arm("shallow/U+C frozen", lambda: pair("shallow", residual=False), schedule="frozen", probe=True),
        Arm(
            "shallow/U+C reconstruction",
            lambda: pair("shallow", residual=False),
            schedule="reconstruction",
            probe=True,
        ),
        Arm("probe of X", lambda: PreStack([], Linear(BINS, NOTES, context=1))),
        Arm("probe of X=context", lambda: PreStack([], Linear(BINS, NOTES, context=UNet(**UNET).context))),  # type: ignore[arg-type]
    ]
    for variant in ("V1", "V2"):
        found.append(Arm(variant, lambda variant=variant: _families(variant), families=True))
    for variant, other in product(("V3", "V4"), ("V1", "V2")):
        found.append(
            Arm(
                f"{variant}={other}",
                lambda variant=variant, other=other: _families(variant, **_matched_families(variant, other)),
                families=True,
            )
        )
    return found
