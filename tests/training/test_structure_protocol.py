"""The paper's protocol of structure: symbols and keys of its data, both stages from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import torch
import yaml

from ottava.corpora.songs import make_songs
from ottava.corpora.tunes import TuneItem
from ottava.errors import InputError
from ottava.symbolic.bars import HOLD, ONSET, REST
from ottava.systems.structure.train import paper_data
from ottava.systems.structure.train.paper import SYMBOLS
from ottava.systems.structure.train.paper_data import PaperBars, beginnings, to_paper
from ottava.systems.structure.train.paper_task import PaperStructureTask
from ottava.training.cli import main
from ottava.training.networks import load_network

CONFIGS = Path(paper_data.__file__).parent


def test_symbols_are_the_authors():
    symbols = np.array([REST, HOLD, 40 + ONSET, 84 + ONSET, 39 + ONSET, 85 + ONSET], np.int16)
    assert to_paper(symbols).tolist() == [0, 1, 2, SYMBOLS - 1, 0, 0]


def test_each_tune_comes_in_nine_keys():
    bars = beginnings(make_songs(12))
    items = PaperBars(bars)
    assert len(items) == 9 * len(bars)
    low, own, high = (items[9 + key].numpy() for key in (0, 4, 8))
    np.testing.assert_array_equal(own, to_paper(bars[1]))
    onsets = (low >= 2) & (high >= 2)
    assert onsets.any()
    assert set((high - low)[onsets].tolist()) == {8}
    assert PaperBars(bars, single=True)[0].shape == (1, 16)


def test_tunes_that_are_too_short_or_of_another_meter_are_named():
    short = TuneItem("a", "a", (4, 4), np.full((7, 16), 62, np.int16))
    waltz = TuneItem("b", "b", (3, 4), np.full((9, 12), 62, np.int16))
    with pytest.raises(InputError, match="no tune of eight bars in 4/4; found 2 tunes"):
        beginnings([short, waltz])


def test_both_stages_from_the_command_line(tmp_path):
    bars, tunes = tmp_path / "bars", tmp_path / "tunes"
    stage = ["--model.stage=bars", "--model.kl_weight=0.1", "--data.single=true", "--monitor=valid/loss"]
    config = ["train", "structure", "--config=paper_debug"]
    assert main([*config, f"--run={bars}", *stage, "--monitor_mode=min"]) == 0
    checkpoint = bars / "last.ckpt"
    assert main([*config, f"--run={tunes}", f"--model.local_weights={checkpoint}"]) == 0
    logged = (tunes / "logs/version_0/metrics.csv").read_text()
    assert all(f"valid/{name}" in logged for name in ("free", "forced", "forced_sampled", "divergence", "active"))


def test_tunes_start_from_what_bars_have_learned(tmp_path):
    torch.manual_seed(0)
    first = PaperStructureTask("bars")
    first.save_local(tmp_path / "local.safetensors")
    second = PaperStructureTask("tunes", str(tmp_path / "local.safetensors"))
    for one, other in zip(first.network.local.parameters(), second.network.local.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(InputError, match=r"gone\.safetensors"):
        PaperStructureTask("tunes", str(tmp_path / "gone.safetensors"))
    with pytest.raises(InputError, match="do not fit"):
        load_network(first.network, tmp_path / "local.safetensors")


@pytest.mark.parametrize("name", ["paper", "paper_bars"])
def test_the_configurations_are_the_papers(name):
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    assert config["model"]["kl_weight"] == {"paper": 1.0, "paper_bars": 0.1}[name]
    assert config["data"]["batch_size"] == {"paper": 16, "paper_bars": 64}[name]
    assert "gradient_clip_val" not in config["trainer"]
    if name == "paper":
        assert config["model"]["masks"] == [1, 1, 1]
