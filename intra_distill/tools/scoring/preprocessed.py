"""The evaluation of translations on data that fairseq-preprocess made.

Such a directory has binaries and dictionaries alone, so the user says the rest.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from sacremoses import MosesDetokenizer

from ...errors import UserError
from ..languages import base_language
from ..prepared import REPORT
from .evaluator import Inference
from .search import Search
from .translations import PlainText, Translations

POST_PROCESS = ("none", "sentencepiece", "subword_nmt", "wordpiece")  # of fairseq's, by its names


@dataclass(frozen=True)
class GivenText:
    """What the user says of data of fairseq-preprocess.

    Attributes:
        references: the target side of the subset as text, detokenised.
        sources: its source side as text.
        post_process: how the pieces of a hypothesis become words, as fairseq's --post-process.
        detokenize: whether the words are Moses' tokens, which become text.
        lowercase: whether the text is lower-cased.
    """

    source_lang: str
    target_lang: str
    references: Path
    post_process: str
    sources: Path | None = None
    detokenize: bool = False
    lowercase: bool = False

    @classmethod
    def of(cls, args: argparse.Namespace) -> "GivenText | None":
        """Take the options that :func:`add_given_text_arguments` declares; None without any.

        Raises:
            UserError: some are given, and one that is needed is not
        """
        values = {name: getattr(args, name) for name in OPTIONS.values()}
        if not any(values.values()):
            return None
        for option in ("--source-lang", "--target-lang", "--references", "--post-process"):
            if not values[OPTIONS[option]]:
                raise UserError(f"{option} is missing, which data of fairseq-preprocess needs")
        return cls(**values)

    def check(self) -> None:
        """Raise UserError for a file that is not there."""
        for option, path in (("--references", self.references), ("--sources", self.sources)):
            if path and not path.is_file():
                raise UserError(f"{option} {path}: there is no such file")


OPTIONS = {
    f"--{name.replace('_', '-')}": name for name in GivenText.__dataclass_fields__
}  # with the names of their values


def add_given_text_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of :class:`GivenText`."""
    group = parser.add_argument_group(
        "data of fairseq-preprocess",
        "which has no record of all this; intra-distill prepare keeps one",
    )
    group.add_argument("--source-lang", metavar="LANG", help="source language, such as de")
    group.add_argument("--target-lang", metavar="LANG", help="target language")
    group.add_argument(
        "--references", type=Path, metavar="FILE", help="references of the subset, detokenised"
    )
    group.add_argument(
        "--sources",
        type=Path,
        metavar="FILE",
        help="its source as text, for metrics of other programs",
    )
    group.add_argument(
        "--post-process", choices=POST_PROCESS, help="how the pieces of a translation become words"
    )
    group.add_argument(
        "--detokenize",
        action="store_true",
        help="the words are Moses' tokens: make text of them by sacremoses",
    )
    group.add_argument(
        "--lowercase", action="store_true", help="the text is lower-cased: scores ignore the case"
    )


class PreprocessedTranslations(Translations):
    """A data directory of fairseq-preprocess, with one subset that the user has described."""

    REMEDY = "give the text of the same sentences"
    sentencepiece_text = None

    def __init__(
        self,
        data: Path,
        search: Search,
        inference: Inference,
        tokenizer: str | None,
        given: GivenText,
    ) -> None:
        """
        Raises:
            UserError: ``intra-distill prepare`` made the directory, or a file is missing
        """
        super().__init__(data, search, inference, tokenizer)
        given.check()
        if (data / REPORT).exists():
            raise UserError(
                f"{data} was made by intra-distill prepare, which knows its text: leave out "
                f"{', '.join(OPTIONS)}"
            )
        for lang in (given.source_lang, given.target_lang):
            if not (data / f"dict.{lang}.txt").is_file():
                raise UserError(f"{data} has no dict.{lang}.txt: make it by fairseq-preprocess")
        self.given = given
        self.post_process, self.lowercase = given.post_process, given.lowercase
        if given.detokenize:
            self.detokenizer = f"sacremoses:{metadata.version('sacremoses')}"

    def langs(self, subset: str) -> tuple[str, str]:
        return self.given.source_lang, self.given.target_lang

    def plain_text(self, subset: str) -> PlainText:
        self.source_binary(subset)
        return PlainText(self.given.sources, self.given.references)

    def source_binary(self, subset: str) -> str:
        source, target = self.langs(subset)
        pairs = (f"{source}-{target}", f"{target}-{source}")  # fairseq reads either
        names = [f"{subset}.{pair}.{source}.bin" for pair in pairs]
        for name in names:
            if (self.data / name).is_file():
                return name
        raise UserError(f"{self.data} has no {names[0]}, the source of the subset {subset!r}")

    def as_text(self, hypothesis: str) -> str:
        return self._detokenize(hypothesis.split()) if self.given.detokenize else hypothesis

    @cached_property
    def _detokenize(self) -> Callable[[list[str]], str]:
        return MosesDetokenizer(base_language(self.given.target_lang)).detokenize
