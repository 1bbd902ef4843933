from ottava.pipelines.listen import listen as listen
from ottava.runtime.load import load as load
from ottava.systems.transcription.run import transcribe as transcribe

__version__: str
__all__ = ["__version__", "listen", "load", "transcribe"]
