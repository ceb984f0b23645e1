"""The evaluation of multilingual translations: of each direction a test set of its own."""

from pathlib import Path
from typing import Any

from fairseq import tasks
from fairseq.data import FairseqDataset
from fairseq.tasks.translation_multi_simple_epoch import TranslationMultiSimpleEpochTask

from ...checkpoints import check_fits
from ...errors import UserError
from ...tasks.fitness import LanguageOptions, language_options
from ..options import as_argument, user_dir
from ..prepared import open_multilingual
from .evaluator import Inference, OpenCheckpoint
from .search import NO_LIMIT, Search, generator_config
from .translations import PlainText, Translations, refuse_long_sentences


class MultilingualTranslations(Translations):
    """A data directory of ``intra-distill prepare-multilingual``.

    Languages and their tokens are those that the checkpoint was trained with. They are known once
    :meth:`task_of` has read it, which is before the model is run.
    """

    _languages: LanguageOptions | None = None

    def __init__(
        self, data: Path, search: Search, inference: Inference, tokenizer: str | None
    ) -> None:
        """
        Raises:
            UserError: the directory is not prepared
        """
        super().__init__(data, search, inference, tokenizer)
        self.multilingual = open_multilingual(data)
        self.lowercase = self.multilingual.lowercase
        self.sentencepiece_text = self.multilingual.sentencepiece_text
        self._datasets: dict[tuple[str, LanguageOptions | None], FairseqDataset] = {}

    @property
    def default_subsets(self) -> tuple[str, ...]:
        return self.multilingual.test_sets

    def langs(self, subset: str) -> tuple[str, str]:
        self._check_subset(subset)
        return self.multilingual.formats[subset].langs

    def _check_subset(self, subset: str) -> None:
        if subset not in self.multilingual.splits:
            raise UserError(
                f"{self.data} has no subset {subset!r} to score, only "
                f"{', '.join(self.multilingual.splits)}"
            )

    def plain_text(self, subset: str) -> PlainText:
        self._check_subset(subset)
        text_format, split = self.multilingual.formats[subset], self.multilingual.splits[subset]
        source, references = (self.data / name for name in text_format.text(split))
        for path in (source, references):
            if not path.is_file():
                raise UserError(f"{self.data} has no {path.name}: prepare it again")
        return PlainText(source, references)

    def source_binary(self, subset: str) -> str:
        text_format, split = self.multilingual.formats[subset], self.multilingual.splits[subset]
        return f"{text_format.binary(split, text_format.source_lang)}.bin"

    def task_arguments(self, subset: str) -> list[str]:
        source, target = self.langs(subset)
        languages = self._languages or LanguageOptions(self.all_langs, (f"{source}-{target}",))
        return [
            as_argument(self.data),
            *("--user-dir", str(user_dir())),
            *("--task", "translation_multi_simple_epoch"),
            *("--source-lang", source),
            *("--target-lang", target),
            *languages.arguments,
            *("--max-source-positions", NO_LIMIT),
            *("--max-target-positions", NO_LIMIT),
            *("--gen-subset", self.multilingual.splits[subset]),
        ]

    @property
    def all_langs(self) -> tuple[str, ...]:
        formats = self.multilingual.formats.values()
        return tuple(dict.fromkeys(lang for each in formats for lang in each.langs))

    def task_for(self, subset: str) -> TranslationMultiSimpleEpochTask:
        """Set up fairseq's task of one direction."""
        return tasks.setup_task(generator_config(self.task_arguments(subset)).task)

    def dataset(self, subset: str) -> FairseqDataset:
        """Load a subset, once: with the tokens of languages if the checkpoint is known."""
        key = subset, self._languages
        if key not in self._datasets:
            task, split = self.task_for(subset), self.multilingual.splits[subset]
            task.load_dataset(split)
            self._datasets[key] = task.dataset(split)
        return self._datasets[key]

    def task_of(self, checkpoint: Path, state: dict[str, Any]) -> TranslationMultiSimpleEpochTask:
        languages = language_options(checkpoint, state)
        if self._languages not in (None, languages):
            raise UserError(f"{checkpoint} has other languages, or other tokens of them")
        self._languages = languages
        task = self.task_for(self.default_subsets[0])
        check_fits(task, checkpoint, state)
        return task

    def refuse_misfit(self, checkpoint: OpenCheckpoint, subset: str) -> None:
        max_positions = checkpoint.model.max_positions()  # the task itself has no limit
        for lang in self.langs(subset):
            if lang not in self._languages.langs:
                raise UserError(
                    f"{checkpoint.path} does not know {lang}, only "
                    f"{', '.join(self._languages.langs)}"
                )
        refuse_long_sentences(
            self.dataset(subset), subset, max_positions, self.inference.max_tokens
        )
