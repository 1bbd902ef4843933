"""``ottava data``: the corpora known, whether one is whole, and making the rendered one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from ottava.errors import MissingError, UsageError

__all__ = ["app"]

app = App(
    name="data",
    help="List data sets, check one, or make one.",
    help_format="plaintext",
    default_parameter=Parameter(negative_iterable=""),
)


@app.command(name="list")
def list_corpora() -> int:
    """List the data sets that can be read in the layout in which they are distributed."""
    from ottava.corpora import NAMES, find_corpus

    for name in NAMES:
        corpus = find_corpus(name)
        ships = "its weights may be given to everybody" if corpus.weights_may_ship else "for research"
        print(f"{name}: {corpus.title}, version {corpus.version}")
        print(f"    {corpus.licence}; {ships}")
        print(f"    {corpus.url}")
    return 0


@app.command
def check(name: str, folder: Path, *, checksums: Path | None = None) -> int:
    """Check that a data set is whole: what is missing, and what is damaged.

    Parameters
    ----------
    name : str
        Name of the data set.
    folder : path
        Where it lies.
    checksums : path
        A list of checksums, as sha256sum writes it.
    """
    from ottava.corpora import validate

    found = validate(name, folder, checksums)
    for line in found.lines():
        print(line)
    return 0 if found.complete else 1


@app.command
def make(
    out: Path,
    *,
    scores: list[Path] | None = None,
    soundfont: list[Path] | None = None,
    drum_soundfont: list[Path] | None = None,
    piano_samples: list[str] | None = None,
    samples: list[str] | None = None,
    without: list[str] | None = None,
    split: Literal["train", "validation", "test"] = "train",
    count: int = 100,
    length_s: float = 60.0,
    kinds: str | None = None,
    varied: bool = True,
    recorded: bool = True,
    form: Literal["features", "stems", "sound"] = "features",
    seed: int = 0,
    jobs: Annotated[int, Parameter(("--jobs", "-j"))] = 1,
) -> int:
    """Make, or complete, a corpus of rendered music with its truth.

    An interrupted run goes on where it stopped. The same seed makes the same items.

    Parameters
    ----------
    out : path
        Folder of the corpus.
    scores : path
        Folder of OpenScore Lieder, POP909 or Groove MIDI; may be given several times. Without it pieces are made up.
    soundfont : path
        SoundFont (.sf2), or TiMidity configuration of GUS patches (.cfg), for everything; may be given several times.
        Without it only pianos are made, from string models.
    drum_soundfont : path
        Further SoundFont with drum kits only, or folder of a Hydrogen drum kit; may be given several times.
    piano_samples : path
        Folders of one sampled piano, with commas; may be given several times.
    samples : path
        Sampled instrument for parts of ensembles, after its family: winds=flute; may be given several times.
    without : str
        Programs of a SoundFont that must not be used, after its name: TimGM6mb=52,kit40; may be given several times.
    split : str
        Which pieces may be used.
    count : int
        Number of items.
    length_s : float
        Length of an item in seconds.
    kinds : str
        Shares of the kinds of item: piano=0.5,ensemble=0.35,solo=0.11,drums=0.04.
    varied : bool
        Change timbres part by part, so that a few SoundFonts sound as many.
    recorded : bool
        Put the sound into rooms and through equipment.
    form : str
        Features to train on; the same in stems, each part played by several instruments, to be mixed in training; or
        sound files with their notes beside them.
    seed : int
        Seed of the corpus.
    jobs : int
        Items to make at a time.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    try:
        from ottava.corpora.rendered import DEFAULT_KINDS, Recipe, make_rendered
    except ModuleNotFoundError as error:
        raise MissingError(
            "making data needs the extra [train]", found=str(error), expected='pip install "ottava[train]"'
        ) from error
    recipe = Recipe(
        tuple(scores or ()),
        tuple(soundfont or ()),
        drum_soundfonts=tuple(drum_soundfont or ()),
        piano_samples=tuple(tuple(Path(part) for part in group.split(",")) for group in piano_samples or ()),
        samples=tuple(_named_folder(text) for text in samples or ()),
        without=tuple(_named_programs(text) for text in without or ()),
        split=split,
        length_s=length_s,
        kinds=_shares(kinds) if kinds else DEFAULT_KINDS if soundfont else {"piano": 1.0},
        varied=varied,
        recorded=recorded,
    )
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=count)
        made = make_rendered(
            out,
            recipe,
            count=count,
            seed=seed,
            jobs=jobs,
            form=form,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(made)
    return 0


@app.command
def tunes(
    out: Path,
    *,
    openewld: Path | None = None,
    pop909: Path | None = None,
    nottingham: Path | None = None,
    music21: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    force: bool = False,
) -> int:
    """Gather melodies in bars, to train the structure model and to test it: a file for each source.

    Tunes that share many bars are one family; families, not tunes, are divided into training, validation and test.

    Parameters
    ----------
    out : path
        Folder of the files.
    openewld : path
        OpenEWLD, lead sheets.
    pop909 : path
        POP909, pop songs.
    nottingham : path
        Nottingham, folk tunes; GPL-3, so for testing only.
    music21 : bool
        The public-domain books that come with the package music21.
    force : bool
        Overwrite what exists.
    """
    from ottava.corpora.tunes import gather_tunes

    given = {"openewld": openewld, "pop909": pop909, "nottingham": nottingham}
    folders = {source: folder for source, folder in given.items() if folder is not None}
    chosen: dict[str, Path | None] = {**folders, **({"music21": None} if music21 else {})}
    if not chosen:
        raise UsageError("no source of tunes", expected="--openewld, --pop909, --nottingham or --music21")
    for source, count in gather_tunes(chosen, out, force=force).items():
        print(f"{out / source}.npz: {count} tunes")
    return 0


@app.command
def alter(
    soundfont: Path,
    out: Path,
    *,
    without: Annotated[str, Parameter(show_default=False)] = "",
    seed: int = 0,
    force: bool = False,
) -> int:
    """Make other instruments of the same kind out of a SoundFont, to train on more than there are.

    Each instrument is drawn anew from the same samples: one of them over all keys, short loops, another envelope,
    filter, vibrato. The new SoundFont is mono; the same seed makes the same.

    Parameters
    ----------
    soundfont : path
        SoundFont (.sf2).
    out : path
        SoundFont to be written.
    without : str
        Programs to leave out: 52,kit40.
    seed : int
        Seed of all that is drawn.
    force : bool
        Overwrite what exists.
    """
    from ottava.corpora.rendered.altered import alter_file

    alter_file(soundfont, out, seed=seed, without=_programs(without) if without else frozenset(), force=force)
    print(out)
    return 0


def _named_folder(text: str) -> tuple[str, Path]:
    """Read ``winds=folder``."""
    family, equals, folder = text.partition("=")
    if not equals:
        raise UsageError(f"samples {text!r} are unreadable", expected="FAMILY=FOLDER, like winds=samples/flute")
    return family, Path(folder)


def _named_programs(text: str) -> tuple[str, frozenset[int]]:
    """Read ``font=52,kit40``."""
    font, equals, listed = text.partition("=")
    if not equals:
        raise UsageError(f"programs {text!r} are unreadable", expected="FONT=NUMBER,kitNUMBER, like TimGM6mb=52,kit40")
    return font, _programs(listed)


def _programs(listed: str) -> frozenset[int]:
    """Read ``52,kit40``; kit 0 is program -1, kit 1 is -2."""
    try:
        return frozenset(-1 - int(name[3:]) if name.startswith("kit") else int(name) for name in listed.split(","))
    except ValueError as error:
        raise UsageError(f"programs {listed!r} are unreadable", expected="NUMBER,kitNUMBER, like 52,kit40") from error


def _shares(text: str) -> dict[str, float]:
    """Read ``piano=0.5,drums=0.1``."""
    shares = {}
    for part in text.split(","):
        kind, _, share = part.partition("=")
        try:
            shares[kind.strip()] = float(share)
        except ValueError as error:
            raise UsageError("shares of kinds cannot be read", found=repr(part), expected="KIND=NUMBER") from error
    return shares
