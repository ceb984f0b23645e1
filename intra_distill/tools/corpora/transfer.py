"""Labelled text for transfer from one language to others.

::

    RAW/train.EXT, valid.EXT    of one language
    RAW/test-NAME.EXT           of each language, or whatever else NAME says
    RAW/raw.json                what :mod:`.raw_text` says of it; own data does without
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from ...errors import UserError
from ...files import read_json
from ..directory import MALFORMED
from .raw_text import REPORT

TRAIN, VALID, TEST = "train", "valid", "test-"
NAME = re.compile(r"[\w-]+")


def file_names(languages: Iterable[str], extension: str) -> dict[str, str]:
    """The names of the files of tests in these languages, by fairseq's name of the split."""
    splits = [TRAIN, VALID, *(TEST + language for language in languages)]
    return {split: f"{split}.{extension}" for split in splits}


def check_languages(languages: Collection[str]) -> None:
    """Raise UserError for a language in ``--languages`` that no file can be named after."""
    for language in languages:
        if not NAME.fullmatch(language):
            raise UserError(
                f"--languages {language!r}: a name has nothing but letters, digits, '-' and '_'"
            )


def find_files(folder: Path, extension: str, command: str) -> dict[str, Path]:
    """Find the files in a folder, by fairseq's names of the splits, the tests in order.

    Args:
        command: what makes such folders.

    Raises:
        UserError: there is no training, validation or test set, or fairseq cannot have the name of
            a test set.
    """
    tests = sorted(path.stem.removeprefix(TEST) for path in folder.glob(f"{TEST}*.{extension}"))
    files = {split: folder / name for split, name in file_names(tests, extension).items()}
    for path in files.values():
        if not path.is_file():
            raise UserError(f"{folder} has no file {path.name}: make it, or all by {command}")
    if not tests:
        raise UserError(f"{folder} has no test set: name its file {TEST}NAME.{extension}")
    for name in tests:
        if not NAME.fullmatch(name):
            raise UserError(
                f"{folder / f'{TEST}{name}.{extension}'}: a test set's name has nothing but "
                "letters, digits, '-' and '_': rename it"
            )
    return files


def datasets(folder: Path, splits: Iterable[str]) -> dict[str, str]:
    """The data set that results on each split are of: the language, where it is known.

    Without a report the training and the validation set are called so.
    """
    try:
        language = str(read_json(folder / REPORT)["trained_on"])
    except (OSError, *MALFORMED):
        language = None
    return {
        split: split.removeprefix(TEST) if split.startswith(TEST) else language or split
        for split in splits
    }
