"""The page: one self-contained HTML file for each :class:`ottava.results.Result`.

The page carries everything it shows: style, script, the recording as Ogg Vorbis, the notes, and the files to
download. A content security policy inside it forbids every request and admits only its own script and style,
by their SHA-256; the page works from ``file://``, on a train, and in twenty years.

A payload type is shown by one renderer (:mod:`ottava.report.notes`), listed in
:data:`ottava.report.page.RENDERERS`; a payload without one is left to :mod:`ottava.exporters`. Whatever comes
from outside (file names, warnings, settings) enters the HTML escaped, and the data block as JSON that cannot
close its own element.
"""

from ottava.report.page import page, save

__all__ = ["page", "save"]
