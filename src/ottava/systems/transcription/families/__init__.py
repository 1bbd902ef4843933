"""Which family plays each note: a part of transcription with a network of its own.

Detecting notes asks a question of each pitch and frame, thousands a second. Naming a note's instrument asks one for
each note, a dozen a second, so for the same cost it may look a hundred times closer. For each onset that
transcription finds, half a second of spectrum around it is cut out so that the fundamental always lies in the same
place, as the harmonic stacks of multi-pitch estimation do; a small convolutional network describes it. Notes of one
instrument sound alike and form lines: three layers of attention among neighbouring onsets, which know how far apart
those are in time and pitch, let them agree. Then each is given a probability for each family. Many notes are compared
at once, whose sounds need not be held at once: the network is exported in two halves, side by side in one graph.

It learns from stems: in every step it hears some thirty ensembles that were never heard before, a few notes of each.
Two things mattered more than its size. With 64 notes of 8 ensembles a step, as many notes, the loss stood still for as
long as it was watched. And in ready mixes who plays together was the corpus's choice: a piano that only ever played
alone made everybody near it a piano.

This part is ours. In the paper (Pedersoli, Tzanetakis and Yi, ICASSP 2020) families are separate outputs, one U-Net
each or one for all; ``docs/claims.md`` compares those. An earlier model of ours had a head for families at each pitch
and frame; it named far fewer notes rightly.
"""

from ottava.spec import Spec

SPEC = Spec(
    name="transcription.families",
    title="The instrument family of each note",
    paper="Ours; beside Pedersoli, Tzanetakis and Yi, ICASSP 2020",
    verbs=(),
    model="ottava.systems.transcription.families.naming:Naming",
    task="ottava.systems.transcription.families.train.task:FamilyTask",
    data="ottava.systems.transcription.families.train.data:FamilyData",
    inputs={
        "patches": ("batch", "sounds", 2, 24, 160),
        "patch_pitch": ("batch", "sounds"),
        "described": ("batch", "notes", 192),
        "pitch": ("batch", "notes"),
        "time_s": ("batch", "notes"),
    },
    outputs={"description": ("batch", "sounds", 192), "family": ("batch", "notes", 6)},
)
