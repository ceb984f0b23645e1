"""The evaluation of answers to questions, which are spans of a passage."""

from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from fairseq.tasks import FairseqTask
from torch import Tensor

from ...errors import UserError
from ..labelled import LabelledData, questions
from ..questions import Question, read_questions
from .answers import best_answer
from .evaluator import Inference, OpenCheckpoint
from .prediction_tasks import lengths
from .predictions import OfLanguages


class Questions(OfLanguages):
    """A data directory of questions, each with the windows of its passage."""

    TASK = "span_prediction"
    ITEM = "window"

    def __init__(self, labelled: LabelledData, inference: Inference) -> None:
        super().__init__(labelled, inference)
        self.questions = cache(self._read_questions)

    def inputs(self, subset: str) -> list[str]:
        return [*super().inputs(subset), questions(subset)]

    def _read_questions(self, subset: str) -> list[Question]:
        """Read the questions of a subset; UserError if they are not as many as should be."""
        path = self.data / questions(subset)
        read = list(read_questions(path))
        if len(read) != self.labelled.splits[subset].sentences:
            raise UserError(
                f"{path} has {len(read)} questions, not "
                f"{self.labelled.splits[subset].sentences}: make the data again"
            )
        return read

    def number_of_items(self, subset: str) -> int:
        return sum(len(question.windows) for question in self.questions(subset))

    def refuse_misfit(self, checkpoint: OpenCheckpoint, subset: str) -> None:
        super().refuse_misfit(checkpoint, subset)
        windows = [window for question in self.questions(subset) for window in question.windows]
        ends = np.array([window.offset + window.length for window in windows])
        sizes = lengths(self.dataset(checkpoint.task, subset))
        for number in np.flatnonzero(ends >= sizes)[:1]:  # </s> is behind the window
            raise UserError(
                f"{self.data}: {questions(subset)} says that window {number + 1} has "
                f"{ends[number] + 1} symbols, it has {sizes[number]}: make the data again"
            )

    def keep(self, task: FairseqTask, sample: dict[str, Any], outputs: Tensor) -> list[np.ndarray]:
        """The start and the end logits of a window's symbols, (2, T), from (B, T, 2)."""
        return list(outputs.transpose(1, 2).numpy())

    def lines(self, kept: list[np.ndarray], subset: str) -> list[str]:
        windows = iter(kept)
        answers = []
        for question in self.questions(subset):
            starts, ends = zip(*islice(windows, len(question.windows)), strict=True)
            answers.append(best_answer(question, starts, ends))
        return answers
