"""The evaluation of predicted tags of words."""

from typing import Any

from torch import Tensor

from ...errors import UserError
from ...files import read_lines
from ...tasks.tagging_intra_distillation import TaggingIntraDistillationTask
from ..labelled import LABEL, reference
from .evaluator import OpenCheckpoint
from .predictions import OfLanguages


class Words(OfLanguages):
    """A data directory of tagged words. A word is tagged at its first piece."""

    TASK = "tagging"

    def inputs(self, subset: str) -> list[str]:
        return [*super().inputs(subset), f"{LABEL}/{subset}.bin"]  # which pieces begin a word

    def number_of_items(self, subset: str) -> int:
        return self.labelled.splits[subset].sentences

    def refuse_misfit(self, checkpoint: OpenCheckpoint, subset: str) -> None:
        super().refuse_misfit(checkpoint, subset)
        if tuple(checkpoint.task.tags) != self.labelled.classes:
            raise UserError(
                f"{self.data}: its labels.json has other tags than {LABEL}/dict.txt: make the data "
                "again"
            )
        dataset = self.dataset(checkpoint.task, subset)
        pad = checkpoint.task.label_dictionary.pad()  # the label of what begins no word
        for i, line in enumerate(read_lines(self.data / reference(subset))):
            tags, words = len(line.split()), int(dataset[i]["target"].ne(pad).sum())
            if tags != words:
                raise UserError(
                    f"{self.data}: line {i + 1} of {reference(subset)} has {tags} tags for {words} "
                    "words: make the data again"
                )

    def keep(
        self, task: TaggingIntraDistillationTask, sample: dict[str, Any], outputs: Tensor
    ) -> list[list[int]]:
        """The class of each word, from logits (B, T, C)."""
        best, is_word = outputs.argmax(dim=-1), task.scored(sample)  # (B, T) each
        return [tags[mask].tolist() for tags, mask in zip(best, is_word, strict=True)]

    def lines(self, kept: list[list[int]], subset: str) -> list[str]:
        classes = self.labelled.classes
        return [" ".join(classes[i] for i in tags) for tags in kept]
