"""A made-up system: one band of features in, the position of onsets out."""

from ottava.spec import Spec

SPEC = Spec(
    name="tiny",
    title="Made up",
    paper="none",
    verbs=(),
    model="",
    task="ottava.systems.tiny.train.task:TinyTask",
    data="ottava.systems.tiny.train.data:TinyData",
    inputs={"features": (1, "frames", 4)},
    outputs={"onset": (1, "frames", 3), "level": (1, "frames")},
)
