"""Which family plays each note, and whether it is one: a part of transcription with a network of its own.

Detecting notes asks a question of each pitch and frame, thousands a second. Naming a note's instrument asks one for
each note, a dozen a second. So a few convolutions over the spectrum, alike for all pitches, only prepare what a note is
then asked about: what they found at its partials, and at places between and below where partials of others would lie,
in the half second around its onset. A small network over those describes the note. Lining up partials is what harmonic
stacks do for multi-pitch estimation; here it is done for notes alone. Notes of one instrument sound alike and form
lines: three layers of attention among neighbouring onsets, which know how far apart those are in time and which
interval they form, let them agree. Then each is given a probability for each family. Many notes are compared at once,
whose sounds need not be held at once: the network is exported in two halves, side by side in one graph.

A quarter of all maxima that may be onsets are no notes: partials of others, or notes that swell. How high they
are tells little; how they sound, and what lies around them, tells more. So the network is given all that may be an
onset, half as high as what would be taken for one by itself, with what the first network says of it and of its
octaves and fifths; and beside the families it is asked whether this is a note at all. For that it learns from onsets
that were found in recordings of the corpus, with the errors that it will meet.

It learns from stems: in every step it hears some thirty ensembles that were never heard before, a few notes of each.
With 64 notes of 8 ensembles a step, as many notes, the loss stood still for as long as it was watched. And in ready
mixes who plays together was the corpus's choice: a piano that only ever played alone made everybody near it a piano.
Ready mixes serve for what stems cannot give: the sound of rooms, equipment and codecs, and onsets as they are found.

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
        "levels": ("batch", 2, "time", 288),
        "frame": ("batch", "sounds"),
        "sound_pitch": ("batch", "sounds"),
        "heard": ("batch", "sounds", 18),
        "described": ("batch", "notes", 256),
        "pitch": ("batch", "notes"),
        "time_s": ("batch", "notes"),
    },
    outputs={"description": ("batch", "sounds", 256), "likely": ("batch", "notes", 7)},
)
