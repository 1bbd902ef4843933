"""The paper's networks: what they compute, what they cost, and that they learn."""

import itertools

import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from ottava.errors import TrainingError, UsageError  # noqa: E402
from ottava.systems.transcription.train import paper  # noqa: E402
from ottava.systems.transcription.train.budget import (  # noqa: E402
    closest,
    count_multiply_adds,
    count_parameters,
)

BINS, NOTES, FRAMES = 72, 20, 7
WIDTHS = (4, 6, 8)
SMALL = {
    "linear": {},
    "shallow": {"filters": 8},
    "translation-invariant": {"filters": (3, 4), "kernel_bins": 16},
    "resnet": {"filters": (4, 6)},
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def unet(channels_out=1, **options):
    return paper.UNet(WIDTHS, channels_out, **options)


def net(name, **options):
    return paper.NETS[name](BINS, NOTES, **SMALL[name], **options)


def transcriber(notes):
    return paper.Shallow(BINS, notes, filters=8)


def stacks():
    """Every kind of network of the module, by name."""
    for name in SMALL:
        yield name, lambda name=name: paper.PreStack([], net(name))
        yield f"U+{name}", lambda name=name: paper.PreStack([unet()], net(name))
    yield (
        "U+resnet, by frame",
        lambda: paper.PreStack([unet(norm="group")], paper.ResNet(BINS, NOTES, filters=(4, 6), norm="group")),
    )
    yield "U+U+U+shallow", lambda: paper.PreStack([unet(), unet(), unet()], net("shallow"))
    yield (
        "U of harmonics",
        lambda: paper.PreStack([unet(harmonics=(0.5, 1, 2, 3), kernel_times=(3, 1))], net("shallow")),
    )
    yield (
        "U as transcriber",
        lambda: paper.PreStack([unet(3)], paper.SemitoneHead(BINS, NOTES, channels=3)),
    )
    for variant in ("V1", "V2", "V3", "V4"):
        yield variant, lambda variant=variant: paper.family_stack(variant, 3, unet, transcriber, NOTES)


STACKS = dict(stacks())
every_stack = pytest.mark.parametrize("name", STACKS)


def settle(stack):
    """Give batch normalisation statistics that are not the initial ones, then fix them."""
    stack.train()
    stack.valid(torch.rand(2, 1, BINS, stack.context + 4))
    return stack.eval()


@every_stack
def test_one_output_for_every_note_and_frame(name):
    logits = STACKS[name]()(torch.rand(2, 1, BINS, FRAMES))
    assert logits.shape == ((2, 3, NOTES, FRAMES) if name.startswith("V") else (2, NOTES, FRAMES))


@pytest.mark.parametrize("name", SMALL)
def test_transcription_networks_see_25_frames(name):
    assert paper.PreStack([], net(name)).context == 25


@every_stack
def test_patches_equal_convolution(name):
    # The literature runs one patch of `context` frames for each frame that it labels.
    stack = settle(STACKS[name]())
    X = torch.rand(1, 1, BINS, FRAMES)
    half = stack.context // 2
    padded = torch.nn.functional.pad(X, (half, half))
    patches = torch.cat([padded[..., t : t + stack.context] for t in range(FRAMES)])
    with torch.no_grad():
        each = stack.valid(patches)
        clip = stack(X)
    assert each.shape[-1] == 1
    torch.testing.assert_close(each[..., 0].movedim(0, -1), clip[0], rtol=1e-4, atol=1e-5)


@every_stack
def test_the_context_is_exactly_as_wide_as_it_says(name):
    # At the rim of three U-Nets, gradients underflow in single precision.
    stack = settle(STACKS[name]()).double()
    X = torch.rand(1, 1, BINS, stack.context + 2, requires_grad=True, dtype=torch.float64)
    # A norm of one frame is nearly blind to a sum of its own outputs, so weigh them at random.
    y = stack.valid(X)[..., 1]
    (y * torch.randn_like(y)).sum().backward()
    moved = X.grad.abs().amax((0, 1, 2)) > 0
    assert moved.tolist() == [False, *[True] * stack.context, False]


@every_stack
def test_every_parameter_gets_a_gradient(name):
    stack = STACKS[name]()
    logits = stack.valid(torch.rand(2, 1, BINS, stack.context + 3))
    paper.transcription_loss(logits, torch.rand_like(logits) < 0.3).backward()
    without = [n for n, p in stack.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not without


@pytest.mark.parametrize("loss", ["bce", "squared"])
@pytest.mark.parametrize("name", ["U+translation-invariant", "U+resnet", "U as transcriber", "V1"])
def test_overfits_one_batch(name, loss):
    stack = STACKS[name]()
    X = torch.rand(1, 1, BINS, stack.context + 5)
    labels = torch.rand_like(stack.valid(X)) < 0.2
    optimizer = torch.optim.Adam(stack.parameters(), 1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        value = paper.transcription_loss(stack.valid(X), labels, loss)
        value.backward()
        optimizer.step()
    found = stack.valid(X) > (0 if loss == "bce" else 0.5)
    assert (found == labels).float().mean() > 0.99


def test_zeroed_residual_starts_as_the_baseline():
    C = settle(paper.PreStack([], net("resnet")))
    stack = paper.PreStack([unet(residual=True), unet(residual=True)], C.transcriber).eval()
    X = torch.rand(1, 1, BINS, stack.context + 5)
    cut = (stack.context - C.context) // 2
    assert torch.equal(stack.valid(X), C.valid(X[..., cut:-cut]))


def test_residual_learns_away_from_the_baseline():
    stack = paper.PreStack([unet(residual=True)], net("shallow"))
    X = torch.rand(2, 1, BINS, stack.context + 5)
    optimizer = torch.optim.Adam(stack.parameters())
    for _ in range(2):  # the first step moves the last layer only: at zero it passes nothing back
        optimizer.zero_grad()
        logits = stack.valid(X)
        paper.transcription_loss(logits, torch.rand_like(logits) < 0.3).backward()
        optimizer.step()
    assert all(p.grad.abs().max() > 0 for p in stack.parameters())


def test_harmonics_lie_on_their_fundamental():
    X = torch.zeros(1, 1, 120, 1)
    for bin_ in (20, 20 + 36, 20 + 57):  # a tone with its second and third harmonic, 36 bins to the octave
        X[0, 0, bin_] = 1
    stacked = paper.HarmonicStack((0.5, 1, 2, 3))(X)[0, :, 20, 0]
    assert stacked.tolist() == [0, 1, 1, 1]
    assert paper.HarmonicStack((0.5,))(X)[0, 0, 20 + 36, 0] == 1
    assert torch.equal(paper.HarmonicStack((1,))(X), X)


def test_semitone_head_reads_the_bins_of_its_note():
    head = paper.SemitoneHead(BINS, NOTES)
    Z = torch.zeros(1, 1, BINS, 1)
    silent = head(Z)
    Z[0, 0, 3 * 7 + 1] = 1
    assert (head(Z) != silent).nonzero()[:, 1].tolist() == [7]
    with pytest.raises(UsageError, match="too few"):
        paper.SemitoneHead(BINS, 25)


def test_one_transcriber_is_shared_in_v1_and_v3_only():
    U, C = count_parameters(unet()), count_parameters(transcriber(NOTES))
    counts = {v: count_parameters(STACKS[v]()) for v in ("V1", "V2", "V3", "V4")}
    assert counts["V1"] == 3 * U + C
    assert counts["V2"] == 3 * U + 3 * C
    assert counts["V3"] == count_parameters(unet(3)) + C
    assert counts["V4"] == count_parameters(transcriber(3 * NOTES))


def test_v1_treats_equal_inputs_equally():
    stack = STACKS["V1"]().eval()
    stack.transforms[1].load_state_dict(stack.transforms[0].state_dict())
    logits = stack(torch.rand(1, 1, BINS, FRAMES))
    torch.testing.assert_close(logits[:, 0], logits[:, 1])
    assert not torch.allclose(logits[:, 0], logits[:, 2])


def test_multiply_adds_worked_by_hand():
    # 8 filters of 9 x 25 at 24 places, then 20 notes from 8 x 24 values.
    assert count_multiply_adds(paper.PreStack([], net("shallow")), BINS) == 8 * 9 * 25 * 24 + 20 * 8 * 24
    # Two levels of 2 and 3 channels over 72 and 36 bins; kernels 3 x 3 and 3 x 1, and 1 x 1 beside them.
    U = paper.UNet((2, 3), kernel_times=(3, 1))
    top, bottom = (1 * 9 + 2 * 3 + 1) * 2 * 72, (3 * 9 + 3 * 3 + 3) * 3 * 36
    down, up = 2 * 3 * 2 * 36, 3 * 2 * 2 * 36
    joined, last = (4 * 9 + 2 * 3 + 4) * 2 * 72, 2 * 72
    probe = paper.PreStack([U], paper.SemitoneHead(72, 24))
    assert count_multiply_adds(probe, 72) == top + down + bottom + up + joined + last + 3 * 24


@pytest.mark.parametrize("measure", [count_parameters, lambda n: count_multiply_adds(n, BINS)])
def test_an_enlarged_network_matches_the_pair(measure):
    pair = STACKS["U+resnet"]()

    def enlarged(low, high):
        return paper.PreStack([], paper.ResNet(BINS, NOTES, filters=(low, high), context=pair.context))

    candidates = [{"low": low, "high": high} for low, high in itertools.product(range(4, 9), range(8, 17))]
    target = measure(pair)
    found = closest(enlarged, candidates, measure, target)
    assert abs(measure(enlarged(**found)) / target - 1) < 0.02
    with pytest.raises(TrainingError, match="close enough"):
        closest(enlarged, candidates, measure, 100 * target)
