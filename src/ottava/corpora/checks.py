"""Is a corpus whole? What is missing and what is damaged are two lists; damage says which kind it is.

Every file that the corpus needs is looked for. One that is there is compared with its checksum, if one is
known: from a file of checksums that the caller names (lines of ``sha256sum`` or ``md5sum``, or mirdata's
index), or else from mirdata's index where mirdata is installed and has fetched it. A file without a known
checksum is opened as what its suffix says it is, which finds files that are empty, cut at the front, or
something else. Collections of single files have no list but their folder: only a file of checksums knows what
is gone from them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ottava.corpora.corpus import Corpus, read_text
from ottava.corpora.names import find_corpus
from ottava.errors import InputError

__all__ = ["Check", "validate"]


@dataclass(frozen=True)
class Check:
    """What :func:`validate` found.

    Parameters
    ----------
    corpus : str
        Name of the corpus.
    files : int
        Number of files that it needs.
    verified : int
        Number of those that were compared with a checksum.
    missing : tuple of Path
        Files that are not there.
    damaged : tuple of (Path, str)
        Files that are there and not what they should be, and why: a checksum that differs, or unreadable
        content.
    """

    corpus: str
    files: int
    verified: int
    missing: tuple[Path, ...]
    damaged: tuple[tuple[Path, str], ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and nothing damaged."""
        return not self.missing and not self.damaged

    def lines(self) -> Iterator[str]:
        """Yield one line for each fault, then a summary."""
        for path in self.missing:
            yield f"{path}: missing"
        for path, reason in self.damaged:
            yield f"{path}: {reason}"
        yield (
            f"{self.corpus}: {self.files} files, {self.verified} compared with a checksum, "
            f"{len(self.missing)} missing, {len(self.damaged)} damaged"
        )


def validate(
    name: str,
    path: str | os.PathLike[str],
    checksums: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[Iterable[Path]], Iterable[Path]] = iter,
) -> Check:
    """Check a corpus in a folder, or one of its archives.

    Parameters
    ----------
    name : str
        One of :data:`ottava.corpora.NAMES`.
    path : path-like
        The corpus's folder, or an archive of it whose checksum its authors have published.
    checksums : path-like or None
        File of checksums: lines of ``sha256sum`` or ``md5sum`` with paths relative to the corpus, or an index
        of mirdata. Files it lists are needed too.
    progress : callable
        Wraps the sequence of files, for a progress bar.

    Raises
    ------
    ottava.errors.UsageError
        If there is no corpus of that name.
    ottava.errors.InputError
        If the folder does not hold the corpus, if its table or the file of checksums cannot be read, or if
        the archive is not one of its own.
    """
    kind, path = find_corpus(name), Path(path)
    if path.is_file():
        return _check_archive(kind, path)
    corpus = kind(path)
    if checksums is not None:
        sums = _read_sums(Path(checksums))
        listed = {_find(corpus, relative) for relative in sums} if not _is_index(Path(checksums)) else set()
    else:
        index = _mirdata_index(kind)
        sums, listed = (_read_sums(index) if index else {}), set()
    missing, verified = [], 0
    needed, damaged = _needed(corpus)
    files = sorted(needed | listed)
    for file in progress(files):
        expected = _sum_of(file, corpus, sums)
        verified += expected is not None and file.exists()
        if not file.exists():
            missing.append(file)
        elif reason := _differs(file, expected) if expected else _unreadable(file):
            damaged.append((file, reason))
    return Check(name, len(files), verified, tuple(missing), tuple(dict(damaged).items()))


def _needed(corpus: Corpus) -> tuple[set[Path], list[tuple[Path, str]]]:
    """Return all files of the items, and faults of the metadata that name them."""
    needed: set[Path] = set()
    faults = []
    for item in corpus.items():
        needed.update(item.files)
        if all(file.exists() for file in item.files):
            try:
                needed.update(corpus.files(item))
            except InputError as error:
                faults.append((Path(error.path or item.truth_path), f"cannot be read: {error.found}"))
    return needed, faults


def _check_archive(kind: type[Corpus], path: Path) -> Check:
    if path.name not in kind.archives:
        known = ", ".join(kind.archives) or f"a folder; {kind.title} has no published checksum"
        raise InputError(f"no known archive of {kind.title}", path=path, found=path.name, expected=known)
    reason = _differs(path, kind.archives[path.name])
    return Check(kind.name, 1, 1, (), ((path, reason),) if reason else ())


def _differs(path: Path, expected: str) -> str | None:
    """Return why a file is not the one whose checksum, ``"md5:..."``, is expected."""
    algorithm, _, digest = expected.partition(":")
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if found == digest else f"checksum differs; found {algorithm} {found}, expected {digest}"


def _unreadable(path: Path) -> str | None:
    """Return why a file cannot be what its suffix says."""
    try:
        if not path.stat().st_size:
            return "cannot be read: empty"
        _OPENERS.get(path.suffix.lower(), Path.read_bytes)(path)
    except Exception as error:  # each library throws its own; whichever it is, the file is at fault
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"cannot be read: {reason or type(error).__name__}"
    return None


def _open_sound(path: Path) -> None:
    import soundfile

    if not soundfile.info(path).frames:
        raise ValueError("no samples")


def _open_midi(path: Path) -> None:
    import symusic

    symusic.Score.from_midi(path.read_bytes())


def _open_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if broken := archive.testzip():
            raise ValueError(f"{broken} inside is damaged")


def _open_json(path: Path) -> None:
    json.loads(path.read_bytes())


def _open_text(path: Path) -> None:
    path.read_text(encoding="utf-8")


_OPENERS: Mapping[str, Callable[[Path], object]] = {
    **dict.fromkeys((".wav", ".flac", ".ogg", ".opus", ".mp3"), _open_sound),
    **dict.fromkeys((".mid", ".midi"), _open_midi),
    **dict.fromkeys((".jams", ".json"), _open_json),
    **dict.fromkeys((".csv", ".tsv", ".txt", ".yaml"), _open_text),
    ".mxl": _open_zip,
}

_LINE = re.compile(r"\\?(?P<digest>[0-9a-f]{32}|[0-9a-f]{64}) [ *](?P<path>.+)")


def _is_index(path: Path) -> bool:
    return path.suffix == ".json"


def _read_sums(path: Path) -> dict[str, str]:
    """Return checksum by relative path, from lines of ``sha256sum`` or ``md5sum``, or an index of mirdata."""
    text = read_text(path)
    if _is_index(path):
        try:
            index = json.loads(text)
            groups = [*index.get("tracks", {}).values(), *index.get("multitracks", {}).values()]
            entries = [entry for group in groups for key, entry in group.items() if key != "tracks"]
            return {name: f"md5:{digest}" for name, digest in entries if name is not None}
        except (json.JSONDecodeError, AttributeError, TypeError, ValueError) as error:
            raise InputError("damaged", path=path, found=str(error), expected="an index of mirdata") from error
    sums = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise InputError(
                "damaged",
                path=path,
                found=f"line {number}: {line[:60]!r}",
                expected="a line of sha256sum or md5sum",
            )
        algorithm = "md5" if len(match["digest"]) == 32 else "sha256"
        sums[Path(match["path"]).as_posix()] = f"{algorithm}:{match['digest']}"
    return sums


def _find(corpus: Corpus, relative: str) -> Path:
    """Return where a listed file is or should be: lists start at the root or at the folder around it."""
    outside = corpus.root.parent / relative
    return outside if relative.split("/")[0] == corpus.root.name else corpus.root / relative


def _sum_of(path: Path, corpus: Corpus, sums: Mapping[str, str]) -> str | None:
    within = path.relative_to(corpus.root).as_posix()
    return sums.get(within) or sums.get(f"{corpus.root.name}/{within}")


def _mirdata_index(kind: type[Corpus]) -> Path | None:
    """Return mirdata's index, if mirdata is installed and has fetched it. Finding it imports nothing."""
    spec = find_spec("mirdata") if kind.mirdata_index else None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "datasets" / "indexes" / str(kind.mirdata_index)
    return path if path.is_file() else None
