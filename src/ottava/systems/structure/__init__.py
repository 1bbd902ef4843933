"""Structure: what each bar of a tune says that is new, which earlier bars it leans on, and what changes with it.

The paper
---------
J. Jiang, G. G. Xia, D. B. Carlton, C. N. Anderson and R. H. Miyakawa, *Transformer VAE: A Hierarchical Model for
Structure-Aware and Interpretable Music Representation Learning*, ICASSP 2020. Each bar of a melody gets one Gaussian
code, from an encoder that sees the bars up to it; a decoder, which sees the same, writes the bars again. As a VAE pays
for what it stores, and a later bar can look back, the cheapest is to store a repeated bar once.

:mod:`.train.paper` is the model of the authors' released code, whose sizes, masks and loss are known exactly.

The shipped model
-----------------
:class:`.train.network.StructureNetwork` keeps the paper's idea and changes what it stands on:

* *Any length.* The paper's codes are made by layers of their own for each of eight places. Here all bars share one, and
  attention knows distances, up to 127 bars, and no places. Bars may have 8, 12 or 16 steps.
* *Bars as rhythm and line* (:mod:`.lines`): one of four rhythms and a pitch for each step, pitches counted from the
  tune's median. So a tune is the same in all keys.
* *Likeness is told.* How alike two bars are in rhythm, pitches and shape is a bias of the encoder's attention.
* *The decoder points.* Each step is written anew, or as in an earlier bar that the code points at, its pitch moved by
  an offset: then a sequence, the same shape higher or lower, is a copy.
* *Copies are taught to follow* (:mod:`.train.data`). Beside each window training sees the same one with a bar replaced
  and all that is made of it, which is to be written from the first one's codes but for that bar's. Nothing in the
  paper asks for this; that its codes behave so is a hope.

What is called *made of* is worked out step by step by :mod:`.relations` when training needs truth: equal bars,
transposed ones, those of which seven of ten steps are equal, and those of the same rhythm and contour whose intervals
differ by three semitones at most. In use it is the network's answer, but for equal bars, which are looked up.

Conventions
-----------
* Bars are numbered from 1 on for people, from 0 on in arrays. An upbeat is a bar.
* Nats are what a bar's code stores beyond the prior N(0, 1): the divergence, at the mean.
* A bar leans on the nearest of several equal ones.
* Codes in use are means; writing is greedy. Drawn bars come from a prior of their own (:mod:`.prior`).
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
    joins={"codes": "mean", "past_rhythm": "rhythm", "past_line": "line"},
    ask="ottava.systems.structure.ask:ask",
)
