"""The scripts beside the package: does each still start?"""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")
pytest.importorskip("matplotlib", reason="needs ottava[dev]")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path for path in BENCHMARKS.rglob("*.py") if "argparse" in path.read_text())


@pytest.mark.skipif(not BENCHMARKS.exists(), reason="the benchmarks are not in this distribution")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_explains_itself(script, tmp_path):
    done = subprocess.run([sys.executable, script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
