"""Structure: what each bar of a tune says that is new, which earlier bars it leans on, and what changes with it.

The paper
---------
J. Jiang, G. G. Xia, D. B. Carlton, C. N. Anderson and R. H. Miyakawa, *Transformer VAE: A Hierarchical Model for
Structure-Aware and Interpretable Music Representation Learning*, ICASSP 2020. Each bar of a melody gets one Gaussian
code, from an encoder that sees the bars up to it; a decoder, which sees the same, writes the bars again. As a VAE pays
for what it stores, and a later bar can look back, the cheapest is to store a repeated bar once.

:mod:`.train.paper` is the model of the authors' released code, whose sizes, masks and loss are known exactly.
"""

from ottava.spec import Spec, Verb

SPEC = Spec(
    name="structure",
    title="What each bar of a tune says that is new, and which earlier bar it is made of",
    paper="Jiang, Xia, Carlton, Anderson and Miyakawa: Transformer VAE. ICASSP 2020",
    verbs=(
        Verb(
            name="structure",
            function="ottava.systems.structure.run:structure",
            summary="Tell what each bar of a tune says that is new, and which earlier bar it is made of.",
            accepts=("score",),
            returns=("Labels", "Bars", "Notes"),
            formats=("html",),
        ),
        Verb(
            name="vary",
            function="ottava.systems.structure.vary:vary",
            summary="Change bars of a tune; what is made of them changes with them.",
            accepts=("score",),
            returns=("MidiFile", "Bars", "Notes"),
            formats=("mid",),
            stem=".varied",
        ),
    ),
    model="ottava.systems.structure.run:StructureModel",
    task="ottava.systems.structure.train.task:StructureTask",
    data="ottava.systems.structure.train.data:StructureData",
    inputs={
        "rhythm": ("batch", "bars", 16),
        "line": ("batch", "bars", 16),
        "codes": ("batch", "past", 32),
        "past_rhythm": ("batch", "past", 16),
        "past_line": ("batch", "past", 16),
    },
    outputs={
        "mean": ("batch", "bars", 32),
        "log_variance": ("batch", "bars", 32),
        "attention": ("batch", "bars", 8, "bars"),
        "new_rhythm": ("batch", "past", 16, 4),
        "new_line": ("batch", "past", 16, 62),
        "copies": ("batch", "past", 16, 2),
        "offset": ("batch", "past", 16, 25),
        "pointer": ("batch", "past", "past_and_none"),
    },
    parts=("prior",),
)
