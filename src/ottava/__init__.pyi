from ottava.pipelines.listen import listen as listen
from ottava.runtime.load import load as load
from ottava.systems.flow.explain import explain as explain
from ottava.systems.structure.run import structure as structure
from ottava.systems.structure.vary import vary as vary
from ottava.systems.transcription.run import transcribe as transcribe

__version__: str
__all__ = ["__version__", "explain", "listen", "load", "structure", "transcribe", "vary"]
