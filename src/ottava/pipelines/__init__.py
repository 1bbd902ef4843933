"""Systems together. A pipeline is made of verbs and Results only."""

from ottava.spec import Verb

__all__ = ["VERBS"]

VERBS: tuple[Verb, ...] = (
    Verb(
        name="listen",
        function="ottava.pipelines.listen:listen",
        summary="Write down what is heard, as MIDI and as a page to look at.",
        accepts=("audio",),
        returns=("Notes",),
        formats=("mid", "html"),
    ),
)
"""The verbs of pipelines, described like those of systems so that the command line treats them alike."""
