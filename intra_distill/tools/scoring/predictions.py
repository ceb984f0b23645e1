"""The evaluation of predictions: labelled sentences, and forward passes over them in batches."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import tasks, utils
from fairseq.data import NestedDictionaryDataset
from fairseq.dataclass.configs import FairseqConfig
from fairseq.tasks.sentence_prediction import SentencePredictionConfig
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn
from tqdm import tqdm

from ...checkpoints import check_fits, configuration, load_model, read_checkpoint
from ...errors import UserError
from ...files import read_lines, sha256
from ...tasks.sentence_prediction_intra_distillation import (
    SentencePredictionIntraDistillationConfig,
    SentencePredictionIntraDistillationTask,
)
from ..labelled import FIRST, SECOND, LabelledData, open_labelled, reference
from .evaluator import Evaluator, Inference, Output
from .metrics import METRICS
from .results import Result, TestSet


class Predictions(Evaluator):
    """A data directory of labelled sentences."""

    TASK, DEFAULT_SUBSET, DONE = "sentence_prediction", "valid", "predicted"
    PACKAGES = ("sacrebleu",)

    def __init__(self, data: Path, inference: Inference) -> None:
        """
        Raises:
            UserError: the directory is not finished, or names an unknown metric
        """
        self.data, self.inference, self.tokenizer = data, inference, None
        self.labelled = open_labelled(data)
        self.default_metrics = self.labelled.metrics
        for metric in self.default_metrics:
            if metric not in METRICS:
                raise UserError(f"{data}: its labels.json names {metric!r}, which is no metric")

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
                f"{splits[subset].sentences} sentences: make the data again"
            )
        inputs = [f"{folder}/{subset}.bin" for folder in (FIRST, SECOND)[: 1 + self.labelled.pairs]]
        test_set = TestSet(
            data=str(self.data),
            subset=subset,
            dataset=splits[subset].dataset,
            sentences=len(references),
            input_sha256={name: sha256(self.data / name) for name in inputs},
            references=references_path.name,
            references_sha256=sha256(references_path),
            text=None,
            classes=self.labelled.classes,
        )
        return test_set, references

    def output_name(self, subset: str) -> str:
        return f"{subset}.pred"

    def task_of(
        self, checkpoint: Path, state: dict[str, Any]
    ) -> SentencePredictionIntraDistillationTask:
        task = prediction_task(self.labelled, checkpoint, configuration(state, "task"))
        check_fits(task, checkpoint, state)
        return task

    def refuse_misfit(
        self,
        checkpoint: Path,
        task: SentencePredictionIntraDistillationTask,
        model: nn.Module,
        subset: str,
    ) -> None:
        dataset = task.load_dataset(subset)
        if len(dataset) != self.labelled.splits[subset].sentences:
            raise UserError(
                f"{self.data}: {subset} has {len(dataset)} sentences, not "
                f"{self.labelled.splits[subset].sentences}: make the data again"
            )
        limit = min(task.max_positions(), model.max_positions())
        refuse_long_sentences(dataset, subset, limit, self.inference.max_tokens)

    def run(self, checkpoint: Path, subset: str) -> Output:
        task = self.task_of(checkpoint, read_checkpoint(checkpoint))
        outputs = predict(task, load_model(checkpoint, task), subset, self.inference)
        for number in (~outputs.isfinite()).flatten(1).any(dim=1).nonzero()[:1]:
            raise UserError(
                f"{checkpoint}: its output for sentence {int(number) + 1} of {subset} is NaN or "
                "infinite"
            )
        if self.labelled.classes is None:
            return Output([str(number) for number in outputs.squeeze(1).numpy()], None)
        classes = self.labelled.classes
        return Output([classes[i] for i in outputs.argmax(dim=1).tolist()], None)

    def has_made(self, result: Result) -> bool:
        return True  # no option changes a prediction


def prediction_task(
    data: LabelledData, checkpoint: Path, trained: dict[str, Any]
) -> SentencePredictionIntraDistillationTask:
    """Set up fairseq's task of a data directory.

    Args:
        data: the directory
        checkpoint: for messages
        trained: the options of the task that a checkpoint was trained with, such as ``init_token``
    Raises:
        UserError: the checkpoint is of no prediction
    """
    names = {field.name for field in fields(SentencePredictionConfig)}
    task = {name: value for name, value in trained.items() if name in names - {"_name"}}
    task |= {
        "_name": "sentence_prediction_intra_distillation",
        "data": str(data.path),
        "no_shuffle": True,
        "regression_target": data.classes is None,
        "num_classes": 1 if data.classes is None else len(data.classes),
        "num_passes": 1,
    }
    cfg = OmegaConf.structured(FairseqConfig())
    try:
        cfg.task = OmegaConf.merge(SentencePredictionIntraDistillationConfig(), task)
        return tasks.setup_task(cfg.task)
    except OmegaConfBaseException as error:
        raise UserError(
            f"{checkpoint} is not a checkpoint of a model that predicts labels of sentences"
        ) from error


def predict(
    task: SentencePredictionIntraDistillationTask,
    model: nn.Module,
    subset: str,
    inference: Inference,
) -> Tensor:
    """Run a model on a subset, without dropout.

    Returns:
        on the CPU, in corpus order: logits of classes (N, C), or predicted numbers (N, 1)
    """
    dataset = task.load_dataset(subset)
    device = torch.device("cuda" if torch.cuda.is_available() and not inference.cpu else "cpu")
    model.to(device).eval()
    by_length = np.argsort(lengths(dataset), kind="stable")
    batches = dataset.batch_by_size(by_length, max_tokens=inference.max_tokens)
    rows: dict[int, Tensor] = {}  # by the number of the sentence in the corpus
    with torch.no_grad():
        for batch in tqdm(batches, desc=f"predict {subset}", unit="batch", disable=None):
            sample = dataset.collater([dataset[i] for i in batch])
            if device.type == "cuda":
                sample = utils.move_to_cuda(sample, device)
            outputs = task.predict(model, sample).float().cpu()
            rows.update(zip(sample["id"].tolist(), outputs.reshape(len(batch), -1), strict=True))
    return torch.stack([rows[number] for number in range(len(dataset))])


def refuse_long_sentences(
    dataset: NestedDictionaryDataset, subset: str, limit: int, max_tokens: int
) -> None:
    """Refuse sentences that are longer than the model or a batch takes: fairseq would fail."""
    sizes = lengths(dataset)
    longest = int(sizes.argmax())
    length = f"sentence {longest + 1} of {subset} has {sizes[longest]} tokens"
    if sizes[longest] > limit:
        raise UserError(
            f"{length}, the model takes {limit}: make the data with --max-length {limit}"
        )
    if sizes[longest] > max_tokens:
        raise UserError(f"{length}, more than --max-tokens {max_tokens}: raise it")


def lengths(dataset: NestedDictionaryDataset) -> np.ndarray:
    """The number of tokens of each sentence or pair, (N,)."""
    (sizes,) = dataset.sizes
    return sizes
