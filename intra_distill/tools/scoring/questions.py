"""The evaluation of answers to questions, which are spans of a passage."""

from itertools import islice
from typing import Any

from fairseq.tasks import FairseqTask
from torch import Tensor

from ...errors import UserError
from ..labelled import questions
from ..questions import Question, read_questions
from .answers import best_answer
from .predictions import OfLanguages


class Questions(OfLanguages):
    """A data directory of questions, each with the windows of its passage."""

    TASK = "span_prediction"
    ITEM = "window"

    def inputs(self, subset: str) -> list[str]:
        return [*super().inputs(subset), questions(subset)]

    def questions(self, subset: str) -> list[Question]:
        """Read the questions of a subset; UserError if they are not as many as should be."""
        path = self.data / questions(subset)
        read = read_questions(path)
        if len(read) != self.labelled.splits[subset].sentences:
            raise UserError(
                f"{path} has {len(read)} questions, not "
                f"{self.labelled.splits[subset].sentences}: make the data again"
            )
        return read

    def number_of_items(self, subset: str) -> int:
        return sum(len(question.windows) for question in self.questions(subset))

    def keep(self, task: FairseqTask, sample: dict[str, Any], outputs: Tensor) -> list[Tensor]:
        """The start and the end logits of a window's symbols, (2, T), from (B, T, 2)."""
        return list(outputs.transpose(1, 2))

    def lines(self, kept: list[Tensor], subset: str) -> list[str]:
        windows = iter(kept)
        answers = []
        for question in self.questions(subset):
            starts, ends = zip(*islice(windows, len(question.windows)), strict=True)
            answers.append(best_answer(question, starts, ends))
        return answers
