"""Compressed MusicXML: the score in a zip archive, far smaller, which notation programs open just as well."""

from __future__ import annotations

import io
import zipfile

from ottava.exporters.musicxml import to_musicxml
from ottava.results import Result

__all__ = ["to_mxl"]

_SCORE = "score.musicxml"
_CONTAINER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    f'<container><rootfiles><rootfile full-path="{_SCORE}"/></rootfiles></container>\n'
)


def to_mxl(result: Result) -> bytes:
    """Return the notes as compressed MusicXML; see :func:`ottava.exporters.musicxml.to_musicxml`.

    Raises
    ------
    ottava.errors.OutputError
        If the result has no notes payload.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in (
            ("mimetype", b"application/vnd.recordare.musicxml"),  # comes first and plain, says the standard
            ("META-INF/container.xml", _CONTAINER.encode()),
            (_SCORE, to_musicxml(result)),
        ):
            # The archive's epoch rather than the clock: the same result gives the same bytes.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            file.writestr(entry, content, compress_type=kind)
    return archive.getvalue()
