"""The files of labelled text for transfer from one language to others, as in :mod:`.raw_text`.

``train`` and ``valid`` are of one language, and each ``test-NAME`` of another one, or of whatever
else NAME says. A folder of own files does without the report.
"""

import argparse
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from ...errors import UserError
from ...files import sha256
from ..directory import Content

TRAIN, VALID, TEST = "train", "valid", "test-"
NAME = re.compile(r"[\w-]+", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser, extension: str) -> None:
    """Declare the folder of the files, ``--xlmr`` and ``--destdir``."""
    parser.add_argument(
        "raw",
        type=Path,
        metavar="RAW",
        help=f"the folder of {TRAIN}.{extension}, {VALID}.{extension} and {TEST}NAME.{extension}",
    )
    parser.add_argument(
        "--xlmr",
        required=True,
        type=Path,
        metavar="DIR",
        help="the folder made by intra-distill xlmr, for its pieces",
    )
    parser.add_argument(
        "--destdir",
        required=True,
        type=Path,
        metavar="DIR",
        help="the data directory to make; an unfinished one is completed",
    )


def file_names(languages: Iterable[str], extension: str) -> dict[str, str]:
    """The names of the files with these test sets, by fairseq's name of the split."""
    splits = [TRAIN, VALID, *(TEST + language for language in languages)]
    return {split: f"{split}.{extension}" for split in splits}


def check_languages(languages: Collection[str]) -> None:
    """Raise UserError for a language in ``--languages`` that no split can be named after."""
    for language in languages:
        if not NAME.fullmatch(language):
            raise UserError(
                f"--languages {language}: a name has nothing but letters, digits, '_' and '-'"
            )


def find_splits(folder: Path, extension: str) -> dict[str, Path]:
    """Find the files in a folder, by fairseq's name of the split; the test sets sorted by name.

    Raises:
        UserError: the training or the validation set is missing, or all test sets; or a test set
            has a name that fairseq cannot have.
    """
    tests = sorted(path.stem.removeprefix(TEST) for path in folder.glob(f"{TEST}*.{extension}"))
    splits = {split: folder / name for split, name in file_names(tests, extension).items()}
    for path in splits.values():
        if not path.is_file():
            raise UserError(
                f"{folder} has no file {path.name}: it must hold {TRAIN}.{extension}, "
                f"{VALID}.{extension} and {TEST}NAME.{extension}"
            )
    if not tests:
        raise UserError(f"{folder} has no test set: call its file {TEST}NAME.{extension}")
    for name in tests:
        if not NAME.fullmatch(name):
            raise UserError(
                f"{splits[TEST + name]}: rename it: fairseq takes letters, digits, '_' and '-'"
            )
    return splits


def describe_files(splits: dict[str, Path]) -> Content:
    """The path and the SHA-256 of each file, by its name.

    Raises:
        UserError: a file cannot be read.
    """
    try:
        return {p.name: {"file": str(p), "sha256": sha256(p)} for p in splits.values()}
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
