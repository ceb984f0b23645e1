"""The evaluation of predictions: labelled text, and forward passes over it in batches."""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from fairseq import utils
from fairseq.data import FairseqDataset
from fairseq.tasks import FairseqTask
from torch import Tensor
from tqdm import tqdm

from ...checkpoints import check_fits, configuration
from ...errors import UserError
from ...files import read_lines, sha256
from ..labelled import FIRST, SECOND, LabelledData, reference
from .evaluator import Evaluator, Inference, OpenCheckpoint, Output
from .metrics import METRICS
from .prediction_tasks import lengths, set_up_task
from .results import Result, TestSet


class Predictions(Evaluator):
    """A data directory of labelled text of any form.

    An item is what the model reads at once: a sentence or a pair, a part of a long sentence, or a
    question with a window of its passage.
    """

    DEFAULT_SUBSET, DONE, PACKAGES = "valid", "predicted", ("sacrebleu",)
    ITEM: ClassVar[str] = "sentence"

    def __init__(self, labelled: LabelledData, inference: Inference) -> None:
        """
        Raises:
            UserError: the directory names an unknown metric
        """
        self.data, self.inference = labelled.path, inference
        self.labelled = labelled
        self.default_metrics = self.labelled.metrics
        for metric in self.default_metrics:
            if metric not in METRICS:
                raise UserError(
                    f"{self.data}: its labels.json names {metric!r}, which is no metric"
                )

    @abstractmethod
    def number_of_items(self, subset: str) -> int:
        """How many items a subset has; UserError if the files that say so are damaged."""

    @abstractmethod
    def keep(self, task: FairseqTask, sample: dict[str, Any], outputs: Tensor) -> list[Any]:
        """What the predictions need of a batch's outputs, by item."""

    @abstractmethod
    def lines(self, kept: list[Any], subset: str) -> list[str]:
        """The predictions, from what is kept of all items of a subset."""

    def open(self, *checkpoints: Path) -> OpenCheckpoint:
        if len(checkpoints) > 1:
            raise UserError(f"--path: only translations have ensembles, {self.data} has labels")
        return super().open(*checkpoints)

    def open_test_set(self, subset: str) -> tuple[TestSet, list[str]] | None:
        splits = self.labelled.splits
        if subset not in splits:
            raise UserError(f"{self.data} has no subset {subset!r}, only {', '.join(splits)}")
        if not splits[subset].labelled:
            return None
        references_path = self.data / reference(subset)
        if not references_path.is_file():
            raise UserError(
                f"{self.data} has no {references_path.name}, the labels of {subset} as text: "
                "choose another subset"
            )
        references = list(read_lines(references_path))
        if len(references) != splits[subset].sentences:
            raise UserError(
                f"{self.data}: {references_path.name} has {len(references)} lines for "
                f"{splits[subset].sentences} {self.labelled.counted}: make the data again"
            )
        inputs = {name: self.data / name for name in self.inputs(subset)}
        for name, path in inputs.items():
            if not path.is_file():
                raise UserError(f"{self.data} has no {name}: make the data again")
        test_set = TestSet(
            data=str(self.data),
            subset=subset,
            dataset=splits[subset].dataset,
            sentences=len(references),
            input_sha256={name: sha256(path) for name, path in inputs.items()},
            references=references_path.name,
            references_sha256=sha256(references_path),
            text=None,
            classes=self.labelled.classes,
        )
        return test_set, references

    def inputs(self, subset: str) -> list[str]:
        """The files that a prediction depends on, besides the model."""
        return [f"{folder}/{subset}.bin" for folder in (FIRST, SECOND)[: 1 + self.labelled.pairs]]

    def text_files(self, test_set: TestSet) -> dict[str, Path]:
        return {test_set.references: self.data / test_set.references}

    def output_name(self, subset: str) -> str:
        return f"{subset}.pred"

    def task_of(self, checkpoint: Path, state: dict[str, Any]) -> FairseqTask:
        task = set_up_task(self.labelled, checkpoint, configuration(state, "task"))
        check_fits(task, checkpoint, state)
        return task

    def dataset(self, task: FairseqTask, subset: str) -> FairseqDataset:
        """Load a subset, once."""
        if subset not in task.datasets:
            task.load_dataset(subset)
        return task.dataset(subset)

    def refuse_misfit(self, checkpoint: OpenCheckpoint, subset: str) -> None:
        dataset, expected = self.dataset(checkpoint.task, subset), self.number_of_items(subset)
        if len(dataset) != expected:
            raise UserError(
                f"{self.data}: {subset} has {len(dataset)} {self.ITEM}s, not {expected}: "
                "make the data again"
            )
        limit = min(checkpoint.task.max_positions(), checkpoint.model.max_positions())
        self._refuse_long(dataset, subset, limit)

    def _refuse_long(self, dataset: FairseqDataset, subset: str, limit: int) -> None:
        """Refuse items that are longer than the model or a batch takes: fairseq would fail."""
        sizes, max_tokens = lengths(dataset), self.inference.max_tokens
        longest = int(sizes.argmax())
        length = f"{self.ITEM} {longest + 1} of {subset} has {sizes[longest]} tokens"
        if sizes[longest] > limit:
            raise UserError(
                f"{length}, the model takes {limit}: make the data with --max-length {limit}"
            )
        if sizes[longest] > max_tokens:
            raise UserError(f"{length}, more than --max-tokens {max_tokens}: raise it")

    def run(self, checkpoint: OpenCheckpoint, subset: str) -> Output:
        dataset = self.dataset(checkpoint.task, subset)
        kept: dict[int, Any] = {}  # by the number of the item in the corpus
        for sample, outputs in predict(checkpoint, dataset, subset, self.inference):
            numbers = sample["id"].tolist()
            self._refuse_nan(outputs, numbers, checkpoint, subset)
            kept.update(zip(numbers, self.keep(checkpoint.task, sample, outputs), strict=True))
        return Output(self.lines([kept[number] for number in range(len(dataset))], subset))

    def _refuse_nan(
        self, outputs: Tensor, numbers: list[int], checkpoint: OpenCheckpoint, subset: str
    ) -> None:
        for i in (~outputs.isfinite()).reshape(len(numbers), -1).any(dim=1).nonzero()[:1]:
            raise UserError(
                f"{checkpoint.path}: its output for {self.ITEM} {numbers[int(i)] + 1} of {subset} "
                "is NaN or infinite"
            )

    def has_made(self, result: Result, directory: Path) -> bool:
        return True  # no option changes a prediction


class OfLanguages(Predictions):
    """A data directory with a test set of each language."""

    @property
    def default_subsets(self) -> tuple[str, ...]:
        if not self.labelled.test_sets:
            raise UserError(
                f"{self.data} has no test sets, only {', '.join(self.labelled.splits)}: choose one "
                "by --gen-subset"
            )
        return self.labelled.test_sets


def predict(
    checkpoint: OpenCheckpoint, dataset: FairseqDataset, subset: str, inference: Inference
) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Run a model on a subset, without dropout, in batches of items of similar length.

    Yields:
        each batch and what ``task.predict`` makes of it, both on the CPU
    """
    device = torch.device("cuda" if torch.cuda.is_available() and not inference.cpu else "cpu")
    model = checkpoint.model.to(device).eval()
    by_length = np.argsort(lengths(dataset), kind="stable")
    batches = dataset.batch_by_size(by_length, max_tokens=inference.max_tokens)
    with torch.no_grad():
        for batch in tqdm(batches, desc=f"predict {subset}", unit="batch", disable=None):
            sample = dataset.collater([dataset[i] for i in batch])
            on_device = utils.move_to_cuda(sample, device) if device.type == "cuda" else sample
            yield sample, checkpoint.task.predict(model, on_device).float().cpu()
