"""``ottava models``: what is bundled, and the cards."""

from __future__ import annotations

import re

from cyclopts import App

from ottava.runtime.cards import read_card
from ottava.spec import find_spec, iter_networks

__all__ = ["app"]

app = App(name="models", help="List the models, or show the card of one.", help_format="plaintext")


@app.default
@app.command(name="list")
def list_models() -> int:
    """List the models."""
    for spec in iter_networks():
        card = read_card(spec)
        verbs = "".join(f"{verb.name}, " for verb in spec.verbs)
        print(f"{spec.name} {card.version}  ({card.licence})")
        print(f"    {spec.title}")
        print(f"    {verbs}{card.parameters:,} parameters, {card.bytes / 2**20:.1f} MiB")
    return 0


@app.command
def show(name: str) -> int:
    """Show the card of a model.

    Parameters
    ----------
    name : str
        Name of the system, or of a part of one: ``transcription.families``.
    """
    card = read_card(find_spec(name))
    print(f"{card.name} {card.version}, {card.licence}, sha256 {card.sha256}")
    for title, axes in (("input ", card.inputs), ("output", card.outputs)):
        for array, shape in axes.items():
            print(f"{title} {array}: {' x '.join(str(axis) for axis in shape)}")
    print("trained on:")
    for source in card.trained_on:
        print(f"    {source.name} ({source.licence}) {source.url}")
    print()
    print(re.sub("<!--.*?-->\n?", "", card.body).strip())
    return 0
