"""What ``prepare-tags`` and ``prepare-spans`` share: data of one language and others."""

from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Protocol

import fairseq

from ..corpora.transfer import describe_files, find_splits
from ..directory import Content, Directory
from ..labelled import REPORT
from ..options import check_data_directory
from .binarised import find_other_file, make_binarised
from .xlmr_pieces import PIECES, XlmrPieces, read_pieces

GREATEST_LENGTH = 512  # positions of an XLM-R


class TransferPreparation(Protocol):
    """What to prepare, and how.

    Attributes:
        raw: the folder of train, valid and test-NAME.
        xlmr: the folder of the pieces, made by ``intra-distill xlmr``.
        destdir: the data directory to make.
    """

    EXTENSION: ClassVar[str]  # of the files in raw
    OPTIONS: ClassVar[dict[str, str]]  # other attributes that change the data, and their options
    raw: Path
    xlmr: Path
    destdir: Path


def prepare_transfer(
    preparation: TransferPreparation,
    write: Callable[[XlmrPieces, Path], Content],
    describe_split: Callable[[str, Content], str],
    describe_data: Callable[[Content], Content],
) -> bool:
    """Make the data directory ``preparation.destdir``, or complete it, unless it is finished.

    Prints what each split holds.

    Args:
        write: writes all files into the folder that it gets, and returns what the report says of
            each split.
        describe_split: says what a split holds, by its name and what the report says of it.
        describe_data: what the report says of the whole, from what it says of the splits.

    Returns:
        Whether there was anything to do.

    Raises:
        UserError: an input file is wrong, or the directory was made from another request or cannot
            be written to.
    """
    check_data_directory(preparation.destdir)
    pieces = read_pieces(preparation.xlmr)

    def describe_inputs() -> Content:
        return describe_files(find_splits(preparation.raw, preparation.EXTENSION))

    def take_steps(directory: Directory) -> dict[str, Any]:
        inputs, splits = make_binarised(directory, describe_inputs, partial(write, pieces))
        for split, counts in splits.items():
            print(describe_split(split, counts))
        versions = {"sentencepiece": metadata.version("sentencepiece")}
        return {
            "inputs": inputs,
            **describe_data(splits),
            "pairs": False,
            "splits": splits,
            "versions": {**versions, "fairseq": fairseq.__version__},
        }

    request = {
        **{name: getattr(preparation, name) for name in preparation.OPTIONS},
        PIECES: pieces.sha256,
        "inputs": describe_inputs(),
    }
    find_difference = partial(find_other_option, preparation.OPTIONS)
    return Directory(preparation.destdir, REPORT, request, find_difference).make(take_steps)


def find_other_option(options: dict[str, str], old: Content, new: Content) -> str | None:
    """Name the first option or file of a new request that changes the files, or None."""
    for name, option in options.items():
        if old.get(name) != new[name]:
            return f"{option} {old.get(name)}, not {new[name]}"
    if old.get(PIECES) != new[PIECES]:
        return f"another {PIECES} in --xlmr"
    return find_other_file(old["inputs"], new["inputs"])
