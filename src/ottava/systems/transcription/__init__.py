"""Transcription with a pre-stacked U-Net: sound to notes, labelled by instrument family, and drum hits.

The paper
---------
F. Pedersoli, G. Tzanetakis and K. M. Yi, *Improving Music Transcription by Pre-Stacking a U-Net*, ICASSP 2020.
A U-Net is put in front of a transcription network. It transforms the spectrogram into a picture of the same shape
that is easier to transcribe; it has no target of its own, and both networks are trained together on the notes.
Others had used a U-Net as the transcriber itself.

The paper's text and tables were not at hand. What is known of the method comes from its abstract and from a later
re-implementation by others, so :mod:`.train.paper` is a *reconstruction* wherever sizes and settings are concerned:
a U-Net with lateral connections and a linear output in front of interchangeable transcription networks on 25-frame
contexts, one U-Net or several, trained by binary cross entropy. ``docs/claims.md`` tests the paper's claims with it,
at our size and with controls of equal size and cost.

The shipped model
-----------------
One small network of this family, :class:`.train.network.PreStackedTranscriber`:

* *Input*: levels on a log-frequency axis, three bins to the semitone, from a long and a short window
  (:class:`ottava.signal.logfreq.LogFrequency`), 24 ms between frames. No normalisation by file: streams and files
  give the same notes, and loudness stays information.
* *U-Net* with four levels that pools in frequency only; its output lies beside the input, not in its place, so that
  nothing is lost on the way.
* *Transcription network*: each semitone beside its harmonics, convolutions that treat all pitches alike, and a
  bottleneck over time that sees all pitches. Convolutional throughout: its reach is known, so chunks equal wholes.
* *Heads*: onset, frame, offset and velocity for 88 pitches.
* *Drums*: onsets and velocities of five classes, by a network beside this one that sees broad bands of the features.
* *Families*: whether an onset is a note, and who plays it, is asked of a part with a network of its own,
  :mod:`.families`, which looks closely at all that may be one.

Conventions
-----------
* A note ends when its *key is released*; the sustain pedal does not lengthen it. This is how a score would have it.
  Scores of other systems often extend notes by the pedal: offsets are not comparable across that choice.
* Onsets are placed finer than a frame, from the shape that the training targets have.
* Pitches outside the 88 keys, and bends, are not written.

Where we differ from the re-implementation, and why: it labels one frame at a time, each with its context computed
anew; ours computes all frames of a clip at once, which costs a fraction and changes nothing but the padding. It
scales each clip by its own minimum and maximum, which lets every frame see the loudest of the clip; ours uses fixed
levels. It gives its frame posterior out as onset posterior too, so that repeated notes merge; ours has a head for
each.
"""

from ottava.spec import Spec, Verb

SPEC = Spec(
    name="transcription",
    title="Notes of every instrument family, and drums, from sound",
    paper="Pedersoli, Tzanetakis and Yi: Improving Music Transcription by Pre-Stacking a U-Net. ICASSP 2020",
    verbs=(
        Verb(
            name="transcribe",
            function="ottava.systems.transcription.run:transcribe",
            summary="Turn sound into notes, labelled by instrument family, and drum hits.",
            accepts=("audio",),
            returns=("Notes",),
            formats=("mid",),
        ),
    ),
    model="ottava.systems.transcription.run:Transcriber",
    task="ottava.systems.transcription.train.task:TranscriptionTask",
    data="ottava.systems.transcription.train.data:TranscriptionData",
    inputs={"features": ("batch", 2, "heard_frames", 288), "embedded": ("batch", 32, "frames", 99)},
    outputs={
        "embedding": ("batch", 32, "heard_frames", 99),
        "onset": ("batch", "frames", 88),
        "frame": ("batch", "frames", 88),
        "offset": ("batch", "frames", 88),
        "velocity": ("batch", "frames", 88),
        "drum_onset": ("batch", "frames", 5),
        "drum_velocity": ("batch", "frames", 5),
    },
    parts=("families",),
    joins={"embedded": "embedding"},
    ask="ottava.systems.transcription.ask:ask",
)
