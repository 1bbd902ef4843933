"""The paper's protocol: clips and labels, notes from frames, a run from the command line, an export."""

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import soundfile
import torch
import yaml

from ottava.errors import UsageError
from ottava.results import FAMILIES, Notes
from ottava.signal.logfreq import LogFrequency
from ottava.systems.transcription.train import paper_data
from ottava.systems.transcription.train.paper_data import Clip, PaperData, cached_levels, make_piece
from ottava.systems.transcription.train.paper_decode import frame_notes
from ottava.systems.transcription.train.paper_task import PAPER, PaperTask, build
from ottava.training.cli import main
from ottava.training.export import export_task

CONFIGS = Path(paper_data.__file__).parent


def notes(*rows):
    start, end, pitch, instrument = zip(*rows, strict=True)
    ones = np.ones(len(rows))
    return Notes(start, end, pitch, 64 * ones, ones, instrument)


def test_runs_of_frames_become_notes():
    posterior = np.zeros((12, 88), np.float32)
    posterior[2:5, 0] = 0.9  # 0.2 to 0.5 s
    posterior[6:8, 0] = 0.6  # after a gap of one frame
    posterior[0, 39] = 0.8  # too short
    posterior[8:12, 39] = 0.7  # to the end
    posterior[0:12, 40] = 0.49
    found = frame_notes(posterior, 0.1, gap_s=0.0, min_note_s=0.2, instrument="bass")
    assert [(round(r["start_s"], 6), round(r["end_s"], 6), r["pitch_midi"]) for r in found.rows()] == [
        (0.2, 0.5, 21),
        (0.6, 0.8, 21),
        (0.8, 1.2, 60),
    ]
    assert found.confidence == pytest.approx([0.9, 0.6, 0.7])
    joined = frame_notes(posterior, 0.1, gap_s=0.1, min_note_s=0.2)
    assert joined.end_s.tolist() == pytest.approx([0.8, 1.2])
    assert joined.confidence[0] == pytest.approx((3 * 0.9 + 2 * 0.6) / 6)
    assert len(frame_notes(posterior, 0.1, threshold=0.95)) == 0
    assert len(frame_notes(np.ones((5, 88), np.float32), 0.1)) == 88


def test_a_clip_past_the_ends_is_silent():
    levels = np.full((288, 10), 255, np.uint8)
    clip = Clip("x", levels, notes((0.0, 0.3, 60, "keys"), (0.2, 0.9, 64, "winds"), (0.2, 0.9, 36, "drums")), 0.1)
    X, labels = clip.cut(-2, 14)
    assert X[0, 0].tolist() == [0, 0, *[1] * 10, 0, 0]
    assert np.flatnonzero(labels[FAMILIES.index("keys"), 60 - 21]).tolist() == [2, 3, 4]
    assert np.flatnonzero(labels[FAMILIES.index("winds"), 64 - 21]).tolist() == [4, 5, 6, 7, 8, 9, 10]
    assert labels.sum() == 3 + 7  # drums are nobody's


def test_features_are_kept_by_content_and_parameters(tmp_path):
    sound, _ = make_piece(0, 1.0)
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, sound, 16000, subtype="FLOAT")
    features, cache = LogFrequency(windows=(4096,)), tmp_path / "cache"
    first = cached_levels(tmp_path / "a.wav", features, cache)
    assert first.shape == (288, features.count_frames(len(sound)))
    np.testing.assert_allclose(first / 255, features.features(sound)[0].T.clip(0, 1), atol=0.51 / 255)
    cached_levels(tmp_path / "b.wav", features, cache)
    assert len(list(cache.iterdir())) == 1  # the same sound
    cached_levels(tmp_path / "a.wav", LogFrequency(windows=(2048,)), cache)
    assert len(list(cache.iterdir())) == 2


def test_clips_are_functions_of_their_number_and_shift_with_their_labels():
    data = PaperData("made", count=60, pitch_shift=2)
    crops = paper_data.Crops(data._all("train"), 60, 2, 3, seed=5)
    one, again, other = crops[7], crops[7], crops[8]
    assert torch.equal(one["features"], again["features"])
    assert not torch.equal(one["features"], other["features"])
    levels = one["features"][0].numpy()
    pitch, frame = np.nonzero(one["labels"].amax(0).numpy())
    assert len(pitch)
    # Wherever the labels went, the sound went too: a sounding note's middle bin is far above the floor.
    assert np.median(levels[3 * pitch + 1, frame]) > levels.mean() + 0.1


def test_made_pieces_are_split():
    data = PaperData("made")
    names = [[clip.notes.start_s[0] for clip in data.clips(s)] for s in ("train", "validation", "test")]
    assert [len(n) for n in names] == [6, 2, 2]
    assert len(set().union(*names)) == 10
    with pytest.raises(UsageError, match="folder and a cache"):
        PaperData("musicnet", folder="x")


def test_a_run_from_the_command_line(tmp_path):
    assert main(["train", "transcription", "--config", "paper_debug", "--run", str(tmp_path)]) == 0
    task = PaperTask.load_from_checkpoint(tmp_path / "best.ckpt", weights_only=True)
    assert task.network.context == 25 + task.network.transforms[0].context - 1
    log = next(tmp_path.glob("logs/*/metrics.csv"))
    scores = [float(row["val_ap"]) for row in csv.DictReader(log.open()) if row["val_ap"]]
    assert len(scores) == 2
    assert 0 < scores[-1] <= 1


def test_the_papers_configuration_is_the_papers_network():
    config = yaml.safe_load((CONFIGS / "paper.yaml").read_text())
    task = PaperTask(**config["model"])
    assert task.network.transcriber.context == 25
    assert task.network.context == 25 + task.network.transforms[0].context - 1 < config["data"]["count"]
    assert task.configure_optimizers()["optimizer"].param_groups[0]["lr"] == 1e-5


@pytest.mark.parametrize("variant", ["single", "V3"])
def test_an_export_says_the_same(variant, tmp_path):
    torch.manual_seed(0)
    small = {"widths": [4, 6], "norm": "batch", "kernel_times": [3, 1]}
    task = PaperTask(variant, "resnet", unet=small, options={"filters": [4, 6]}, threshold=0.6).eval()
    done = export_task(PAPER, task, tmp_path / "paper.onnx")
    assert done.max_difference < 1e-4


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match="V5"):
        build("V5", "shallow", bins=288)
    with pytest.raises(UsageError, match="transcriber"):
        build("single", "deep", bins=288)
    task = PaperTask(transcriber="shallow", unet={"widths": [4, 6]})
    with pytest.raises(UsageError, match="too short"):
        task.training_step({"features": torch.zeros(1, 1, 288, 30), "labels": torch.zeros(1, 6, 88, 30)}, 0)
