"""Information flow: which inputs and which units of a network carry the information to its outputs.

The paper
---------
S. B. Davis, U. Bhatt, K. Bhardwaj, R. Marculescu and J. M. F. Moura, *On Network Science and Mutual Information for
Explaining Deep Neural Networks*, ICASSP 2020. Every unit of a trained network is a random variable, its samples are its
activations on data, and a link between units of consecutive layers has the mutual information of both. The product of
the links along a path, summed over all paths from an input to an output, says how much the input contributes (equation
4); units that nothing flows through can be pruned; and the graph has communities.

What is corrected
-----------------
* *Ties.* Equation 6 counts neighbours as if no two samples were equal. Rectifiers make many equal, and two constants
  would share minus 4.7 nats. The default for nearest neighbours is the estimator that the paper cites (Gao and others,
  2017), which counts ties; ``Ksg(literal=True)`` is the equation as printed.
* *Sign.* Equation 5 has a minus in front of what is positive.
* *Redundancy.* Equation 3 gives all links into a unit the same first term. The default is the pair's own information;
  ``redundancy="paper"`` is the equation as printed, ``"mrmr"`` what it seems to aim at.
* *Table 1* compares attributions with raw information by a test of four values each, and reads complete separation as
  agreement. ``benchmarks/claims/flow.py`` has rank correlations.

What is faster
--------------
The sum over paths is a product of matrices (:mod:`.paths`); no path is listed. The information of all pairs of two
layers is one matrix product of bins, or of normal scores (:mod:`.estimators`); nearest neighbours remain for where they
are worth their time.

What is wider
-------------
Layers are found in the operations of any ONNX graph or torch module (:mod:`.layers`): residuals, concatenations and
branches are followed, and nothing is hooked onto a module. Links that chance would give are 0
(:func:`.information.significant`): a layer of many inputs would otherwise be a sum of noise.

Conventions
-----------
* Information is in nats. Negative estimates are chance, and 0; single samples keep their signs.
* A unit is a value of the input, a neuron, a channel of a convolution (the mean over its positions, as in the paper), a
  hidden unit of a recurrent layer. Its value is taken behind the activation. The outputs are taken before a softmax,
  which would tie all classes.
* Information is between what two units *are seen* to do: units that share a cause share information, with or without
  a weight between them.
"""

from importlib import import_module
from typing import Any

from ottava.spec import Spec, Verb

# What users need, found when it is first touched: importing this package imports neither NumPy nor torch.
_HOMES = {
    "FlowAttribution": "train.attributor",
    "attribute": "paths",
    "attribute_samples": "points",
    "best_paths": "paths",
    "betweenness": "communities",
    "explain": "explain",
    "find_communities": "communities",
    "information_coefficient": "information",
    "information_flow": "measure",
    "pairwise_information": "information",
    "pointwise_information": "information",
    "prune": "train.prune",
    "pruning_curve": "train.prune",
}

# Those with torch behind them are found by name alone: a star must not import it.
__all__ = ["SPEC", *(name for name, home in _HOMES.items() if not home.startswith("train."))]

SPEC = Spec(
    name="flow",
    title="Which inputs and units of a network carry the information to its outputs",
    paper="Davis, Bhatt, Bhardwaj, Marculescu and Moura: On Network Science and Mutual Information. ICASSP 2020",
    verbs=(
        Verb(
            name="explain",
            function="ottava.systems.flow.explain:explain",
            summary="Tell which parts of an input carried what a system says of it.",
            accepts=("score", "audio", "samples"),
            returns=("FlowMap",),
            formats=("html",),
            stem=".explained",
            leads="system",
        ),
    ),
    model="ottava.systems.flow.explain:Explainer",
    weights="",
    card="",
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
