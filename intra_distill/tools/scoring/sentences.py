"""The evaluation of predicted labels of sentences: classes, or numbers."""

from typing import Any

import torch
from fairseq.tasks import FairseqTask
from torch import Tensor

from .predictions import Predictions


class Sentences(Predictions):
    """A data directory of labelled sentences."""

    TASK = "sentence_prediction"

    def number_of_items(self, subset: str) -> int:
        return self.labelled.splits[subset].sentences

    def keep(self, task: FairseqTask, sample: dict[str, Any], outputs: Tensor) -> list[Tensor]:
        """Logits, (C,), or a number, (), of each sentence."""
        return list(outputs)

    def lines(self, kept: list[Tensor], subset: str) -> list[str]:
        outputs, classes = torch.stack(kept), self.labelled.classes
        if classes is None:
            return [str(number) for number in outputs.numpy()]
        return [classes[i] for i in outputs.argmax(dim=1).tolist()]
