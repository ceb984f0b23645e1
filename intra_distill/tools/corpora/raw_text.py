"""The folder of raw parallel text that a recipe starts from: made whole or not at all.

It holds ``train`` and ``test``, each with one file per language, one sentence a line, and
``raw.json``: what they were made from and how many lines were read, dropped and kept. ``raw.json``
is written last and marks a finished folder. Until then the work is done in ``.partial``;
``downloads`` is where archives are kept unless the user says otherwise.
"""

import argparse
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...files import read_json, write_json
from .download import is_url

WORK, DOWNLOADS, REPORT = ".partial", "downloads", "raw.json"


def add_arguments(parser: argparse.ArgumentParser, sources: str, source_help: str) -> None:
    """Declare ``--destdir``, ``--source`` and ``--downloads``."""
    parser.add_argument(
        "--destdir",
        required=True,
        type=Path,
        metavar="DIR",
        help="the folder to make; an unfinished one is made anew",
    )
    parser.add_argument("--source", metavar=sources, help=source_help)
    parser.add_argument(
        "--downloads",
        type=Path,
        metavar="DIR",
        help=f"where archives are kept, which runs may share (default: {DOWNLOADS} in --destdir)",
    )


def source_and_downloads(args: argparse.Namespace) -> tuple[str | None, Path]:
    """``--source``, a path made absolute, and the folder of archives."""
    source = args.source
    if source is not None and not is_url(source):
        source = os.path.realpath(source)
    return source, args.downloads or args.destdir / DOWNLOADS


def make_raw_text(
    destdir: Path, request: dict[str, str | None], write: Callable[[Path], dict[str, Any]]
) -> None:
    """Make the folder ``destdir``, unless it is finished.

    Args:
        request: the command and its options that the text depends on, by name; None for one that
            was not given, which may have been anything in a finished folder.
        write: writes the files of text to the folder that it is given, which is empty, and
            returns what to say of them in ``raw.json``. What it puts into folders is thrown away.

    Raises:
        UserError: ``destdir`` holds something else or cannot be written in, or ``write`` raised
            it; what was made until then is removed.
    """
    work = destdir / WORK
    if is_finished(destdir, request):
        shutil.rmtree(work, ignore_errors=True)  # a kill at the last moment left it
        print(f"{destdir} is finished, from the same options: nothing to do")
        return
    try:
        work.mkdir(parents=True, exist_ok=True)
        # it stays while the rest goes: without it the files beside would be of something else
        write_json(work / "request.json", request)
        shutil.rmtree(work / "text", ignore_errors=True)
        (work / "text").mkdir()
        report = write(work / "text")
        for path in (work / "text").iterdir():
            if path.is_file():
                os.replace(path, destdir / path.name)
        write_json(destdir / REPORT, {**request, **report})
        shutil.rmtree(work)
    except OSError as error:
        remove_work(destdir)
        raise UserError(f"cannot write in --destdir {destdir}: {error.strerror}") from error
    except UserError:
        remove_work(destdir)
        raise
    print(f"{destdir} is finished")


def is_finished(destdir: Path, request: dict[str, str | None]) -> bool:
    """Whether ``request`` is done: if not, the folder is free for it.

    Raises:
        UserError: the folder holds another request's text or other files.
    """
    advice = "choose another --destdir or delete this one"
    if destdir.exists() and not destdir.is_dir():
        raise UserError(f"--destdir {destdir} is not a folder")
    for state in (destdir / REPORT, destdir / WORK / "request.json"):
        if state.exists():
            made = read_json(state)
            for name, value in request.items():
                if value is not None and made.get(name) != value:
                    raise UserError(
                        f"{destdir} was made with {name} {made.get(name)}, not {value}: {advice}"
                    )
            return state.name == REPORT
    if destdir.exists() and {path.name for path in destdir.iterdir()} - {WORK, DOWNLOADS}:
        raise UserError(f"{destdir} holds files of something else: {advice}")
    return False


def remove_work(destdir: Path) -> None:
    """Remove the unfinished work, and the folder itself if it holds nothing else."""
    shutil.rmtree(destdir / WORK, ignore_errors=True)
    if destdir.is_dir() and not any(destdir.iterdir()):
        destdir.rmdir()
