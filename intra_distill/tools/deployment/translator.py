"""Raw text → its translation, as ``intra-distill evaluate`` translates a test set."""

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path

import torch
from fairseq import utils
from fairseq.data import LanguagePairDataset
from fairseq_cli.generate import get_symbols_to_strip_from_output

from ...errors import UserError
from ..preparation.pieces import PieceEncoder, read_standard_input
from ..scoring.evaluator import Inference
from ..scoring.search import (
    Hypothesis,
    Search,
    generator_arguments,
    generator_config,
    watch_search,
)
from ..scoring.translations import PreparedTranslations


class Translator:
    """One model, or an ensemble of several, with the pieces and the case of their data."""

    def __init__(
        self, data: Path, checkpoints: Sequence[Path], search: Search, inference: Inference
    ) -> None:
        """
        Raises:
            UserError: an option is out of range or leaves no room for a piece, ``intra-distill
                prepare`` has not made the data, or a checkpoint is of other data
        """
        search.check()
        inference.check()
        self._search, self._max_tokens = search, inference.max_tokens
        translations = PreparedTranslations(data, search, inference, tokenizer=None)
        self._encoder, self._task = PieceEncoder(data), translations.task
        task = translations.task_arguments(translations.DEFAULT_SUBSET)
        cfg = generator_config(
            generator_arguments(search, inference, task, checkpoints, translations.post_process)
        )
        self._post_process = cfg.common_eval.post_process
        self._on_gpu = torch.cuda.is_available() and not inference.cpu
        self._models = [member.model for member in translations.open(*checkpoints).members]
        for model in self._models:
            model.prepare_for_inference_(cfg)
            if self._on_gpu:
                model.cuda()
        if self.most_pieces < 1:
            raise UserError(
                f"--max-tokens {self._max_tokens} has no room for a piece and the </s> after it: "
                "raise it"
            )
        self._generator = self._task.build_generator(self._models, cfg.generation)
        self._ignored = get_symbols_to_strip_from_output(self._generator)

    @property
    def most_pieces(self) -> int:
        """The most pieces of a line that a model and a batch take, besides </s>."""
        positions = [model.max_positions() for model in self._models]
        source, _ = utils.resolve_max_positions(self._task.max_positions(), *positions)
        return min(source, self._max_tokens) - 1

    def stream(self, text: Iterable[bytes], buffer_size: int) -> Iterator[list[Hypothesis]]:
        """Yield the N best hypotheses of each line, the best first, in the order of the lines.

        A line with nothing to translate has none. Of a line that is too long the beginning is
        translated, and standard error names the line.

        Args:
            text: lines of raw text; the next are read when those before them are translated
            buffer_size: how many lines are read at a time, and sorted into batches by length
        Raises:
            UserError: a line, which is named, is not plain UTF-8. All lines before it are
                translated first.
        """
        numbers = count(1)
        for lines in buffers(read_standard_input(text), buffer_size):
            yield from self._translate(
                [self._shortened(self._encoder(line), next(numbers)) for line in lines]
            )

    def _shortened(self, pieces: list[str], number: int) -> list[str]:
        if len(pieces) > self.most_pieces:
            print(
                f"line {number} has {len(pieces)} pieces, the model and --max-tokens take "
                f"{self.most_pieces}: only these are translated, split the line",
                file=sys.stderr,
            )
        return pieces[: self.most_pieces]

    def _translate(self, lines: Sequence[list[str]]) -> list[list[Hypothesis]]:
        """Translate a buffer of lines, which are cut into pieces."""
        hypotheses: list[list[Hypothesis]] = [[] for _ in lines]
        numbers = [number for number, pieces in enumerate(lines) if pieces]
        dataset = self._dataset([lines[number] for number in numbers])
        batches = dataset.batch_by_size(dataset.ordered_indices(), max_tokens=self._max_tokens)
        with watch_search(self._search.has_default_limit):
            for batch in batches:
                sample = dataset.collater([dataset[index] for index in batch])
                sample = utils.move_to_cuda(sample) if self._on_gpu else sample
                found = self._task.inference_step(self._generator, self._models, sample)
                for index, best in zip(sample["id"].tolist(), found, strict=True):
                    hypotheses[numbers[index]] = [
                        self._hypothesis(each) for each in best[: self._search.nbest]
                    ]
        return hypotheses

    def _dataset(self, lines: Sequence[list[str]]) -> LanguagePairDataset:
        dictionary = self._task.source_dictionary
        tokens = [
            torch.tensor([*map(dictionary.index, pieces), dictionary.eos()]) for pieces in lines
        ]
        return self._task.build_dataset_for_inference(tokens, [len(line) for line in tokens])

    def _hypothesis(self, found: dict[str, torch.Tensor]) -> Hypothesis:
        """What fairseq's generator found, as ``fairseq-generate`` prints it."""
        text = self._task.target_dictionary.string(
            found["tokens"].int().cpu(), self._post_process, extra_symbols_to_ignore=self._ignored
        )
        return Hypothesis(f"{float(found['score']) / math.log(2)}", text)


def buffers(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield lines so many at a time; before a UserError those that came before it."""
    buffer: list[str] = []
    try:
        for line in lines:
            buffer.append(line)
            if len(buffer) == size:
                yield buffer
                buffer = []
    except UserError:
        yield buffer
        raise
    yield buffer
