"""A data directory of one language pair or of several, as its ``prepare.json`` describes it.

Nothing here imports torch or fairseq, so that a command that does without them starts in a fraction
of a second.
"""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json
from .directory import MALFORMED, read_finished

REPORT = "prepare.json"
EVALUATED_SPLIT = re.compile(r"valid|test\d*")


@dataclass(frozen=True)
class TextFormat:
    """What becomes of text in a data directory before it is cut into pieces, and file names.

    Attributes:
        normalization: SentencePiece's rule.
        lowercase: whether all text is lower-cased.
    """

    source_lang: str
    target_lang: str
    normalization: str
    lowercase: bool

    @property
    def langs(self) -> tuple[str, str]:
        return self.source_lang, self.target_lang

    def in_case(self, line: str) -> str:
        return line.lower() if self.lowercase else line

    def reference(self, split: str) -> str:
        """The name of the references of a split, as plain text."""
        return f"{split}.ref.{self.target_lang}"

    def source(self, split: str) -> str:
        """The name of the source side of a split, as plain text."""
        return f"{split}.src.{self.source_lang}"

    def text(self, split: str) -> list[str]:
        """The names of both sides of a split, as plain text."""
        return [self.source(split), self.reference(split)]

    def binary(self, split: str, lang: str) -> str:
        """fairseq's name of the two files of a side of a split, without their extensions."""
        return f"{split}.{'-'.join(self.langs)}.{lang}"


@dataclass(frozen=True)
class DirectionFormat(TextFormat):
    """A direction of translation in a data directory of several language pairs.

    Attributes:
        pair: the direction after which the binaries of both directions are named
    """

    pair: str

    def subset(self, split: str) -> str:
        """The name of a split in this direction, as it is evaluated."""
        return "-".join((split, *self.langs))

    def reference(self, split: str) -> str:
        return super().reference(self.subset(split))

    def source(self, split: str) -> str:
        return super().source(self.subset(split))

    def binary(self, split: str, lang: str) -> str:
        return f"{split}.{self.pair}.{lang}"


@dataclass(frozen=True)
class PreparedData:
    """A finished data directory.

    Attributes:
        sentencepiece_text: the text that its pieces were learnt from: "train" or "all".
        inputs: the SHA-256 of the raw text that it was made from, by SPLIT.LANG.
    """

    path: Path
    text_format: TextFormat
    sentencepiece_text: str
    inputs: dict[str, str]


def open_prepared(path: Path) -> PreparedData:
    """Read what a data directory says of itself.

    Raises:
        UserError: ``intra-distill prepare`` has not made it, or has not finished it.
    """
    refuse_multilingual(path)
    read = partial(read_report, path)
    prepared = read_finished(path, REPORT, "intra-distill prepare", "prepare again", read)
    for lang in prepared.text_format.langs:
        if Path(lang).name != lang:  # it becomes part of file names
            raise UserError(f"{path / REPORT}: {lang!r} is no language")
        if not (path / f"dict.{lang}.txt").is_file():
            raise UserError(f"{path} has no dict.{lang}.txt: make it by intra-distill prepare")
    return prepared


@dataclass(frozen=True)
class MultilingualData:
    """A finished data directory of several language pairs.

    Attributes:
        formats: the directions that it is of, by the name of their test set, such as test-de-en
        splits: fairseq's name of the split of each subset that can be evaluated
        sentencepiece_text: as in :class:`PreparedData`
    """

    path: Path
    formats: dict[str, DirectionFormat]
    splits: dict[str, str]
    lowercase: bool
    sentencepiece_text: str

    @property
    def test_sets(self) -> tuple[str, ...]:
        """The first test set in each direction."""
        return tuple(subset for subset, split in self.splits.items() if split == "test")


def is_multilingual(path: Path) -> bool:
    """Whether ``intra-distill prepare-multilingual`` has made a data directory."""
    try:
        return "lang_pairs" in read_json(path / REPORT)["options"]
    except (OSError, *MALFORMED):
        return False


def refuse_multilingual(path: Path) -> None:
    """Raise UserError for a data directory of several language pairs."""
    if is_multilingual(path):
        raise UserError(
            f"{path} is of several language pairs, made by intra-distill prepare-multilingual: "
            "this command takes one pair, made by intra-distill prepare"
        )


def open_multilingual(path: Path) -> MultilingualData:
    """Read what a data directory of several language pairs says of itself.

    Raises:
        UserError: ``intra-distill prepare-multilingual`` has not made it, or has not finished it.
    """
    command = "intra-distill prepare-multilingual"
    return read_finished(path, REPORT, command, "prepare again", partial(read_pairs, path))


def read_pairs(path: Path, report: dict[str, Any]) -> MultilingualData:
    options = report["options"]
    rule = str(options["normalization"]), bool(options["lowercase"])
    splits = dict.fromkeys(name.partition(".")[0] for name in report["inputs"])
    stored, formats, subsets = {}, {}, {}
    for direction in options["lang_pairs"].split(","):
        source, target = re.fullmatch(r"(\w+)-(\w+)", direction).groups()
        pair = stored.setdefault(frozenset((source, target)), direction)
        text_format = DirectionFormat(source, target, *rule, pair)
        for split in filter(EVALUATED_SPLIT.fullmatch, splits):
            formats[text_format.subset(split)] = text_format
            subsets[text_format.subset(split)] = split
    return MultilingualData(
        path, formats, subsets, rule[1], sentencepiece_text=str(options["sentencepiece_text"])
    )


def read_report(path: Path, report: dict[str, Any]) -> PreparedData:
    return PreparedData(
        path=path,
        text_format=read_text_format(report["options"]),
        sentencepiece_text=report["options"]["sentencepiece_text"],
        inputs=read_inputs(report),
    )


def read_text_format(options: dict[str, Any]) -> TextFormat:
    names = ("source_lang", "target_lang", "normalization")
    return TextFormat(*(str(options[name]) for name in names), lowercase=bool(options["lowercase"]))


def read_inputs(report: dict[str, Any]) -> dict[str, str]:
    """The SHA-256 of the raw text that a report is of, by SPLIT.LANG."""
    return {name: entry["sha256"] for name, entry in report["inputs"].items()}
