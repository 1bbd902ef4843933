"""The tables of the claims about information flow: ``docs/claims_flow.md`` and its picture.

    python benchmarks/claims/flow_table.py

From ``claims_flow.csv``, ``flow_speed.csv``, ``flow_deletion.csv`` and ``claims_flow_prune.csv`` in ``results/``; and
from what ``ottava evaluate structure`` says of the network in the package (``structure_reconstruction.csv``), of the
whole network that it was pruned from (``structure_reconstruction.whole.csv``), and of the one that weighted flow leaves
(``structure_reconstruction.weighted-flow.csv``); and from what ``accuracy.py`` says of the transcription network in the
package (``accuracy_DATA.csv``), of that after further training (``accuracy_DATA.trained.csv``), and of a pruned one
(``accuracy_DATA.pruned.csv``).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from structure_arms import read_rows
from structure_table import table

from ottava.io.files import atomic_write

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/claims_flow.csv"
SPEED = ROOT / "benchmarks/results/flow_speed.csv"
DELETION = ROOT / "benchmarks/results/flow_deletion.csv"
PRUNED = ROOT / "benchmarks/results/claims_flow_prune.csv"
TESTED = ROOT / "benchmarks/results"
DOCUMENT = ROOT / "docs/claims_flow.md"
PICTURE = ROOT / "docs/images/flow_pruning.png"
OWN_PICTURE = ROOT / "docs/images/flow_own.png"
METHODS = ("flow", "weighted-flow", "magnitude", "taylor", "activation", "random", "flow, reversed")
ATTRIBUTIONS = ("flow", "flow, binned", "weights", "integrated gradients", "Shapley values")

Row = dict[str, str]


def mean(rows: Sequence[Row], digits: int = 3) -> str:
    """Return the mean of values, with its 95 % bootstrap interval over rows."""
    values = np.array([float(row["value"]) for row in rows if row["value"] not in ("", "nan")])
    if not len(values):
        return "–"
    if len(values) == 1 or np.ptp(values) == 0:
        return f"{values.mean():.{digits}f}"
    drawn = values[np.random.default_rng(0).integers(0, len(values), (2000, len(values)))].mean(1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def select(rows: Sequence[Row], **wanted: str) -> list[Row]:
    return [row for row in rows if all(row[k] == v for k, v in wanted.items())]


INTRODUCTION = """# Claims of neural information flow

The paper's small networks (rectifiers, Adam), {seeds} seeds ({few} for C5, C8 and C10), a split of 70 to 30 each;
information from training samples by nearest neighbours (k = 5, ties counted). Means, with 95 % bootstrap intervals over
seeds. {machine}; {versions}; commit {commit}. Made by `benchmarks/claims/flow_table.py` from
`benchmarks/results/claims_flow.csv`; what other tables are made of lies beside it, each row with its machine, versions
and commit. {banknote}

C1, sums over paths by products of matrices, and C2, what estimators say of known channels, are tests:
`tests/truth/test_flow_paths.py` and `tests/truth/test_flow_information.py`.
"""
PRUNING = """## C3 and C4 Accuracy, and pruning without retraining

Dead units are those that tell nothing of any output. Area: mean accuracy while from none to all links are
zeroed, in the order that each method gives.
"""
ATTRIBUTING = """## C5 Attributions and what features tell of classes

Rank correlation of features by attribution and by their information on the true classes, summed over classes.
Integrated gradients and Shapley values (20 permutations) are mean sizes over 60 test samples.
"""
TABLE_1 = """\
The paper's Table 1 compares attributions by a two-sample Kolmogorov-Smirnov test of four values each, finds D =
1, p = .011 for its method and D = .25, p = .996 for integrated gradients, and reads this as agreement of the
former. D = 1 is complete separation. The same test here, on shares of Iris' four features:
"""
SPEEDING = """## C9 Speed

All pairs of 784 × 32 columns, 2000 samples, on two cores; times of {reckoned} pairs are reckoned
for all, in the same run.
"""


NO_BANKNOTE = (
    "The Banknote set, which the paper has besides, is not shipped with\nscikit-learn; "
    "`benchmarks/claims/flow.py --banknote FILE` adds it."
)
DELETING = """## Do explanations name what matters?

Parts of a recording's features, or of a tune's bars, are faded out or exchanged in the order in which an explanation
of one note or one bar's code names them. What is then left of the answer, as a share of what was, on average after 1,
2, 3, 4, 6 and more parts, up to a quarter of them: the less, the better. *Information, direct*: of each part with the
answer, without the network between. *Occlusion*: the change when a part goes alone. Information is from 600 variants.
"""
OWN = """## Our own networks, smaller

Units are removed by what they are worth, and training goes on, for as many steps by all measures. *Unpruned*: what the
same training does to the whole network. Validation, right after and then; one seed. Structure's *score*, by which its
training is judged, is the sum of what is written right, of exact copies that follow, and of varied bars that do, less
what changes elsewhere.
"""
CURVES = """![Validation over the share of multiply-adds that are gone](images/flow_own.png)

Right after, without training on.
"""
SHIPPED = """## The structure network in the package

The two best were trained on for 5000 steps, as `ship.yaml` says, and tested on {tunes} tunes that no training has seen:
means over tunes, and in brackets the difference from the whole network, with its standard error. *taylor* is in the
package: what it writes is as right as before, and bars cost more nats.
"""
HEARD = """## The transcription network

Pruned by *taylor* and trained on for {steps} steps at half the rate of `ship.yaml`, it is ahead in validation, on
rendered music: loss {loss} for {loss_whole}, onset F {onset_f} for {onset_f_whole}, with {saved} of the multiply-adds
gone. On what nothing here was trained on, means over files, and in brackets the difference from the network in the
package, with its standard error. *Trained on* is the whole one after {trained} more steps.
"""
NOT_SHIPPED = """On real pianos it is behind, so the whole network stays in the package. Training on costs part of that
by itself: it brings both nearer to rendered music, and real pianos are none.
"""
HEARD_SETS = {"real_piano": "real piano", "ensembles": "ensembles", "ensembles_dry": "ensembles, dry"}
HEARD_MEASURES = {
    "note_f": "note F",
    "note_offset_f": "with offset",
    "frame_f": "frame F",
    "note_family_f": "and family",
}
TEST_MEASURES = {
    "free": "written right",
    "forced": "after true bars",
    "follow_exact": "copies that follow",
    "follow_symbols": "symbols that follow",
    "collateral": "changed elsewhere",
    "stored_repeat": "nats, repeated",
    "stored_new": "nats, new",
}
SHOWN = {
    "structure": ("valid/score", "valid/free"),
    "transcription": ("valid/loss", "valid/onset_f", "valid/frame_f"),
}


def render(rows: list[Row], speed: list[Row], deletion: list[Row], pruned: list[Row]) -> str:
    seeds = len({row["seed"] for row in select(rows, claim="C3 accuracy", method="dense")})
    networks = list(dict.fromkeys((row["data"], row["network"]) for row in rows if row["claim"].startswith("C4")))
    few = len({row["seed"] for row in rows if row["claim"].startswith("C10")})
    reckoned = " and ".join(f"{row['method']} from {row['measured_pairs']}" for row in speed if row["measured_pairs"])
    return "\n".join(
        [
            INTRODUCTION.format(
                seeds=seeds,
                few=few,
                banknote="" if any(row["data"] == "banknote" for row in rows) else NO_BANKNOTE,
                **{k: rows[0][k] for k in ("machine", "versions", "commit")},
            ),
            PRUNING,
            _pruning(rows, networks),
            _verdict(rows, networks),
            "![Accuracy over the share of links that are zeroed](images/flow_pruning.png)\n",
            ATTRIBUTING,
            *_attributions(rows),
            "## C6 and C7 Communities and betweenness\n",
            _graphs(rows, networks),
            "## C8 and C10 Pictures of digits\n\nA network of convolutions on scikit-learn's digits, 8 × 8.\n",
            _pictures(rows),
            SPEEDING.format(reckoned=reckoned),
            table(
                ["", "seconds", "times as fast"],
                [[row["method"], row["seconds"], row["times"]] for row in select(speed, what="784 x 32")],
            ),
            "Two layers of 2000 samples, and the whole map of a network of three layers, in which links that chance\n"
            "would give are found and left out:\n",
            table(
                ["", "links", "seconds", "peak memory, MB"],
                [
                    [f"{row['what']}, {row['method']}", f"{int(row['links']):,}", row["seconds"], row["peak_mb"]]
                    for row in speed
                    if row["peak_mb"]
                ],
            ),
            "![Time and memory over the number of links](images/flow_speed.png)\n",
            *_deletion(deletion),
            OWN,
            *(_own(pruned, system) for system in SHOWN),
            CURVES,
            _shipped(),
            _heard(pruned),
        ]
    )


def _deletion(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    systems, methods = (list(dict.fromkeys(row[k] for row in rows)) for k in ("system", "method"))
    head = ["", *(f"{system}, {len(select(rows, system=system, method=methods[0]))} answers" for system in systems)]
    renamed = [row | {"value": row["left"]} for row in rows]
    return [
        DELETING,
        table(head, [[m, *(mean(select(renamed, method=m, system=system)) for system in systems)] for m in methods]),
        "".join(f"* {system}: {_order(renamed, system, methods)}.\n" for system in systems),
    ]


def _order(rows: Sequence[Row], system: str, methods: Sequence[str]) -> str:
    left = {m: fmean(float(row["value"]) for row in select(rows, system=system, method=m)) for m in methods}
    return ", then ".join(sorted(methods, key=lambda method: left[method])) + "; the first names best what matters"


def _own(rows: Sequence[Row], system: str) -> str:
    steps = select(rows, system=system, by="none")[0]["steps"]
    chosen = select(rows, system=system, steps=steps)
    shown = SHOWN[system]
    then = f"after {steps} steps"
    head = ["", "removed", *(f"{m.removeprefix('valid/')}, {w}" for w in ("right after", then) for m in shown)]
    lines = []
    for row in chosen:
        found = [row.get(f"{when} {metric}", "") for when in ("pruned", "tuned") for metric in shown]
        cells = [f"{float(value):.3f}" if value else "–" for value in found]
        saved = f"{float(row['saved']):.1%}" if row["saved"] else "nothing"
        lines.append([row["by"] if row["by"] != "none" else "unpruned", saved, *cells])
    return f"*{system.capitalize()}*\n\n{table(head, lines)}"


def _shipped() -> str:
    names = {"whole": ".whole", "weighted-flow": ".weighted-flow", "taylor": ""}
    tested = {
        name: {row["data"] + row["file"]: row for row in read_rows(TESTED / f"structure_reconstruction{suffix}.csv")}
        for name, suffix in names.items()
    }
    tunes = list(tested["whole"])
    lines = []
    for measure, title in TEST_MEASURES.items():
        values = {name: np.array([float(rows[tune][measure]) for tune in tunes]) for name, rows in tested.items()}
        digits = 1 if np.nanmean(values["whole"]) > 2 else 3
        rest = [_change(each, values["whole"], digits) for name, each in values.items() if name != "whole"]
        cells = [f"{np.nanmean(values['whole']):.{digits}f}", *rest]
        lines.append([title, *cells])
    return f"{SHIPPED.format(tunes=len(tunes))}\n{table(['', *names], lines)}"


def _heard(pruned: Sequence[Row]) -> str:
    whole = select(pruned, system="transcription", by="none")[0]
    (smaller,) = (
        r for r in select(pruned, system="transcription", by="taylor") if int(r["steps"]) > int(whole["steps"])
    )
    said = HEARD.format(
        steps=smaller["steps"],
        trained=whole["steps"],
        saved=f"{float(smaller['saved']):.1%}",
        **{k: f"{float(smaller[f'tuned valid/{k}']):.3f}" for k in ("loss", "onset_f")},
        **{f"{k}_whole": f"{float(whole[f'pruned valid/{k}']):.3f}" for k in ("loss", "onset_f")},
    )
    lines = []
    for name, title in HEARD_SETS.items():
        tables = [
            {
                row["file"]: row
                for row in read_rows(TESTED / f"accuracy_{name}{suffix}.csv")
                if row["system"] == "ottava"
            }
            for suffix in ("", ".trained", ".pruned")
        ]
        for measure, called in HEARD_MEASURES.items():
            files = [file for file, row in tables[0].items() if row[measure]]
            before, *after = (np.array([float(rows[file][measure]) for file in files]) for rows in tables)
            lines.append([f"{title}, {called}", f"{before.mean():.3f}", *(_change(each, before) for each in after)])
    return f"{said}\n{table(['', 'whole', 'trained on', 'taylor'], lines)}\n{NOT_SHIPPED}"


def _change(after: NDArray[np.float64], before: NDArray[np.float64], digits: int = 3) -> str:
    """Return a mean, and in brackets how it differs from another of the same things, with its standard error."""
    change = after - before
    error = np.nanstd(change, ddof=1) / np.isfinite(change).sum() ** 0.5
    return f"{np.nanmean(after):.{digits}f} ({np.nanmean(change):+.4f} ± {error:.4f})"


def _pruning(rows: Sequence[Row], networks: Sequence[tuple[str, str]]) -> str:
    dead = [select(rows, claim="C4 dead units", data=d, network=n) for d, n in networks]
    lines = [
        ["accuracy", *_cells(rows, networks, "C3 accuracy", "dense")],
        ["networks with dead units", *(f"{sum(int(r['more']) > 0 for r in each)} of {len(each)}" for each in dead)],
        ["change without dead units", *_cells(rows, networks, "C4 dead units", "all of them")],
    ]
    for scope in ("first layer", "all layers"):
        lines += [
            [f"{scope}, area: {method}", *_cells(rows, networks, f"C4 {scope}, area", method)] for method in METHODS
        ]
    return table(["", *(f"{data} {network}" for data, network in networks)], lines)


def _attributions(rows: Sequence[Row]) -> list[str]:
    sets = list(dict.fromkeys(row["data"] for row in rows if row["claim"].startswith("C5")))
    ranks = [
        [name, *(mean(select(rows, claim="C5 rank correlation, class", data=data, method=name), 2) for data in sets)]
        for name in ATTRIBUTIONS
    ]
    distances = [
        [name, mean(select(rows, claim="C5 Kolmogorov-Smirnov D", data="iris", method=name), 2)]
        for name in ATTRIBUTIONS
    ]
    return [table(["", *sets], ranks), TABLE_1, table(["", "D"], distances)]


def _graphs(rows: Sequence[Row], networks: Sequence[tuple[str, str]]) -> str:
    lines = [
        [f"communities of two units or more, γ = {gamma}", *_cells(rows, networks, "C6 communities", f"gamma {gamma}")]
        for gamma in ("0.5", "1", "2")
    ]
    lines += [
        ["share of dead units that are alone", *_cells(rows, networks, "C6 dead units alone", "gamma 1")],
        ["largest betweenness of a dead unit", *_cells(rows, networks, "C7 betweenness of dead units", "unweighted")],
    ]
    return table(["", *(f"{data} {network}" for data, network in networks)], lines)


def _pictures(rows: Sequence[Row]) -> str:
    lines = [["accuracy", mean(select(rows, claim="C3 accuracy", method="convolutions"))]]
    for way in ("above 0", "below 0"):
        chosen = select(rows, claim="C8 a sample's map, share", method=way)
        lines.append([f"pixels of a sample's map {way}", mean(chosen)])
    for depth in range(1, 6):
        chosen = select(rows, claim="C10 random weights, rank correlation", method=f"last {depth} layers")
        lines.append([f"rank correlation with the map of random weights, last {depth} layers", mean(chosen)])
    chosen = select(rows, claim="C10 shuffled classes, links kept")
    lines.append(["links to shuffled classes that are kept at rate 0.05", mean(chosen, 4)])
    return table(["", "mean"], lines) + (
        "\nThe map over data hardly knows what a network has learned: [explain.md](explain.md#what-it-does-not-say).\n"
    )


def _cells(rows: Sequence[Row], networks: Sequence[tuple[str, str]], claim: str, method: str) -> list[str]:
    return [mean(select(rows, claim=claim, method=method, data=d, network=n)) for d, n in networks]


def _verdict(rows: Sequence[Row], networks: Sequence[tuple[str, str]]) -> str:
    """Return a sentence that says where the sizes of weights win."""
    said = []
    for data, network in networks:
        for scope in ("first layer", "all layers"):
            areas = {
                method: fmean(
                    float(row["value"])
                    for row in select(rows, claim=f"C4 {scope}, area", method=method, data=data, network=network)
                )
                for method in METHODS
            }
            best = max(areas, key=lambda method: areas[method])
            ahead = areas["magnitude"] - areas["flow"]
            side = "ahead of" if ahead > 0 else "behind"
            said.append(f"{data} {network}, {scope}: {best} is best; magnitude is {side} flow by {abs(ahead):.3f}.")
    return "".join(f"* {line}\n" for line in said)


def draw_own(rows: Sequence[Row]) -> None:
    """Draw how our own networks do over the share of multiply-adds that are gone."""
    from matplotlib import pyplot

    shown = {"structure": "valid/score", "transcription": "valid/onset_f"}
    figure, axes = pyplot.subplots(1, len(shown), figsize=(4.6 * len(shown), 3.2), layout="constrained")
    for axis, (system, metric) in zip(axes, shown.items(), strict=True):
        chosen = select(rows, system=system)
        whole = float(select(chosen, by="none")[0][f"pruned {metric}"])
        for method in dict.fromkeys(row["by"] for row in chosen if row["by"] != "none"):
            found = sorted((float(r["saved"]), float(r[f"pruned {metric}"])) for r in select(chosen, by=method))
            style = "-" if "flow" in method else "--"
            colour = f"C{METHODS.index(method)}"
            axis.plot(*zip((0, whole), *found, strict=True), style, label=method, marker=".", color=colour)
        axis.set(title=system, xlabel="multiply-adds that are gone", ylabel=metric.removeprefix("valid/"))
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(OWN_PICTURE, dpi=100)


def draw(rows: Sequence[Row]) -> None:
    """Draw accuracy over the share of links that are zeroed."""
    from matplotlib import pyplot

    networks = list(dict.fromkeys((row["data"], row["network"]) for row in rows if row["claim"] == "C4 first layer"))
    figure, axes = pyplot.subplots(
        2, len(networks), figsize=(4.6 * len(networks), 6.4), layout="constrained", squeeze=False, sharey=True
    )
    for column, (data, network) in enumerate(networks):
        for line, scope in enumerate(("first layer", "all layers")):
            axis = axes[line, column]
            for method in METHODS:
                chosen = select(rows, claim=f"C4 {scope}", method=method, data=data, network=network)
                shares = sorted({float(row["share"]) for row in chosen})
                values = [fmean(float(row["value"]) for row in chosen if float(row["share"]) == s) for s in shares]
                axis.plot(
                    shares, values, "-" if method == "flow" else "--", label=method, lw=2 if method == "flow" else 1.2
                )
            axis.set(title=f"{data} {network}, {scope}", xlabel="share of links zeroed")
            axis.grid(alpha=0.3)
        axes[0, 0].set_ylabel("accuracy")
    axes[0, 0].legend(frameon=False, fontsize=8)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    given = parser.parse_args()
    rows, speed, deletion, pruned = map(read_rows, (given.results, SPEED, DELETION, PRUNED))
    import matplotlib

    matplotlib.use("Agg")
    draw(rows)
    draw_own(pruned)
    with atomic_write(given.out, force=True) as file:
        file.write(render(rows, speed, deletion, pruned).encode())


if __name__ == "__main__":
    main()
