"""The paper's network of structure: its size, and who sees whom."""

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from ottava.systems.structure.train.paper import (  # noqa: E402
    BARS,
    STEPS,
    SYMBOLS,
    BarVae,
    PaperVae,
    divergence,
    mask,
    paper_loss,
)


@pytest.fixture(scope="module")
def tunes():
    return torch.randint(0, SYMBOLS, (3, BARS, STEPS), generator=torch.Generator().manual_seed(0))


def made(**options):
    torch.manual_seed(1)
    return PaperVae(**options).eval()


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_it_has_the_parameters_of_the_authors_code():
    network = made()
    assert count(network) == pytest.approx(12.0e6, rel=0.001)
    assert count(network.local.read) == pytest.approx(0.68e6, rel=0.01)
    assert count(network.local.write) == pytest.approx(0.68e6, rel=0.01)
    assert count(network.encoder) + network.encoder_places.numel() == pytest.approx(3.54e6, rel=0.005)
    assert count(network.decoder) + network.decoder_places.numel() == pytest.approx(6.69e6, rel=0.005)
    assert count(network.mean, network.log_variance, network.enter) == pytest.approx(0.40e6, rel=0.02)


def touched(before, after):
    """Return which bars differ at all."""
    return [bool((before[:, i] != after[:, i]).any()) for i in range(before.shape[1])]


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_masks(kind):
    seen = mask(kind, 3).tolist()
    assert (
        seen
        == [
            [[True] * 3] * 3,
            [[True, False, False], [True, True, False], [True, True, True]],
            [[True, False, False], [False, True, False], [False, False, True]],
        ][kind]
    )


def test_no_bar_sees_a_later_one(tunes):
    """C1 of the claims, bit for bit; without masks it does not hold."""
    changed = tunes.clone()
    changed[:, 4] = (changed[:, 4] + 1) % SYMBOLS
    with torch.no_grad():
        for masks, alone in (((1, 1, 1), True), ((0, 0, 0), False)):
            network = made(masks=masks)
            codes, other = network.encode(tunes).mean, network.encode(changed).mean
            assert touched(codes, other) == [not alone] * 4 + [True] * 4
            moved = codes.clone()
            moved[:, 4] += 1
            written, again = (network.decode(z, tunes[:, :-1])[0] for z in (codes, moved))
            assert touched(written, again) == [not alone] * 4 + [True] * 4


def test_each_path_to_earlier_bars_can_be_closed(tunes):
    changed = tunes.clone()
    changed[:, 2] = (changed[:, 2] + 1) % SYMBOLS
    with torch.no_grad():
        codes = made().encode(tunes).mean
        moved = codes.clone()
        moved[:, 2] += 1
        for masks, past, by_code, by_past in (
            ((1, 1, 1), True, 6, 5),
            ((1, 2, 1), True, 6, 5),  # the code reaches later bars through the decoder's attention to itself
            ((1, 2, 2), True, 1, 1),
            ((1, 1, 1), False, 6, 0),
            ((1, 2, 2), False, 1, 0),
        ):
            network = made(masks=masks, past=past)
            written = network.decode(codes, tunes[:, :-1])[0]
            assert sum(touched(written, network.decode(moved, tunes[:, :-1])[0])) == by_code, (masks, past)
            assert sum(touched(written, network.decode(codes, changed[:, :-1])[0])) == by_past, (masks, past)


def test_it_writes_bar_by_bar_from_its_own(tunes):
    network = made()
    with torch.no_grad():
        codes = network.encode(tunes).mean
        written = network.write(codes)
        # Fed what it wrote, it writes the same.
        assert torch.equal(network.decode(codes, written[:, :-1])[0].argmax(3), written)
    assert written.shape == tunes.shape


def test_attention_is_a_distribution_over_what_may_be_seen(tunes):
    with torch.no_grad():
        coded = made().encode(tunes)
    assert len(coded.attention) == 3
    for weights in coded.attention:
        assert weights.shape == (3, 4, BARS, BARS)
        torch.testing.assert_close(weights.sum(3), torch.ones(3, 4, BARS))
        assert (weights[:, :, ~mask(1)] == 0).all()


def test_the_loss_is_of_means(tunes):
    network = made()
    logits, coded = network(tunes)
    nats = divergence(coded).sum((1, 2)).mean()
    wrong = torch.nn.functional.cross_entropy(logits.flatten(0, 2), tunes.flatten(), reduction="sum") / len(tunes)
    expected = (wrong + 0.25 * nats) / (BARS * STEPS)  # a weight of 1 counts a quarter in nats a tune
    torch.testing.assert_close(paper_loss(logits, tunes, coded, 1.0), expected)
    assert divergence(coded._replace(mean=coded.mean * 0, log_variance=coded.mean * 0)).abs().max() == 0


def test_one_batch_is_learnt_and_local_networks_carry_over(tunes):
    torch.manual_seed(2)
    start = BarVae()
    optimiser = torch.optim.Adam(start.parameters(), 1e-3)
    losses = []
    for _ in range(60):
        logits, coded = start(tunes)
        loss = paper_loss(logits, tunes, coded, 0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    network = made()
    network.local.load_state_dict(start.local.state_dict())
    optimiser = torch.optim.Adam(network.parameters(), 1e-4)
    first = None
    for _ in range(12):
        logits, coded = network(tunes)
        loss = paper_loss(logits, tunes, coded, 1.0)
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
        optimiser.step()
        first = first or loss.item()
    assert loss.item() < 0.7 * first
