"""The prior: which code a bar may have, given the codes of others before and after it.

The paper's prior is N(0, 1) for each code, whatever the others are; bars drawn from it do not go with their neighbours.
This part learns what codes follow and surround each other. It is a Transformer over codes, some of which are hidden; of
each hidden one it gives a mixture of Gaussians. To go on after the end of a tune, and to fill a gap in it, bars are
drawn one after the other: a code from the mixture, the bar that the decoder makes of it, and then the next.

Whether it is better than N(0, 1) is measured as the nats that hidden codes cost under both (``card.md``).
"""

from ottava.spec import Spec

SPEC = Spec(
    name="structure.prior",
    title="Codes of bars that go with those around them",
    paper="Jiang, Xia, Carlton, Anderson and Miyakawa: Transformer VAE. ICASSP 2020; the prior is ours",
    verbs=(),
    model="ottava.systems.structure.prior.draw:Prior",
    task="ottava.systems.structure.prior.train.task:PriorTask",
    data="ottava.systems.structure.prior.train.data:PriorData",
    inputs={"codes": ("batch", "bars", 32), "known": ("batch", "bars")},
    outputs={
        "weight": ("batch", "bars", 8),
        "mean": ("batch", "bars", 8, 32),
        "log_deviation": ("batch", "bars", 8, 32),
    },
)
