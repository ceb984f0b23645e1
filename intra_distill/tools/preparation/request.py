"""What a data directory is asked for: the options and the text, checked before the work begins."""

import os
import re
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...files import plain, read_lines, sha256
from ..options import check_number
from .subwords import SPECIAL_PIECES

MAX_PIECES = 10**6  # SentencePiece would fill the memory before it finds its text too short
MAX_WORKERS = 1024
VALIDATION_OPTIONS = ("valid", "hold_out_every", "hold_out")


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Preparation:
    """What to prepare and how: the options of the command.

    ``train``, ``valid`` and each of ``test`` is a PREFIX of the files PREFIX.SOURCE_LANG and
    PREFIX.TARGET_LANG. Instead of ``valid``, every ``hold_out_every``-th training pair, or
    ``hold_out`` of them drawn at random, are the validation set. ``max_length`` counts Moses
    tokens, ``sentencepiece_sample`` lines, ``workers`` processes, and ``train_pairs`` the training
    pairs that are read, from the first one on.
    """

    source_lang: str
    target_lang: str
    train: str
    test: tuple[str, ...]
    destdir: Path
    valid: str | None = None
    hold_out_every: int | None = None
    hold_out: int | None = None
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
    def langs(self) -> tuple[str, str]:
        return self.source_lang, self.target_lang

    @property
    def prefixes(self) -> dict[str, str]:
        """The prefix of each split that is given, by the name fairseq gives the split."""
        valid = {} if self.valid is None else {"valid": self.valid}
        tests = {f"test{k or ''}": prefix for k, prefix in enumerate(self.test)}
        return {"train": self.train, **valid, **tests}

    @property
    def splits(self) -> list[str]:
        """The names of all splits, training first."""
        return list(dict.fromkeys(["train", "valid", *self.prefixes]))

    @property
    def work(self) -> Path:
        """Where the files are made, and where those stay that only later steps need."""
        return self.destdir / ".partial"


def check_options(preparation: Preparation) -> None:
    """Raise UserError for an option that can never work."""
    least_pieces = len(SPECIAL_PIECES) + 1
    for name in ("source_lang", "target_lang"):
        lang = getattr(preparation, name)
        if not re.fullmatch(r"\w+", lang):
            better = re.sub(r"\W+", "_", lang) or "de"
            raise UserError(
                f"{option(name)} {lang!r}: fairseq finds a language in the names of files by "
                f"letters, digits and _ alone: rename it, such as {better}"
            )
    if preparation.source_lang == preparation.target_lang:
        raise UserError(f"--source-lang and --target-lang are both {preparation.source_lang}")
    if preparation.vocab_size < least_pieces:
        raise UserError(
            f"--vocab-size must be at least {least_pieces} ({', '.join(SPECIAL_PIECES)} and a "
            f"piece of text), not {preparation.vocab_size}"
        )
    given = [option(name) for name in VALIDATION_OPTIONS if getattr(preparation, name) is not None]
    if len(given) != 1:
        raise UserError(
            f"give one of {', '.join(map(option, VALIDATION_OPTIONS))} for the validation set, "
            f"not {' and '.join(given) or 'none'}"
        )
    limits = {"vocab_size": (least_pieces, MAX_PIECES), "workers": (1, MAX_WORKERS)}
    limits |= {"max_ratio": (1,), "max_length": (1,), "train_pairs": (1,)}
    limits |= {"hold_out_every": (2,), "hold_out": (1,), "sentencepiece_sample": (1,)}
    for name, least_and_most in limits.items():
        value = getattr(preparation, name)
        if value is not None:
            check_number(option(name), value, *least_and_most)
    for prefix, times in Counter(preparation.test).items():
        if times > 1:
            raise UserError(f"--test names {prefix} {times} times: name each test set once")
    if {",", ":"} & set(str(preparation.destdir)):
        raise UserError(
            f"--destdir {preparation.destdir} has a ',' or ':', at which hydra or fairseq would "
            "split it: choose another name"
        )


def check_inputs(preparation: Preparation) -> dict[str, dict[str, Any]]:
    """Return the file, SHA-256 and number of lines of each input, by SPLIT.LANG.

    Raises:
        UserError: a file cannot be read, is not UTF-8 or has no lines, or the two sides of a
            split differ in their numbers of lines.
    """
    inputs = {}
    for split, prefix in preparation.prefixes.items():
        files = [f"{prefix}.{lang}" for lang in preparation.langs]
        lines = [count_lines(file) for file in files]
        if lines[0] != lines[1]:
            raise UserError(
                f"{files[0]} has {lines[0]} lines but {files[1]} has {lines[1]}: "
                "line N of one must translate line N of the other"
            )
        if lines[0] == 0:
            raise UserError(f"{files[0]} and {files[1]} are empty")
        for lang, file in zip(preparation.langs, files):
            inputs[f"{split}.{lang}"] = {
                "file": file,
                "sha256": sha256(file),
                "lines": lines[0],
            }
    return inputs


def count_lines(file: str) -> int:
    """The lines of an input file, all of which are read to see that they can be."""
    if os.path.exists(file) and not os.path.isfile(file):
        raise UserError(f"{file} is no file: it must be one, which can be read again and again")
    number = 0
    for number, line in enumerate(read_lines(file), start=1):
        # by itself a mark makes an empty line, which the filters drop
        if plain(line) != line and not (number > 1 and line.strip() == "\ufeff"):
            raise UserError(
                f"{file}, line {number}: there is a byte order mark or NUL, which are no text: "
                "convert the file to plain UTF-8"
            )
    return number


def find_difference(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """Name the first thing in which two requests would give other files, or None.

    Where a text lies does not matter, only what it says.
    """
    for name, value in new["options"].items():
        if old["options"].get(name) != value:
            return f"{option(name)} {old['options'].get(name)}, not {value}"
    if old["inputs"].keys() != new["inputs"].keys():
        return "another number of --test sets"
    for name, now in new["inputs"].items():
        then = old["inputs"][name]
        if then["sha256"] != now["sha256"]:
            return f"another {name} text ({then['file']} as it was then, not {now['file']} of now)"
    return None


def recorded_options(preparation: Preparation) -> dict[str, Any]:
    """The options that the files depend on, apart from the text."""
    no_matter = {"train", "valid", "test", "destdir", "workers"}
    return {
        field.name: getattr(preparation, field.name)
        for field in fields(preparation)
        if field.name not in no_matter
    }


def option(name: str) -> str:
    """The command-line option of a field of Preparation."""
    return f"--{name.replace('_', '-')}"
