"""Checks what a data directory of parallel text is made from: the options and the text.

All checks are done before the work begins. Their result is the request: what the files depend on.
"""

import argparse
import os
import re
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...files import check_plain, read_lines, sha256
from ..options import check_data_directory, check_number
from ..prepared import TextFormat
from . import normalization
from .pieces import SPECIAL_PIECES

LEAST_PIECES = len(SPECIAL_PIECES) + 1
MAX_PIECES = 10**6  # SentencePiece would fill the memory before it finds that the text is too short
MAX_WORKERS = 1024
VALIDATION_OPTIONS = ("valid", "hold_out_every", "hold_out")


def usable_cores() -> int:
    """The number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What the preparations of one and of several language pairs share.

    Attributes:
        train, valid, test: a PREFIX, or several, of files of raw text.
        destdir: the data directory to make.
        vocab_size: pieces in the joint SentencePiece model.
        sentencepiece_text: "train", or "all" to train that model on the text of all splits.
        sentencepiece_sample: the lines of that text to draw at random; None for all.
        normalization: SentencePiece's rule, one of :data:`.normalization.RULES`.
        max_ratio: drop training pairs whose longer side has more than so many times the Moses
            tokens of the shorter one.
        max_length: drop training pairs with a side of more Moses tokens.
        train_pairs: read only the first N training pairs, of each language pair; None for all.
        lowercase: lower-case all text.
        workers: parallel processes; the files do not depend on it.
    """

    train: str
    valid: str | None = None
    test: tuple[str, ...]
    destdir: Path
    vocab_size: int = 12000
    sentencepiece_text: str = "train"
    sentencepiece_sample: int | None = None
    normalization: str = "nmt_nfkc"
    max_ratio: float = 1.5
    max_length: int = 175
    train_pairs: int | None = None
    lowercase: bool = False
    workers: int = 1

    @property
    def prefixes(self) -> dict[str, str]:
        """The prefix of each given split, by fairseq's name of the split."""
        valid = {} if self.valid is None else {"valid": self.valid}
        tests = {f"test{k or ''}": prefix for k, prefix in enumerate(self.test)}
        return {"train": self.train, **valid, **tests}

    @property
    def splits(self) -> list[str]:
        """The names of all splits, training first."""
        return list(dict.fromkeys(["train", "valid", *self.prefixes]))

    @property
    def splits_of_pieces(self) -> list[str]:
        """The splits whose text SentencePiece is trained on."""
        return self.splits if self.sentencepiece_text == "all" else ["train"]


@dataclass(frozen=True, kw_only=True)
class TranslationPreparation(Preparation):
    """The parallel text to prepare, and how: the options of ``intra-distill prepare``.

    The raw text is in the files PREFIX.SOURCE_LANG and PREFIX.TARGET_LANG.

    Attributes:
        hold_out_every: instead of ``valid``, validate on every N-th training pair.
        hold_out: instead of ``valid``, validate on N training pairs that are drawn at random.
    """

    source_lang: str
    target_lang: str
    hold_out_every: int | None = None
    hold_out: int | None = None

    @property
    def langs(self) -> tuple[str, str]:
        return self.source_lang, self.target_lang

    @property
    def text_format(self) -> TextFormat:
        return TextFormat(*self.langs, self.normalization, self.lowercase)


def check_preparation(preparation: TranslationPreparation) -> None:
    """Raise UserError for an option that can never work, whatever the text is."""
    for name in ("source_lang", "target_lang"):
        check_lang(option_of(name), getattr(preparation, name))
    if preparation.source_lang == preparation.target_lang:
        raise UserError(f"--source-lang and --target-lang are both {preparation.source_lang}")
    given = [
        option_of(name) for name in VALIDATION_OPTIONS if getattr(preparation, name) is not None
    ]
    if len(given) != 1:
        raise UserError(
            f"give one of {', '.join(map(option_of, VALIDATION_OPTIONS))} for the validation set, "
            f"not {' and '.join(given) or 'none'}"
        )
    check_limits(preparation, {"hold_out_every": (2,), "hold_out": (1,)})
    check_options(preparation)


def check_options(preparation: Preparation) -> None:
    """Raise UserError for a number out of range, or a test set or directory that cannot be."""
    if preparation.vocab_size < LEAST_PIECES:
        raise UserError(
            f"--vocab-size must be at least {LEAST_PIECES} ({', '.join(SPECIAL_PIECES)} and a "
            f"piece of text), not {preparation.vocab_size}"
        )
    limits = {"vocab_size": (LEAST_PIECES, MAX_PIECES), "workers": (1, MAX_WORKERS)}
    limits |= {"max_ratio": (1,), "max_length": (1,), "train_pairs": (1,)}
    limits |= {"sentencepiece_sample": (1,)}
    check_limits(preparation, limits)
    for prefix, times in Counter(preparation.test).items():
        if times > 1:
            raise UserError(f"--test names {prefix} {times} times: name each test set once")
    check_data_directory(preparation.destdir)


def check_limits(preparation: Preparation, limits: dict[str, tuple[int, ...]]) -> None:
    """Raise UserError for a number below the least or above the most that it may be."""
    for name, least_and_most in limits.items():
        value = getattr(preparation, name)
        if value is not None:
            check_number(option_of(name), value, *least_and_most)


def check_lang(option: str, lang: str) -> None:
    """Raise UserError for the name of a language that fairseq does not find in file names."""
    if not re.fullmatch(r"\w+", lang):
        better = re.sub(r"\W+", "_", lang) or "de"
        raise UserError(
            f"{option} {lang!r}: fairseq finds a language in file names only if it "
            f"has nothing but letters, digits and _: rename it, such as {better}"
        )


def make_request(preparation: TranslationPreparation) -> dict[str, Any]:
    """Return what the files depend on: the ``options`` and ``inputs`` of a preparation.

    Raises:
        UserError: as :func:`check_inputs`.
    """
    return {"options": recorded_options(preparation), "inputs": check_inputs(preparation)}


def check_inputs(preparation: TranslationPreparation) -> dict[str, dict[str, Any]]:
    """Check each input file, and return its path, SHA-256 and number of lines by SPLIT.LANG.

    Raises:
        UserError: a file cannot be read, is not UTF-8 or has no lines, or the two sides of a
            split have different numbers of lines.
    """
    inputs = {}
    for split, prefix in preparation.prefixes.items():
        inputs |= check_split(split, prefix, preparation.langs)
    return inputs


def check_split(split: str, prefix: str, langs: tuple[str, str]) -> dict[str, dict[str, Any]]:
    """Check the two input files of a split, as :func:`check_inputs` does."""
    files = [f"{prefix}.{lang}" for lang in langs]
    lines = [count_lines(file) for file in files]
    if lines[0] != lines[1]:
        raise UserError(
            f"{files[0]} has {lines[0]} lines but {files[1]} has {lines[1]}: "
            "line N of one must translate line N of the other"
        )
    if lines[0] == 0:
        raise UserError(f"{files[0]} and {files[1]} are empty")
    return {
        f"{split}.{lang}": {"file": file, "sha256": sha256(file), "lines": lines[0]}
        for lang, file in zip(langs, files)
    }


def count_lines(file: str) -> int:
    """Count the lines of an input file, and check that all of it is plain UTF-8 text."""
    if os.path.exists(file) and not os.path.isfile(file):
        raise UserError(f"{file} is not a file: give one, which can be read several times")
    # a line with nothing but a byte order mark counts as empty, and the filters drop it
    return sum(1 for _ in check_plain(read_lines(file), file))


def check_unchanged(inputs: dict[str, dict[str, Any]]) -> None:
    """Raise UserError if an input file has changed since it was checked."""
    for entry in inputs.values():
        if sha256(entry["file"]) != entry["sha256"]:
            raise UserError(f"{entry['file']} was changed while it was read: run again")


def find_other_input(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """Name the first option or text of a new request that changes the files, or None.

    The content of a text matters, its path does not.
    """
    for name, value in new["options"].items():
        if old["options"].get(name) != value:
            return f"{option_of(name)} {old['options'].get(name)}, not {value}"
    if old["inputs"].keys() != new["inputs"].keys():
        more = new["inputs"].keys() > old["inputs"].keys()
        how = " (intra-distill add-test adds some to a finished directory)" if more else ""
        return f"another number of --test sets{how}"
    for name, now in new["inputs"].items():
        then = old["inputs"][name]
        if then["sha256"] != now["sha256"]:
            return f"another {name} text ({then['file']} as it was then, not {now['file']})"
    return None


def recorded_options(preparation: Preparation) -> dict[str, Any]:
    """Return the options that the files depend on, except the text."""
    without_effect = {"train", "valid", "test", "destdir", "workers"}
    return {
        field.name: getattr(preparation, field.name)
        for field in fields(preparation)
        if field.name not in without_effect
    }


def option_of(name: str) -> str:
    """The command-line option of a field of a preparation."""
    return f"--{name.replace('_', '-')}"


def add_preparation_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of :class:`Preparation` but --train and --valid, whose text differs."""
    defaults = Preparation
    parser.add_argument(
        "--test",
        required=True,
        metavar="PREFIX[,PREFIX...]",
        help="test sets; they become test, test1, ...",
    )
    parser.add_argument(
        "--train-pairs",
        type=int,
        metavar="N",
        help="take the first N training pairs only (default: all)",
    )
    parser.add_argument(
        "--vocab-size",
        type=int,
        default=defaults.vocab_size,
        metavar="N",
        help="pieces in the joint SentencePiece model (default: %(default)s)",
    )
    parser.add_argument(
        "--sentencepiece-text",
        choices=("train", "all"),
        default=defaults.sentencepiece_text,
        help="train the SentencePiece model on the training text, or also, as the authors of the "
        "paper did, on the validation and test text (default: %(default)s)",
    )
    parser.add_argument(
        "--sentencepiece-sample",
        type=int,
        metavar="N",
        help="train it on N lines of that text, drawn with a fixed seed (default: all)",
    )
    parser.add_argument(
        "--normalization",
        choices=normalization.RULES,
        default=defaults.normalization,
        help="SentencePiece's rule for the text that it cuts into pieces; identity changes nothing "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--max-ratio",
        type=float,
        default=defaults.max_ratio,
        metavar="R",
        help="drop training pairs whose longer side has over R times the Moses tokens of the "
        "shorter one (default: %(default)s)",
    )
    parser.add_argument(
        "--max-length",
        type=int,
        default=defaults.max_length,
        metavar="N",
        help="drop training pairs with a side of over N Moses tokens (default: %(default)s)",
    )
    parser.add_argument(
        "--destdir",
        required=True,
        type=Path,
        metavar="DIR",
        help="the data directory to make; an unfinished one is completed",
    )
    parser.add_argument("--lowercase", action="store_true", help="lower-case all text")
    parser.add_argument(
        "--workers",
        type=int,
        default=usable_cores(),
        metavar="N",
        help="parallel processes; the files do not depend on it (default: all cores, %(default)s)",
    )
