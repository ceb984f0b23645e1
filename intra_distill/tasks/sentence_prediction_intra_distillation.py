"""fairseq's prediction of a class or a number from a sentence or two, with K passes in training."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq.data import Dictionary, FairseqDataset, data_utils
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.tasks import register_task
from fairseq.tasks.sentence_prediction import SentencePredictionConfig, SentencePredictionTask
from omegaconf import II
from torch import Tensor, nn

from ..errors import refuse
from .half_precision import HalfPrecisionConfig, HalfPrecisionTask
from .intra_distillation import IntraDistillationConfig, IntraDistillationTask
from .keep_pruned import KeepPrunedConfig, KeepPrunedTask


@dataclass
class SentencePredictionIntraDistillationConfig(
    IntraDistillationConfig, HalfPrecisionConfig, KeepPrunedConfig, SentencePredictionConfig
):
    # fairseq's options that say which subsets need labels
    valid_subset: str = II("dataset.valid_subset")
    disable_validation: bool = II("dataset.disable_validation")


@register_task(
    "sentence_prediction_intra_distillation", dataclass=SentencePredictionIntraDistillationConfig
)
class SentencePredictionIntraDistillationTask(
    IntraDistillationTask, HalfPrecisionTask, KeepPrunedTask, SentencePredictionTask
):
    """Predicts with a classification head of the model, trained with K passes.

    Raises:
        SystemExit: with one line, for data and labels that do not fit the options, or a model
            without classification heads
    """

    @classmethod
    def setup_task(cls, cfg: Any, **kwargs: Any) -> "SentencePredictionIntraDistillationTask":
        data, classes = Path(cfg.data), Path(cfg.data, "label", "dict.txt")
        if not (data / "input0" / "dict.txt").is_file():
            refuse(f"{data} has no input0/dict.txt: it is no data directory of intra-distill glue")
        if cfg.regression_target and (cfg.num_classes != 1 or classes.exists()):
            refuse(
                f"--regression-target predicts a number, but {classes} has classes"
                if classes.exists()
                else f"--regression-target needs --num-classes 1, not {cfg.num_classes}"
            )
        if not cfg.regression_target and not classes.is_file():
            refuse(f"{classes} is missing: if the labels are numbers, add --regression-target")
        if cfg.num_classes < 1:
            refuse("--num-classes must be the number of classes of the task")
        head = cfg.classification_head_name
        if not re.fullmatch(r"\w+", head) or hasattr(nn.ModuleDict(), head):
            refuse(f"--classification-head-name must be another word than {head!r}, such as head")
        task = super().setup_task(cfg, **kwargs)
        if not cfg.regression_target and task.num_labels != cfg.num_classes:
            refuse(f"{classes} has {task.num_labels} classes, not --num-classes {cfg.num_classes}")
        return task

    @property
    def num_labels(self) -> int:
        """The number of classes in the data."""
        return len(self.label_dictionary) - self.label_dictionary.nspecial - 1  # without <mask>

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> nn.Module:
        arch = getattr(cfg, "_name", None) or cfg.arch
        if not hasattr(ARCH_MODEL_REGISTRY[arch], "register_classification_head"):
            refuse(f"--arch {arch} has no classification heads: choose another, such as bert")
        return super().build_model(cfg, from_checkpoint)

    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> FairseqDataset:
        self._check_labels(split, needed=split in [self.cfg.train_subset, *self._valid_subsets])
        return super().load_dataset(split, *args, **kwargs)

    @property
    def _valid_subsets(self) -> list[str]:
        return [] if self.cfg.disable_validation else self.cfg.valid_subset.split(",")

    def _check_labels(self, split: str, needed: bool) -> None:
        """Refuse labels that are missing or outside their range; fairseq would fail on a batch."""
        sentences = self._indexed("input0", split, self.source_dictionary)
        path = Path(self.cfg.data, "label", split)
        if self.cfg.regression_target:
            file = path.with_name(f"{split}.label")
            labels = file.read_text("utf-8").splitlines() if file.is_file() else None
            allowed = is_number
        else:
            classes = self.label_dictionary
            indexed = self._indexed("label", split, classes)
            # each is followed by </s>
            labels = indexed and [classes[int(indexed[i][0])] for i in range(len(indexed))]
            allowed = set(classes.symbols[classes.nspecial :][: self.num_labels]).__contains__
        if sentences is None or labels is None:
            if sentences is None or needed:
                refuse(f"{self.cfg.data} has no {'labels of' if sentences else 'subset'} {split}")
            return
        if len(labels) != len(sentences):
            refuse(f"{path} has {len(labels)} labels for {len(sentences)} sentences")
        for number, label in enumerate(labels, start=1):
            if not allowed(label):
                refuse(f"{path}: label {number} is {label!r}, which is none of the task's labels")

    def _indexed(self, key: str, split: str, dictionary: Dictionary) -> FairseqDataset | None:
        return data_utils.load_indexed_dataset(str(Path(self.cfg.data, key, split)), dictionary)

    def rows(self, model: nn.Module, sample: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """What is scored: one row for each sentence of each pass.

        Returns:
            logits (K·B, C), or of a regression numbers (K·B,); and their targets, (K·B,)
        """
        logits = self.predict(model, sample)
        return logits, sample["target"].view(-1)

    def predict(self, model: nn.Module, sample: dict[str, Any]) -> Tensor:
        """The logits of a batch, (B, C), or of a regression its numbers, (B,)."""
        head = self.cfg.classification_head_name
        logits, _ = model(**sample["net_input"], classification_head_name=head)
        return logits.squeeze(-1) if self.cfg.regression_target else logits


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
