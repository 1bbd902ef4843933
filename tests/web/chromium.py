"""A real browser, and what its tests do with a page."""

from __future__ import annotations

import shutil
import time
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

NEEDED = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path"),
]

# Counts what the canvases are asked to draw, and listens to what goes to the loudspeaker.
SPIES = """
window.drawn = 0;
for (const name of ["fillRect", "roundRect"]) {
  const real = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (...a) { window.drawn++; return real.apply(this, a); };
}
window.tones = [];
const Real = window.OscillatorNode;
window.OscillatorNode = class extends Real {
  constructor(context, options) { super(context, options); window.tones.push(options.frequency); }
};
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode) connect.call(this, window.meter = new AnalyserNode(this.context));
  return connect.call(this, to, ...rest);
};
window.level = () => {
  if (!window.meter) return 0;
  const block = new Float32Array(2048);
  window.meter.getFloatTimeDomainData(block);
  return Math.max(...block.map(Math.abs));
};
"""


def settle(tab: Any) -> None:
    """Wait until what was asked for has been drawn."""
    frame = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 10)))"
    tab.evaluate(f"() => {frame}.then(() => {frame})")


def until(tab: Any, condition: str) -> None:
    """Wait until a JavaScript expression holds; playwright's own way needs eval, which the policy forbids."""
    end = time.monotonic() + 10
    while not tab.evaluate(f"() => {condition}"):
        assert time.monotonic() < end, condition
        tab.wait_for_timeout(30)


def press(tab: Any, *keys: str) -> None:
    for key in keys:
        tab.keyboard.press(key)
        settle(tab)
