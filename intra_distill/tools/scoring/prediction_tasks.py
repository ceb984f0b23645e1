"""fairseq's tasks of data directories of labelled text, set up to run a trained model."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from fairseq import tasks
from fairseq.data import FairseqDataset
from fairseq.dataclass.configs import FairseqConfig
from fairseq.tasks import FairseqTask
from fairseq.tasks.sentence_prediction import SentencePredictionConfig
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ...errors import UserError
from ...tasks.intra_distillation import IntraDistillationConfig
from ...tasks.sentence_prediction_intra_distillation import (
    SentencePredictionIntraDistillationConfig,
)
from ...tasks.span_prediction_intra_distillation import SpanPredictionIntraDistillationConfig
from ...tasks.tagging_intra_distillation import TaggingIntraDistillationConfig
from ..labelled import LabelledData


@dataclass(frozen=True)
class TaskOfForm:
    """The task of a form of labelled text.

    Attributes:
        name: fairseq's.
        config: its options.
        kept: the options that a model keeps from its training, such as ``init_token``.
        model: what a model of the task does.
    """

    name: str
    config: type[IntraDistillationConfig]
    kept: frozenset[str]
    model: str


TASKS = {
    "sentences": TaskOfForm(
        "sentence_prediction_intra_distillation",
        SentencePredictionIntraDistillationConfig,
        frozenset(field.name for field in fields(SentencePredictionConfig)),
        "predicts labels of sentences",
    ),
    "words": TaskOfForm(
        "tagging_intra_distillation",
        TaggingIntraDistillationConfig,
        frozenset({"max_positions"}),
        "predicts tags of words",
    ),
    "questions": TaskOfForm(
        "span_prediction_intra_distillation",
        SpanPredictionIntraDistillationConfig,
        frozenset({"max_positions"}),
        "predicts answers to questions",
    ),
}


def set_up_task(data: LabelledData, checkpoint: Path, trained: dict[str, Any]) -> FairseqTask:
    """Set up fairseq's task of a data directory.

    Args:
        data: the directory
        checkpoint: for messages
        trained: the options of the task that a checkpoint was trained with
    Raises:
        UserError: these options are of no such task
    """
    form = TASKS[data.form]
    options = {name: value for name, value in trained.items() if name in form.kept}
    options |= {"_name": form.name, "data": str(data.path), "no_shuffle": True, "num_passes": 1}
    if data.form == "sentences":
        options |= {
            "regression_target": data.classes is None,
            "num_classes": 1 if data.classes is None else len(data.classes),
        }
    cfg = OmegaConf.structured(FairseqConfig())
    try:
        cfg.task = OmegaConf.merge(form.config(), options)
        return tasks.setup_task(cfg.task)
    except OmegaConfBaseException as error:
        raise UserError(f"{checkpoint} is not a checkpoint of a model that {form.model}") from error


def lengths(dataset: FairseqDataset) -> np.ndarray:
    """The number of tokens of each item, (N,)."""
    (sizes,) = dataset.sizes
    return sizes
