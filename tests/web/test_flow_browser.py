"""The page of an information flow in a real browser, opened from ``file://``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chromium import NEEDED
from made_flow import make_flow

pytestmark = NEEDED


def test_pointing_at_a_unit_shows_its_links_alone(visit: Callable[..., Any]) -> None:
    tab = visit(make_flow())
    units, links = tab.locator(".graph circle"), tab.locator(".graph .links path")
    assert (units.count(), links.count()) == (12, 5)
    assert tab.locator(".graph .away").count() == 0
    tab.hover(".graph circle[data-unit='11']")  # the answer, which two hidden units tell of
    assert tab.locator(".graph .links path:not(.away)").count() == 2
    assert tab.locator(".graph circle:not(.away)").count() == 3
    tab.mouse.move(0, 0)
    assert tab.locator(".graph .away").count() == 0
    tab.focus(".graph circle[data-unit='0']")
    assert tab.locator(".graph .links path:not(.away)").count() == 1
    tab.click("#theme")
    assert tab.locator("audio").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1100
