"""The evaluation of translations: test sets of parallel text, and beam search on them."""

import os
from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from fairseq import tasks, utils
from fairseq.data import LanguagePairDataset
from fairseq.tasks.translation import TranslationTask

from ...checkpoints import check_fits
from ...errors import UserError
from ...files import read_lines, sha256
from ..directory import WORK
from ..prepared import REPORT, open_prepared
from .evaluator import Evaluator, Inference, OpenCheckpoint, OpenModel, Output
from .metrics import DEFAULT_METRICS, default_tokenizer
from .results import Result, SearchRecord, TestSet, TextRecord
from .search import (
    Search,
    generator_arguments,
    generator_config,
    task_arguments,
    translate,
)


class PlainText(NamedTuple):
    """The files of a test set's two sides as text, a sentence a line."""

    source: Path | None  # None if there is none
    references: Path


class Translations(Evaluator):
    """A data directory of parallel text, and a beam search.

    A subclass is a kind of directory: it says which subsets there are, and of which languages.

    Attributes:
        lowercase: whether all text is lower-cased
        sentencepiece_text: the text that ``prepare`` learnt pieces from: "train" or "all"; None
            for data of another program
        post_process: how pieces become words, as fairseq's --post-process
        detokenizer: what makes text of words, with its version; None if they are text
    """

    TASK, DEFAULT_SUBSET, DONE = "translation", "test", "translated"
    PACKAGES = ("sacrebleu", "sentencepiece")
    REMEDY: ClassVar[str] = "prepare the data again"  # where text and binaries differ

    lowercase: bool
    sentencepiece_text: str | None
    post_process: str = "sentencepiece"
    detokenizer: str | None = None

    def __init__(
        self, data: Path, search: Search, inference: Inference, tokenizer: str | None
    ) -> None:
        """
        Args:
            tokenizer: BLEU's; None for that of the target language
        """
        self.data, self.search, self.inference = data, search, inference
        self.tokenizer = tokenizer
        self.default_metrics = DEFAULT_METRICS

    @abstractmethod
    def langs(self, subset: str) -> tuple[str, str]:
        """The source and the target language of a subset."""

    @abstractmethod
    def plain_text(self, subset: str) -> PlainText:
        """Find the text of a subset; UserError if there is no such subset, or no text of it."""

    @abstractmethod
    def source_binary(self, subset: str) -> str:
        """The name of the binary with a subset's source side."""

    def task_arguments(self, subset: str) -> list[str]:
        """The part of a command line that sets up fairseq's task for a subset, and names it."""
        return [*task_arguments(self.data, self.langs(subset)), "--gen-subset", subset]

    @cached_property
    def task(self) -> TranslationTask:
        """fairseq's task of the data, with its dictionaries."""
        return tasks.setup_task(generator_config(self.task_arguments(self.DEFAULT_SUBSET)).task)

    def dataset(self, subset: str) -> LanguagePairDataset:
        """Load a subset, once."""
        if subset not in self.task.datasets:
            self.task.load_dataset(subset)
        return self.task.dataset(subset)

    def open_test_set(self, subset: str) -> tuple[TestSet, list[str]]:
        files, langs = self.plain_text(subset), self.langs(subset)
        text = {path: list(read_lines(path)) for path in files if path}
        sentences = len(self.dataset(subset))
        if not sentences:
            raise UserError(f"{self.data}: {subset} has no sentences")
        for path, lines in text.items():
            if len(lines) != sentences:
                raise UserError(
                    f"{path} has {len(lines)} lines for {sentences} sentences: {self.REMEDY}"
                )
        binary = self.source_binary(subset)
        test_set = TestSet(
            data=str(self.data),
            subset=subset,
            dataset="-".join(langs),
            sentences=sentences,
            input_sha256={binary: sha256(self.data / binary)},
            references=f"{subset}.ref.{langs[1]}",
            references_sha256=sha256(files.references),
            text=TextRecord(
                *langs,
                lowercase=self.lowercase,
                sentencepiece_text=self.sentencepiece_text,
                post_process=self.post_process,
                detokenizer=self.detokenizer,
                source=files.source and f"{subset}.src.{langs[0]}",
                source_sha256=files.source and sha256(files.source),
            ),
            classes=None,
        )
        return test_set, text[files.references]

    def text_files(self, test_set: TestSet) -> dict[str, Path]:
        files = self.plain_text(test_set.subset)
        names = (test_set.text.source, test_set.references)
        return {name: path for name, path in zip(names, files, strict=True) if path}

    def tokenizer_of(self, test_set: TestSet) -> str:
        return self.tokenizer or default_tokenizer(test_set.text.target_lang)

    def output_name(self, subset: str) -> str:
        return f"{subset}.hyp.{self.langs(subset)[1]}"

    def nbest_name(self, subset: str) -> str:
        return f"{subset}.nbest.{self.langs(subset)[1]}"

    def open(self, *checkpoints: Path) -> OpenModel:
        for path in checkpoints:
            if os.pathsep in str(path):
                raise UserError(
                    f"--path {path} has a {os.pathsep!r}, where fairseq would split it: rename it"
                )
        return super().open(*checkpoints)

    def task_of(self, checkpoint: Path, state: dict[str, Any]) -> TranslationTask:
        check_fits(self.task, checkpoint, state)
        return self.task

    def refuse_misfit(self, checkpoint: OpenCheckpoint, subset: str) -> None:
        max_positions = utils.resolve_max_positions(
            checkpoint.task.max_positions(), checkpoint.model.max_positions()
        )
        refuse_long_sentences(
            self.dataset(subset), subset, max_positions, self.inference.max_tokens
        )

    def as_text(self, hypothesis: str) -> str:
        """Make text of a hypothesis in words."""
        return hypothesis

    def run(self, checkpoint: OpenModel, subset: str) -> Output:
        search = self.search
        arguments = generator_arguments(
            search,
            self.inference,
            self.task_arguments(subset),
            [member.path for member in checkpoint.members],
            self.post_process,
        )
        cfg, sentences = generator_config(arguments), len(self.dataset(subset))
        translation = translate(cfg, sentences, search.has_default_limit)
        record = SearchRecord(
            beam=search.beam,
            lenpen=search.lenpen,
            max_len_a=search.max_len_a,
            max_len_b=search.max_len_b,
            cut_hypotheses=translation.cut,
            unknown_hypotheses=translation.unknown,
            nbest=search.nbest,
            generator_arguments=arguments,
        )
        nbest = [
            f"{number}\t{hypothesis.score}\t{self.as_text(hypothesis.text)}"
            for number, hypotheses in enumerate(translation.nbest)
            for hypothesis in hypotheses
        ]
        lines = list(map(self.as_text, translation.hypotheses))
        return Output(lines, record, nbest if search.nbest > 1 else [])

    def has_made(self, result: Result, directory: Path) -> bool:
        names = ["beam", "lenpen", "max_len_a", "max_len_b"]
        if self.search.nbest > 1:
            names.append("nbest")
            if not (directory / self.nbest_name(result.test_set.subset)).is_file():
                return False
        return result.search is not None and all(
            getattr(result.search, name) == getattr(self.search, name) for name in names
        )


class PreparedTranslations(Translations):
    """A data directory of ``intra-distill prepare``."""

    def __init__(
        self, data: Path, search: Search, inference: Inference, tokenizer: str | None
    ) -> None:
        """
        Raises:
            UserError: the directory is not prepared
        """
        super().__init__(data, search, inference, tokenizer)
        begun = (data / REPORT).exists() or (data / WORK).exists()
        if not begun and any(data.glob("dict.*.txt")):
            raise UserError(
                f"{data} has no {REPORT}: make it by intra-distill prepare or, if it was made by "
                "fairseq-preprocess, tell evaluate of its text: see --references"
            )
        self.prepared = open_prepared(data)
        self.text_format = self.prepared.text_format
        self.lowercase = self.text_format.lowercase
        self.sentencepiece_text = self.prepared.sentencepiece_text

    def langs(self, subset: str) -> tuple[str, str]:
        return self.text_format.langs

    def plain_text(self, subset: str) -> PlainText:
        suffix = self.text_format.reference("")
        subsets = sorted(path.name.removesuffix(suffix) for path in self.data.glob(f"*{suffix}"))
        if subset not in subsets:
            raise UserError(
                f"{self.data} has no subset {subset!r} to score, only {', '.join(subsets)}"
            )
        source, references = (self.data / name for name in self.text_format.text(subset))
        if not source.is_file():
            raise UserError(
                f"{self.data} has no {source.name}, the source of {subset} as text: delete the "
                "directory and prepare it again"
            )
        return PlainText(source, references)

    def source_binary(self, subset: str) -> str:
        return f"{self.text_format.binary(subset, self.text_format.source_lang)}.bin"


def refuse_long_sentences(
    dataset: LanguagePairDataset, subset: str, max_positions: tuple[int, int], max_tokens: int
) -> None:
    """Refuse sentences that are longer than the model or a batch takes: fairseq would fail."""
    sides = np.atleast_2d(dataset.sizes.T)  # one of fairseq-preprocess --only-source
    for side, sizes, limit in zip(("source", "target"), sides, max_positions, strict=False):
        longest = int(sizes.argmax())
        length = f"line {longest + 1} of {subset} has {sizes[longest]} {side} tokens"
        if sizes[longest] > limit:
            raise UserError(
                f"{length}, the model takes {limit}: shorten it and prepare again, or train with a "
                f"larger --max-{side}-positions"
            )
        if sizes[longest] > max_tokens:
            raise UserError(f"{length}, more than --max-tokens {max_tokens}: raise it")
