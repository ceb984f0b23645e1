"""The evaluation of translations: a prepared test set, and beam search on it."""

from functools import cached_property
from pathlib import Path
from typing import Any

from fairseq import tasks, utils
from fairseq.data import LanguagePairDataset
from fairseq.tasks.translation import TranslationTask

from ...checkpoints import check_fits
from ...errors import UserError
from ...files import read_lines, sha256
from ..prepared import open_prepared
from .evaluator import Evaluator, Inference, OpenCheckpoint, Output
from .metrics import DEFAULT_METRICS, default_tokenizer
from .results import Result, SearchRecord, TestSet, TextRecord
from .search import (
    Search,
    generator_arguments,
    generator_config,
    task_arguments,
    translate,
)


class Translations(Evaluator):
    """A data directory of ``intra-distill prepare``, and a beam search."""

    TASK, DEFAULT_SUBSET, DONE = "translation", "test", "translated"
    PACKAGES = ("sacrebleu", "sentencepiece")

    def __init__(
        self, data: Path, search: Search, inference: Inference, tokenizer: str | None
    ) -> None:
        """
        Args:
            tokenizer: BLEU's, by default that of the target language
        Raises:
            UserError: the directory is not prepared
        """
        self.data, self.search, self.inference = data, search, inference
        self.prepared = open_prepared(data)
        self.text_format = self.prepared.text_format
        self.tokenizer = tokenizer or default_tokenizer(self.text_format.target_lang)
        self.default_metrics = DEFAULT_METRICS

    @cached_property
    def task(self) -> TranslationTask:
        """fairseq's task of the data, with its dictionaries."""
        arguments = task_arguments(self.data, self.text_format.langs)
        return tasks.setup_task(generator_config(arguments).task)

    def dataset(self, subset: str) -> LanguagePairDataset:
        """Load a subset, once."""
        if subset not in self.task.datasets:
            self.task.load_dataset(subset)
        return self.task.dataset(subset)

    def open_test_set(self, subset: str) -> tuple[TestSet, list[str]]:
        text_format = self.text_format
        suffix = text_format.reference("")
        subsets = sorted(path.name.removesuffix(suffix) for path in self.data.glob(f"*{suffix}"))
        if subset not in subsets:
            raise UserError(
                f"{self.data} has no subset {subset!r} to score, only {', '.join(subsets)}"
            )
        references_path = self.data / text_format.reference(subset)
        references = list(read_lines(references_path))
        if len(references) != len(self.dataset(subset)):
            raise UserError(
                f"{self.data}: {references_path.name} has {len(references)} lines for "
                f"{len(self.dataset(subset))} sentences: prepare the data again"
            )
        source = f"{text_format.binary(subset, text_format.source_lang)}.bin"
        test_set = TestSet(
            data=str(self.data),
            subset=subset,
            dataset="-".join(text_format.langs),
            sentences=len(references),
            input_sha256={source: sha256(self.data / source)},
            references=references_path.name,
            references_sha256=sha256(references_path),
            text=TextRecord(
                *text_format.langs, text_format.lowercase, self.prepared.sentencepiece_text
            ),
            classes=None,
        )
        return test_set, references

    def output_name(self, subset: str) -> str:
        return f"{subset}.hyp.{self.text_format.target_lang}"

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

    def run(self, checkpoint: OpenCheckpoint, subset: str) -> Output:
        search = self.search
        arguments = generator_arguments(
            search, self.inference, subset, self.data, checkpoint.path, self.text_format.langs
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
            generator_arguments=arguments,
        )
        return Output(translation.hypotheses, record)

    def has_made(self, result: Result) -> bool:
        names = ("beam", "lenpen", "max_len_a", "max_len_b")
        return result.search is not None and all(
            getattr(result.search, name) == getattr(self.search, name) for name in names
        )


def refuse_long_sentences(
    dataset: LanguagePairDataset, subset: str, max_positions: tuple[int, int], max_tokens: int
) -> None:
    """Refuse sentences that are longer than the model or a batch takes: fairseq would fail."""
    for side, sizes, limit in zip(
        ("source", "target"), (dataset.src_sizes, dataset.tgt_sizes), max_positions, strict=True
    ):
        longest = int(sizes.argmax())
        length = f"line {longest + 1} of {subset} has {sizes[longest]} {side} tokens"
        if sizes[longest] > limit:
            raise UserError(
                f"{length}, the model takes {limit}: shorten it and prepare again, or train with a "
                f"larger --max-{side}-positions"
            )
        if sizes[longest] > max_tokens:
            raise UserError(f"{length}, more than --max-tokens {max_tokens}: raise it")
