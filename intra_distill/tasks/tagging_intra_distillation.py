"""A tag of each word, such as those of named entities, trained with K passes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from fairseq.data import FairseqDataset, RightPadDataset
from fairseq.tasks import register_task
from torch import Tensor, nn

from ..core.agreement import entity_counts
from ..errors import refuse
from .half_precision import HalfPrecisionConfig, HalfPrecisionTask
from .intra_distillation import IntraDistillationConfig, IntraDistillationTask
from .keep_pruned import KeepPrunedConfig, KeepPrunedTask
from .token_prediction import TokenPredictionConfig, TokenPredictionTask


@dataclass
class TaggingIntraDistillationConfig(
    IntraDistillationConfig, HalfPrecisionConfig, KeepPrunedConfig, TokenPredictionConfig
):
    pass


@register_task("tagging_intra_distillation", dataclass=TaggingIntraDistillationConfig)
class TaggingIntraDistillationTask(
    IntraDistillationTask, HalfPrecisionTask, KeepPrunedTask, TokenPredictionTask
):
    """Predicts the tag of a word at its first piece.

    The labels are as long as the inputs, and padding where nothing is scored: at all other pieces,
    ``<s>`` and ``</s>``. The tags are those of entities, O, B-TYPE and I-TYPE.

    Raises:
        SystemExit: with one line, for data or a model that does not fit
    """

    HEAD, MADE_BY = "tags", "intra-distill prepare-tags"

    def __init__(self, cfg: TaggingIntraDistillationConfig) -> None:
        super().__init__(cfg)
        path = self._file("label", "dict.txt")
        self.label_dictionary = self.load_dictionary(str(path))
        for tag in self.tags:
            if tag != "O" and (tag[:2] not in ("B-", "I-") or len(tag) == 2):
                refuse(f"{path} has the tag {tag!r}, which is not O, B-TYPE or I-TYPE")
        if not self.tags:
            refuse(f"{path} has no tags")

    @property
    def tags(self) -> list[str]:
        """The tags in the order of their classes."""
        return self.label_dictionary.symbols[self.label_dictionary.nspecial : -1]  # without <mask>

    @property
    def num_outputs(self) -> int:
        return len(self.tags)

    def load_targets(self, split: str, inputs: FairseqDataset) -> FairseqDataset:
        labels = self.load_indexed("label", split, self.label_dictionary)
        path = f"{self.cfg.data}/label/{split}"
        if len(labels) != len(inputs):
            refuse(f"{path} has labels of {len(labels)} inputs, there are {len(inputs)}")
        padding, first = self.label_dictionary.pad(), self.label_dictionary.nspecial
        for i, size in enumerate(inputs.sizes):
            label = labels[i]
            if len(label) != size:
                refuse(f"{path}: input {i + 1} has {len(label)} labels for {size} pieces")
            scored = label[label != padding]
            if not len(scored) or scored.min() < first or scored.max() >= first + self.num_outputs:
                refuse(f"{path}: input {i + 1} has no label, or one that is not in dict.txt")
        return RightPadDataset(labels, pad_idx=padding)

    def predict(self, model: nn.Module, sample: dict[str, Any]) -> Tensor:
        """The logits of the tags at all positions, (B, T, C)."""
        return model(**sample["net_input"], token_head_name=self.HEAD)[0]

    def scored(self, sample: dict[str, Any]) -> Tensor:
        """Where words begin, which alone is scored, (B, T)."""
        return sample["target"].ne(self.label_dictionary.pad())

    def rows(self, model: nn.Module, sample: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """What is scored: one row for each word of each pass.

        Returns:
            logits (K·N, C), and their targets, (K·N,)
        """
        scored = self.scored(sample)
        target = sample["target"][scored] - self.label_dictionary.nspecial
        return self.predict(model, sample)[scored], target

    def own_counts(
        self, prediction: Tensor, target: Tensor, sample: dict[str, Any]
    ) -> dict[str, Tensor]:
        """The counts of entities, as :func:`~intra_distill.core.agreement.entity_counts` has them.

        Args:
            prediction: predicted classes of the rows, (K·N,)
            target: gold classes, (K·N,)
            sample: their batch
        """
        sentence, _ = self.scored(sample).nonzero(as_tuple=True)
        first = sentence.diff(prepend=sentence.new_tensor([-1])) != 0
        begins, types = (each.to(target.device) for each in self._tag_parts)
        return entity_counts(prediction, target, first, begins, types)

    @cached_property
    def _tag_parts(self) -> tuple[Tensor, Tensor]:
        """Whether each tag is a B-, and the number of its type, −1 for O, both (C,)."""
        names = [tag.partition("-")[2] for tag in self.tags]
        numbers = {name: number for number, name in enumerate(sorted({*names} - {""}))}
        begins = torch.tensor([tag.startswith("B-") for tag in self.tags])
        return begins, torch.tensor([numbers.get(name, -1) for name in names])
