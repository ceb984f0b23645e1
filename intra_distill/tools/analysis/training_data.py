"""What sensitivity is measured on: the data, and the loss, of each kind of data directory."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from fairseq import tasks
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.data import FairseqDataset, LanguagePairDataset, data_utils
from fairseq.tasks import FairseqTask
from fairseq.tasks.translation import TranslationTask
from torch import Tensor, nn
from torch.nn import functional

from ...checkpoints import check_fits, configuration
from ...errors import UserError
from ..labelled import is_labelled, open_labelled
from ..options import as_argument, user_dir
from ..prepared import refuse_multilingual
from ..scoring.prediction_tasks import lengths, set_up_task
from ..scoring.search import generator_config

# a model and a batch → the loss, summed over the targets, and the number of targets
Loss = Callable[[nn.Module, dict[str, Any]], tuple[Tensor, int]]

# what the loss of labelled text is a mean over, by the form of the data
SCORED = {"sentences": "sentence", "words": "word", "questions": "boundary of an answer"}


class Limit(NamedTuple):
    """How many tokens a model takes on one side of the data."""

    side: str  # "source ", "target ", or empty
    lengths: np.ndarray  # of all sentences of a subset
    most: int


class TrainingData(ABC):
    """A data directory.

    Attributes:
        path: the directory
        name: of the data set, such as de-en
        criterion: the loss in words
        unit: of the loss and of sensitivity
    """

    path: Path
    name: str
    criterion: str
    unit: str

    @abstractmethod
    def task_of(self, checkpoint: Path, state: dict[str, Any]) -> FairseqTask:
        """Set up the task of the data for a checkpoint; UserError if that does not fit."""

    @abstractmethod
    def subsets(self) -> list[str]:
        """The subsets with all that the loss needs."""

    @abstractmethod
    def ordered(self, dataset: FairseqDataset) -> np.ndarray:
        """Order the indices of a subset by length, at random where that is equal, (N,)."""

    @abstractmethod
    def tokens(self, dataset: FairseqDataset, i: int) -> list[Tensor]:
        """All that a sentence consists of."""

    @abstractmethod
    def limits(self, dataset: FairseqDataset, model: nn.Module) -> list[Limit]:
        """What a model takes at most."""

    @abstractmethod
    def loss(self, task: FairseqTask, options: dict[str, Any]) -> Loss:
        """The loss of a checkpoint that was trained with :meth:`options`."""

    @abstractmethod
    def options(self, state: dict[str, Any]) -> dict[str, Any]:
        """The options of a checkpoint's training that its loss keeps."""

    def load(self, task: FairseqTask, subset: str) -> FairseqDataset:
        """Load a subset; one that is not there is refused with the names of the others."""
        if subset not in self.subsets():
            raise UserError(
                f"{self.path} has no subset {subset!r}, only {', '.join(self.subsets())}"
            )
        task.load_dataset(subset)
        return task.dataset(subset)


def open_training_data(path: Path) -> TrainingData:
    """Open a data directory of any kind.

    Raises:
        UserError: it is none
    """
    return LabelledText(path) if is_labelled(path) else ParallelText(path)


class ParallelText(TrainingData):
    """A data directory of fairseq-preprocess; the loss is that of plain translation."""

    criterion = "plain cross-entropy for every system"
    unit = "nats per target token"

    def __init__(self, path: Path) -> None:
        """
        Raises:
            UserError: it is not a data directory of fairseq-preprocess, or of several pairs
        """
        if not path.is_dir():
            raise UserError(f"{path}: there is no such data directory")
        refuse_multilingual(path)
        languages = data_utils.infer_language_pair(str(path))
        for lang in languages:
            if lang is None or not (path / f"dict.{lang}.txt").is_file():
                raise UserError(f"{path} is not a data directory made by fairseq-preprocess")
        self.path, self.languages, self.name = path, languages, "-".join(languages)

    @cached_property
    def task(self) -> TranslationTask:
        """The task, with its dictionaries."""
        # one pass is plain translation; only in this task the Switch Transformer runs with dropout
        options = ["--user-dir", str(user_dir()), "--task", "translation_intra_distillation"]
        return tasks.setup_task(
            generator_config([as_argument(self.path), *options, "--num-passes", "1"]).task
        )

    def task_of(self, checkpoint: Path, state: dict[str, Any]) -> TranslationTask:
        check_fits(self.task, checkpoint, state)
        return self.task

    def subsets(self) -> list[str]:
        suffix = f".{self.name}.{self.languages[-1]}.idx"
        return sorted(path.name.removesuffix(suffix) for path in self.path.glob(f"*{suffix}"))

    def ordered(self, dataset: LanguagePairDataset) -> np.ndarray:
        return dataset.ordered_indices()

    def tokens(self, dataset: LanguagePairDataset, i: int) -> list[Tensor]:
        return [dataset[i]["source"], dataset[i]["target"]]

    def limits(self, dataset: LanguagePairDataset, model: nn.Module) -> list[Limit]:
        source, target = model.max_positions()
        return [
            Limit("source ", dataset.src_sizes, source),
            Limit("target ", dataset.tgt_sizes, target),
        ]

    def options(self, state: dict[str, Any]) -> dict[str, Any]:
        smoothing = configuration(state, "criterion").get("label_smoothing", 0.0)
        return {"label_smoothing": smoothing}

    def loss(self, task: TranslationTask, options: dict[str, Any]) -> Loss:
        criterion = LabelSmoothedCrossEntropyCriterion(task, False, options["label_smoothing"])
        return lambda model, batch: criterion(model, batch)[:2]


class LabelledText(TrainingData):
    """A data directory of labelled text of any form; the loss is that of plain training.

    It is a mean over what is scored: sentences, words, or the two boundaries of each answer, which
    are its first and its last symbol.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            UserError: it is unfinished
        """
        self.path, self.labelled = path, open_labelled(path)
        self.name = self.labelled.dataset
        form = self.labelled.form
        self.is_regression = form == "sentences" and self.labelled.classes is None
        loss = "squared error" if self.is_regression else "plain cross-entropy"
        self.criterion = f"{loss} for every system"
        self.unit = f"{'squared error' if self.is_regression else 'nats'} per {SCORED[form]}"

    def task_of(self, checkpoint: Path, state: dict[str, Any]) -> FairseqTask:
        task = set_up_task(self.labelled, checkpoint, configuration(state, "task"))
        check_fits(task, checkpoint, state)
        return task

    def subsets(self) -> list[str]:
        return [name for name, split in self.labelled.splits.items() if split.labelled]

    def ordered(self, dataset: FairseqDataset) -> np.ndarray:
        shuffled = np.random.permutation(len(dataset))
        return shuffled[np.argsort(lengths(dataset)[shuffled], kind="stable")]

    def tokens(self, dataset: FairseqDataset, i: int) -> list[Tensor]:
        target = torch.as_tensor(dataset[i]["target"])  # of numbers a list
        return [dataset[i]["net_input.src_tokens"], target]

    def limits(self, dataset: FairseqDataset, model: nn.Module) -> list[Limit]:
        return [Limit("", lengths(dataset), model.max_positions())]

    def options(self, state: dict[str, Any]) -> dict[str, Any]:
        return {}

    def loss(self, task: FairseqTask, options: dict[str, Any]) -> Loss:
        def loss(model: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, int]:
            rows, target = task.rows(model, batch)
            if self.is_regression:
                error = functional.mse_loss(rows.float(), target.float(), reduction="sum")
                return error, len(target)
            return functional.cross_entropy(rows.float(), target, reduction="sum"), len(target)

        return loss
