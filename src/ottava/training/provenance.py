"""Where a number comes from: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ottava

__all__ = ["commit", "machine", "provenance", "versions"]

_PACKAGES = ("torch", "lightning", "numpy", "onnxruntime")


def machine() -> str:
    """Return the kind of computer: processor and number of cores. It identifies no one."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}"


def versions() -> dict[str, str]:
    """Return the versions of Ottava, Python and the packages that numbers depend on; those installed."""
    found = {"ottava": ottava.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the commit of the source tree that runs, with ``+`` if changed since, or ``release``."""
    file = Path(ottava.__file__).resolve()

    def git(*arguments: str) -> str | None:
        done = subprocess.run(["git", "-C", str(file.parent), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    # An environment inside somebody else's repository must not report that repository's commit.
    if not shutil.which("git") or git("ls-files", "--error-unmatch", file.name) is None:
        return "release"
    return f"{git('rev-parse', '--short=12', 'HEAD')}{'+' if git('status', '--porcelain', '--', '.') else ''}"


def provenance() -> dict[str, str]:
    """Return the columns that go with every number: ``machine``, ``versions``, ``commit``."""
    return {
        "machine": machine(),
        "versions": " ".join(f"{name}={number}" for name, number in versions().items()),
        "commit": commit(),
    }
