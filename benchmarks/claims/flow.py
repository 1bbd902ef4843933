"""The claims about neural information flow, and the controls that the paper left out.

    python benchmarks/claims/flow.py [--seeds 20] [--banknote FILE]

Writes ``results/claims_flow.csv``: one row for each claim, data set, network, method and seed, and of curves one for
each share, averaged over seeds. Needs scikit-learn and captum. The Banknote set is not shipped with scikit-learn: give
the UCI repository's file to have it, too.

* C3, C4: small dense networks, accuracy, and accuracy while their first layer's links are zeroed.
* C5: attributions against the information of features and classes.
* C6, C7: communities and betweenness.
* C8: signs of single samples' maps.
* C10: random weights, and shuffled classes.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flow_tables import SETS, Data, accuracy, digits_network, load, loss, make_network, train
from numpy.typing import NDArray
from scipy.stats import ks_2samp, spearmanr
from torch import nn

from ottava.io.files import atomic_write
from ottava.systems.flow.communities import betweenness, find_communities
from ottava.systems.flow.estimators import Ksg
from ottava.systems.flow.information import pairwise_information, significant
from ottava.systems.flow.measure import information_flow
from ottava.systems.flow.paths import attribute
from ottava.systems.flow.train.prune import measure_inputs, prune_links
from ottava.systems.flow.train.scores import MEASURES, link_scores, measure_links
from ottava.training.evaluate import render_csv
from ottava.training.provenance import provenance

RESULTS = Path(__file__).parents[1] / "results/claims_flow.csv"
SMALL = {"4-5-3": (4, 5, 3), "4-5-5-3": (4, 5, 5, 3)}
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

Row = dict[str, Any]


def pruning(data: Data, network: nn.Module, name: str, seed: int) -> Iterator[Row]:
    """C4: accuracy while links of the first layer, and of all, are zeroed in several orders."""
    inputs = measure_inputs(network, lambda m: m(torch.from_numpy(data.train)))
    information = measure_links(network, data.train, estimator=Ksg())
    flow = information_flow(network, data.train, estimator=Ksg(), rate=None)
    dead = {layer: np.flatnonzero(flow.of(layer) == 0).tolist() for layer in list(flow.layers)[1:-1]}
    whole = accuracy(network, data.test, data.test_class)
    without = prune_links(network, link_scores(network, "magnitude"), 0.0, dead=dead)
    yield {
        "claim": "C4 dead units",
        "method": "all of them",
        "value": accuracy(without, data.test, data.test_class) - whole,
        "more": sum(map(len, dead.values())),
    }
    for measure in (*MEASURES, "flow, reversed"):
        options = {"information": information, "inputs": inputs.size, "loss": loss(data), "seed": seed}
        scores = link_scores(network, measure.removesuffix(", reversed"), **options)
        if measure.endswith("reversed"):
            scores = {layer: -values for layer, values in scores.items()}
        for scope in ("first layer", "all layers"):
            chosen = dict(list(scores.items())[:1]) if scope == "first layer" else scores
            curve = []
            for share in SHARES:
                found = accuracy(prune_links(network, chosen, share), data.test, data.test_class)
                curve.append(found)
                yield {"claim": f"C4 {scope}", "method": measure, "share": share, "value": found}
            yield {"claim": f"C4 {scope}, area", "method": measure, "value": float(np.trapezoid(curve, SHARES))}


def graphs(data: Data, network: nn.Module, seed: int) -> Iterator[Row]:
    """C6, C7: communities and betweenness."""
    flow = information_flow(network, data.train, estimator=Ksg(), rate=0.05, seed=seed)
    every = information_flow(network, data.train, estimator=Ksg(), rate=None)
    dead = (every.information == 0) & np.isin(flow.layer, list(flow.layers)[1:-1])
    units = list(zip(flow.layer.tolist(), flow.unit.tolist(), strict=True))
    for gamma in (0.5, 1.0, 2.0):
        found = find_communities(flow, gamma=gamma, seed=seed)
        alone = {community[0] for community in found.members if len(community) == 1}
        live = [community for community in found.members if len(community) > 1]
        yield {"claim": "C6 communities", "method": f"gamma {gamma:g}", "value": len(live), "more": found.modularity}
        if gamma == 1.0 and dead.any():
            share = np.mean([unit in alone for unit, is_dead in zip(units, dead, strict=True) if is_dead])
            yield {"claim": "C6 dead units alone", "method": "gamma 1", "value": float(share)}
    between = betweenness(flow)
    if dead.any():
        yield {"claim": "C7 betweenness of dead units", "method": "unweighted", "value": float(between[dead].max())}


def attributions(data: Data, seed: int) -> Iterator[Row]:
    """C5: rank correlation of attributions with the information of each feature and each class."""
    from captum.attr import IntegratedGradients, ShapleyValueSampling

    torch.manual_seed(seed)
    width = data.train.shape[1]
    network = train(make_network((width, 16, data.classes)), data.train, data.train_class, seed=seed)
    truth = np.eye(data.classes)[data.train_class]
    raw = pairwise_information(data.train, truth, estimator=Ksg())
    with torch.no_grad():
        logits = network(torch.from_numpy(data.train)).numpy()
    raw_logit = pairwise_information(data.train, logits, estimator=Ksg())
    found: dict[str, NDArray[Any]] = {}
    flow = information_flow(network, data.train, estimator=Ksg(), rate=None)
    found["flow"] = next(iter(attribute(flow).values()))
    binned = information_flow(network, data.train, rate=None)
    found["flow, binned"] = next(iter(attribute(binned).values()))
    weights = [layer.weight.detach().abs().numpy().T for layer in network if isinstance(layer, nn.Linear)]
    found["weights"] = np.linalg.multi_dot(weights)
    x = torch.from_numpy(data.test[:60])
    for name, method in (
        ("integrated gradients", IntegratedGradients(network).attribute),
        ("Shapley values", lambda x, target: ShapleyValueSampling(network).attribute(x, target=target, n_samples=20)),
    ):
        columns = [method(x, target=k).detach().abs().mean(0).numpy() for k in range(data.classes)]
        found[name] = np.stack(columns, 1)
    for name, values in found.items():
        for against, reference in (("class", raw), ("logit", raw_logit)):
            rank = float(spearmanr(values.sum(1), reference.sum(1)).statistic)
            yield {"claim": f"C5 rank correlation, {against}", "method": name, "value": rank}
        if width == 4:
            scaled = [v.sum(1) / max(v.sum(), 1e-12) for v in (values, raw)]
            distance, chance = ks_2samp(*scaled)
            yield {"claim": "C5 Kolmogorov-Smirnov D", "method": name, "value": float(distance), "more": float(chance)}


def pictures(seed: int) -> Iterator[Row]:
    """C3, C8, C10: a network of convolutions on pictures of digits."""
    x, y = SETS["digits"]()
    data = Data("digits", x, y, seed)
    shape = (-1, 1, 8, 8)
    first, second = data.train.reshape(shape), data.test.reshape(shape)
    torch.manual_seed(seed)
    network = train(digits_network(), first, data.train_class, steps=400, seed=seed)
    yield {"claim": "C3 accuracy", "method": "convolutions", "value": accuracy(network, second, data.test_class)}
    flow = information_flow(network, first)
    whole = next(iter(attribute(flow).values())).reshape(64, -1)
    maps = _map_of(network, first, sample=3)
    for signs, name in ((1, "above 0"), (-1, "below 0")):
        yield {"claim": "C8 a sample's map, share", "method": name, "value": float((np.sign(maps) == signs).mean())}
    # C10: layers are made random from the output on, one after the other.
    broken = network
    for depth, layer in enumerate(reversed([m for m in network if hasattr(m, "weight")]), start=1):
        layer.reset_parameters()
        other = next(iter(attribute(information_flow(broken, first)).values())).reshape(64, -1)
        rank = float(spearmanr(whole.ravel(), other.ravel()).statistic)
        yield {"claim": "C10 random weights, rank correlation", "method": f"last {depth} layers", "value": rank}
    rng = np.random.default_rng(seed)
    mixed = np.eye(10)[rng.permutation(data.train_class)]
    nats = pairwise_information(data.train, mixed)
    yield {"claim": "C10 shuffled classes, nats", "method": "largest", "value": float(nats.max())}
    kept = significant(nats, data.train, mixed, seed=seed)
    yield {"claim": "C10 shuffled classes, links kept", "method": "rate 0.05", "value": float(kept.mean())}


def _map_of(network: nn.Module, x: NDArray[Any], sample: int) -> NDArray[np.float64]:
    """Return a sample's map for its likeliest class: the product of its points' information."""
    from ottava.systems.flow.points import attribute_samples

    target = int(network(torch.from_numpy(x[sample : sample + 1])).argmax())
    (maps,) = attribute_samples(network, x, [sample]).values()
    return maps[0, ..., target]


def rows(seeds: int, banknote: Path | None) -> Iterator[Row]:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    small = ["iris", *(["banknote"] if banknote else [])]
    for seed in range(seeds):
        for name in small:
            data = load(name, seed, banknote)
            for shape, sizes in SMALL.items():
                torch.manual_seed(seed)
                network = train(make_network((*sizes[:-1], data.classes)), data.train, data.train_class, seed=seed)
                where = {"data": name, "network": shape, "seed": seed}
                found = accuracy(network, data.test, data.test_class)
                yield where | {"claim": "C3 accuracy", "method": "dense", "value": found}
                for row in (*pruning(data, network, shape, seed), *graphs(data, network, seed)):
                    yield where | row
        if seed < 5:
            for name in (*SETS, *small[1:]):
                for row in attributions(load(name, seed, banknote), seed):
                    yield {"data": name, "network": "n-16-c", "seed": seed} | row
            for row in pictures(seed):
                yield {"data": "digits", "network": "convolutions", "seed": seed} | row
        print("seed", seed, flush=True)


def average_curves(rows: list[Row]) -> list[Row]:
    """Return the rows with those of curves, of which a share is told, averaged over seeds."""
    curves: dict[tuple[str, ...], list[Row]] = {}
    key = ("claim", "data", "network", "method", "share")
    for row in rows:
        if row["share"] != "":
            curves.setdefault(tuple(str(row[k]) for k in key), []).append(row)
    means = [
        of_share[0] | {"seed": "", "value": round(float(np.mean([row["value"] for row in of_share])), 5)}
        for of_share in curves.values()
    ]
    return [row for row in rows if row["share"] == ""] + means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--banknote", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    columns = ("claim", "data", "network", "method", "share", "seed", "value", "more")
    where = provenance()
    table = []
    for row in rows(given.seeds, given.banknote):
        numbers = {k: round(float(v), 5) for k, v in row.items() if isinstance(v, (float, np.floating))}
        table.append({k: (row | numbers).get(k, "") for k in columns} | where)
    with atomic_write(given.out, force=True) as file:
        file.write(render_csv(average_curves(table)).encode())


if __name__ == "__main__":
    main()
