"""The directory of raw text that a recipe starts from.

It holds the files of each set, and the report ``raw.json``: what they were made from and how much
was read, dropped and kept. Parallel text has ``train`` and ``test``, each with one file per
language, one sentence a line; questions have one JSON file per set.
``downloads`` is where archives are kept unless the user chooses another folder. See
:mod:`..directory` for unfinished directories.
"""

import argparse
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from ...files import read_json, write_json
from ..directory import Directory
from .download import is_url

DOWNLOADS, REPORT, FACTS = "downloads", "raw.json", "facts.json"
Request = dict[str, str | int | None]


def add_arguments(parser: argparse.ArgumentParser, sources: str, source_help: str) -> None:
    """Declare ``--destdir``, ``--source`` and ``--downloads``."""
    parser.add_argument(
        "--destdir",
        required=True,
        type=Path,
        metavar="DIR",
        help="the directory to make; an unfinished one is completed",
    )
    parser.add_argument("--source", metavar=sources, help=source_help)
    parser.add_argument(
        "--downloads",
        type=Path,
        metavar="DIR",
        help=f"where archives are kept, which runs may share (default: {DOWNLOADS} in --destdir)",
    )


def source_and_downloads(args: argparse.Namespace) -> tuple[str | None, Path]:
    """Return ``--source``, a path made absolute, and the folder of archives."""
    source = args.source
    if source is not None and not is_url(source):
        source = os.path.realpath(source)
    return source, args.downloads or args.destdir / DOWNLOADS


def parallel_files(langs: Iterable[str]) -> list[str]:
    """The names of the files of parallel text."""
    return [f"{split}.{lang}" for split in ("train", "test") for lang in langs]


def make_raw_text(
    destdir: Path,
    names: Collection[str],
    request: Request,
    write: Callable[[Path], dict[str, Any]],
) -> bool:
    """Make the directory ``destdir`` unless it is finished.

    Args:
        names: the files to make.
        request: the command and its options that the text depends on, by name; None for an option
            that was not given, which matches any value of a finished directory.
        write: writes the files into the empty folder that it gets. It returns what ``raw.json``
            says of them. Whatever else it leaves there is removed.

    Returns:
        Whether there was anything to do.

    Raises:
        UserError: as :meth:`Directory.make <intra_distill.tools.directory.Directory.make>`.
    """

    def take_steps(directory: Directory) -> dict[str, Any]:
        facts = directory.work / FACTS

        def write_text_and_facts(scratch: Path) -> None:
            write_json(facts, {**request, **write(scratch)})

        directory.make_files(destdir, names, write_text_and_facts)
        return read_json(facts)

    return Directory(destdir, REPORT, request, find_other_option, {DOWNLOADS}).make(take_steps)


def find_other_option(made: dict[str, Any], request: Request) -> str | None:
    """Name the first option that is given and was another one, or None."""
    for name, value in request.items():
        if value is not None and made.get(name) != value:
            return f"{name} {made.get(name)}, not {value}"
    return None
