from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import ARGUMENTS, CHROMIUM, SPIES, settle
from made_song import make_song

from ottava.report import save
from ottava.results import Result


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Result of a made-up song; its source is a file that exists."""
    return make_song(tmp_path_factory.mktemp("song") / "Evening walk.wav")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield instance
        instance.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Write a result's page and open it; at the end, no request and no console message may have been."""
    contexts, trouble = [], []

    def visit(result: Result, *, width: int = 1100, **options: Any) -> Any:
        path = save(result, tmp_path / "page.html", force=True)
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        tab = context.new_page()
        # Reading pixels back is what these tests do, not the page, and Chromium advises on it.
        tab.on("console", lambda m: None if "willReadFrequently" in m.text else trouble.append(m.text))
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        own = ("data:", "blob:", path.as_uri())
        tab.on("request", lambda r: None if r.url.startswith(own) else trouble.append(r.url))
        tab.add_init_script(SPIES)
        tab.goto(path.as_uri())
        settle(tab)
        return tab

    yield visit
    for context in contexts:
        context.close()
    assert not trouble
