"""The shipped network, its targets and its crops."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("lightning", reason="training needs lightning")

from ottava.corpora.rendered import Recipe, make_rendered  # noqa: E402
from ottava.errors import InputError, TrainingError  # noqa: E402
from ottava.systems.transcription import SPEC  # noqa: E402
from ottava.systems.transcription.decode import decode  # noqa: E402
from ottava.systems.transcription.train.data import (  # noqa: E402
    RenderedCrops,
    _overlay,
    _transpose,
    make_targets,
)
from ottava.systems.transcription.train.network import HARMONICS, PreStackedTranscriber  # noqa: E402
from ottava.systems.transcription.train.task import TranscriptionTask, losses  # noqa: E402
from ottava.training.cli import main  # noqa: E402
from ottava.training.export import export_task  # noqa: E402

FRAME_S = 0.024
SMALL = {"width": 8, "context": 16, "unet_widths": (4, 4, 8), "dilations": (1, 2)}


def _lists(settings):
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def test_targets_decode_to_the_notes_they_were_made_of():
    rng = np.random.default_rng(0)
    n = 60
    start = np.sort(rng.uniform(0.1, 20, n))
    pitch = 21 + rng.permutation(88)[:n]
    family = rng.integers(0, 6, n)
    notes = np.column_stack([start, start + rng.uniform(0.15, 2, n), pitch, rng.integers(1, 128, n), family])
    hits = np.array([[1.0, 1.1, 36, 100, 6], [1.0, 1.1, 42, 60, 6], [2.003, 2.1, 38, 90, 6], [3.0, 3.1, 90, 90, 6]])
    targets = make_targets(np.concatenate([notes, hits]).astype(np.float32), 0, 1000, FRAME_S)
    found = decode(targets, frame_s=FRAME_S)
    tonal = found[found.instrument != "drums"]
    assert np.allclose(tonal.start_s, start, atol=1e-4)
    assert np.array_equal(tonal.pitch_midi, pitch)
    assert np.abs(tonal.end_s - notes[:, 1]).max() <= 1.5 * FRAME_S
    assert np.array_equal(tonal.velocity, notes[:, 3])
    drums = found.of("drums")
    # A key that is no drum of ours (90) is no hit.
    assert [(round(t, 3), p) for t, p in zip(drums.start_s, drums.pitch_midi, strict=True)] == [
        (1.0, 36),
        (1.0, 42),
        (2.003, 38),
    ]


def test_a_crop_has_the_targets_of_its_place():
    notes = np.array([[1.0, 2.0, 60, 64, 0], [3.0, 4.0, 64, 64, 2]], np.float32)
    whole = make_targets(notes, 0, 300, FRAME_S)
    crop = make_targets(notes, 50, 100, FRAME_S)
    for name, target in crop.items():
        assert np.allclose(target, whole[name][50:150], atol=1e-4), name


def test_each_half_of_the_network_sees_exactly_its_margin():
    torch.manual_seed(0)
    network = PreStackedTranscriber(**SMALL).eval()
    middle, n = 100, 201

    def reach(before, after):
        wrong = [(a - b).abs().transpose(0, 1).flatten(1).amax(1) > 0 for a, b in zip(before, after, strict=True)]
        return max(int((torch.nonzero(w) - middle).abs().max()) for w in wrong)

    x = torch.rand(1, 2, n, 288)
    y = x.clone()
    y[:, :, middle] += 1
    with torch.no_grad():
        embedded = network.embed(x)
        assert reach([embedded.transpose(1, 2)], [network.embed(y).transpose(1, 2)]) == network.margins_frames[0]
        touched = embedded.clone()
        touched[:, :, middle] += 1
        halves = TranscriptionTask(**_lists(SMALL)).eval()
        halves.network.load_state_dict(network.state_dict())
        before, after = (halves.export_module()(x, e)[1:] for e in (embedded, touched))
        assert reach(before, after) == network.margins_frames[1]


def test_every_pitch_sees_its_own_bins():
    network = PreStackedTranscriber()
    x = torch.zeros(1, 2, 40, 288)
    z, _ = network.unet(x)
    assert z.shape == (1, 4, 40, 288)
    semitones = torch.zeros(1, 16, 1, 96)
    semitones[0, 0, 0] = torch.arange(96.0)
    convolution = network.harmonics[0]
    with torch.no_grad():
        convolution.weight.zero_()
        for harmonic in range(9):
            convolution.weight[harmonic, 16 * harmonic] = 1  # channel n shows the first channel of harmonic n
        gathered = network.eval()._gather_harmonics(semitones)[0, :9, 0]
    assert gathered.shape == (9, 88)
    assert gathered[1].tolist() == pytest.approx(list(range(88)), rel=1e-4)  # the pitch itself
    for harmonic, semitones_up in enumerate(HARMONICS[2:], 2):
        there = 96 - semitones_up
        assert gathered[harmonic, :there].tolist() == pytest.approx(list(range(semitones_up, 96))[:88], rel=1e-4)
        assert gathered[harmonic, there:].abs().sum() == 0  # nothing above the highest
    assert gathered[0, :12].abs().sum() == 0  # nothing below the lowest


def test_transposing_moves_notes_and_bins_together():
    rng = np.random.default_rng(0)
    notes = np.array([[0.5, 1.0, 60, 64, 1]], np.float32)
    levels = rng.random((2, 60, 288)).astype(np.float32)
    targets = make_targets(notes, 0, 60, FRAME_S)
    up, moved = _transpose(levels, targets, 2)
    assert np.array_equal(up[:, :, 6:], levels[:, :, :-6])
    assert (up[:, :, :6] == 0).all()
    assert decode(moved, frame_s=FRAME_S).pitch_midi.tolist() == [62]
    down, moved = _transpose(levels, targets, -3)
    assert np.array_equal(down[:, :, :-9], levels[:, :, 9:])
    assert decode(moved, frame_s=FRAME_S).pitch_midi.tolist() == [57]


def test_laying_over_adds_powers_and_unites_notes():
    a, b = np.full((2, 60, 288), 0.5, np.float32), np.full((2, 60, 288), 0.5, np.float32)
    first, second = (make_targets(np.array([[0.5, 1.0, p, 64, 1]], np.float32), 0, 60, FRAME_S) for p in (60, 67))
    levels, targets = _overlay(a, b, first, second)
    assert np.allclose(levels, 0.5 + 0.0301, atol=1e-4)  # twice the power is 3.01 dB
    assert decode(targets, frame_s=FRAME_S).pitch_midi.tolist() == [60, 67]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    make_rendered(folder, Recipe(kinds={"piano": 1.0}, length_s=5), count=2)
    return folder


def test_a_crop_is_a_function_of_its_number(corpus):
    crops = RenderedCrops(corpus / "train", 64, augment=True, seed=3)
    one, same, other = crops[1000], crops[1000], crops[1001]
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not torch.equal(one["features"], other["features"])
    assert one["features"].shape == (2, 64, 288)
    assert 0 <= one["features"].min() <= one["features"].max() <= 1.1


def test_a_damaged_shard_is_passed_over_with_a_warning(corpus, tmp_path):
    (tmp_path / "a.npz").write_bytes((corpus / "train" / "000-000000.npz").read_bytes())
    (tmp_path / "b.npz").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"b\.npz: this shard is damaged.*left out"):
        crops = RenderedCrops(tmp_path, 64, augment=True)
    (tmp_path / "a.npz").rename(tmp_path / "c.npz")  # what has gone since is another matter
    with pytest.raises(InputError, match="five damaged shards"), pytest.warns(UserWarning, match="drawing another"):
        crops[0]
    (tmp_path / "c.npz").rename(tmp_path / "a.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = [crops[number] for number in range(8)]
    assert len(drawn) == 8


def test_losses_fall_to_nothing_for_perfect_answers():
    notes = np.array([[0.4, 1.0, 60, 64, 1], [0.7, 0.8, 38, 90, 6]], np.float32)
    targets = {k: torch.from_numpy(v)[None] for k, v in make_targets(notes, 0, 60, FRAME_S).items()}
    hard = {k: torch.where(v > 0, 1.0, 0.0) for k, v in targets.items()}
    logits = {k: torch.where(v > 0, 12.0, -12.0) for k, v in hard.items()}
    logits["velocity"] = torch.logit(targets["velocity"].clamp(1e-5, 1 - 1e-5))
    logits["drum_velocity"] = torch.logit(targets["drum_velocity"].clamp(1e-5, 1 - 1e-5))
    parts = losses(logits, hard | {k: targets[k] for k in ("velocity", "drum_velocity")})
    assert all(value < 0.01 for value in parts.values())
    wrong = losses({k: -v for k, v in logits.items()}, hard)
    assert all(wrong[k] > 1 for k in ("onset", "frame", "offset", "drum_onset"))


def test_the_task_exports_probabilities_of_the_network_in_two_halves():
    task = TranscriptionTask(**_lists(SMALL)).eval()
    example = task.example_inputs(30)
    with torch.no_grad():
        embedding, *outputs = task.export_module()(**example)
        logits = task(example["features"])
    assert torch.equal(embedding, example["embedded"])
    for output, logit in zip(outputs, logits.values(), strict=True):
        assert torch.allclose(output, torch.sigmoid(logit), atol=1e-6)


def test_a_network_of_another_size_is_not_exported(tmp_path):
    task = TranscriptionTask(**_lists(SMALL)).eval()
    with pytest.raises(TrainingError, match=r"embedded has another size than transcription needs; found \(1, 8, 250,"):
        export_task(SPEC, task, tmp_path / "small.onnx")
    assert not list(tmp_path.iterdir())


def test_one_half_is_trained_from_a_checkpoint_and_the_other_stays(tmp_path):
    def train(run, *options):
        assert main(["train", "transcription", "--config=debug", f"--run={tmp_path / run}", *options]) == 0
        return torch.load(tmp_path / run / "last.ckpt", weights_only=True)["state_dict"]

    start = train("both")
    initial = f"--model.initial_weights={tmp_path / 'both' / 'last.ckpt'}"
    for half in ("notes", "drums"):
        after = train(half, f"--model.only={half}", initial)
        moved = {name for name in start if not torch.equal(start[name], after[name])}
        assert moved
        assert {name.startswith("network.drums.") for name in moved} == {half == "drums"}
    with pytest.raises(InputError, match="do not fit"):
        TranscriptionTask(initial_weights=str(tmp_path / "both" / "last.ckpt"))  # of another size
