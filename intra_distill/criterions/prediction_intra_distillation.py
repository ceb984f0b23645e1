"""Intra-distillation for predictions that are rows of logits, such as classes, or numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.logging import metrics
from torch import Tensor, nn

from ..core.agreement import class_counts, number_sums, scores
from ..core.divergence import OF_DISTRIBUTIONS
from ..core.loss import LossParts, intra_distillation_loss, regression_loss
from ..core.replicate import split_passes
from ..errors import refuse
from .objective import Objective, ObjectiveConfig

REDUCTIONS = ("mean", "sum")
SUM = "sum/"  # of the keys, in fairseq's logging outputs, of the sums that scores are made from


@dataclass
class PredictionIntraDistillationConfig(ObjectiveConfig):
    alpha: float = field(
        default=1.0,
        metadata={"help": "weight α of the divergence between the K outputs (0: no divergence)"},
    )
    divergence: str = field(
        default="x",
        metadata={
            "help": "divergence between the K outputs: x (X-divergence), js or kl, of the first "
            "pass from the others; of a regression mse"
        },
    )
    divergence_reduction: str = field(
        default="mean",
        metadata={
            "help": "mean: the divergence is a mean over the batch, as the cross-entropy is in "
            "equation (10); sum: a sum over the batch beside a mean cross-entropy, as in the "
            "authors' code, where α = 0.5 weighs 16 in a batch of 32"
        },
    )
    regression_target: bool = field(
        default=False, metadata={"help": "predict a number instead of a class"}
    )
    classification_head_name: str = field(
        default="sentence_classification_head", metadata={"help": "name of the head to use"}
    )


@register_criterion("prediction_intra_distillation", dataclass=PredictionIntraDistillationConfig)
class PredictionIntraDistillationCriterion(FairseqCriterion):
    """(1/S) Σ_{i ≤ S} CE_i + α′ · divergence over the rows that the task scores; (10) if S is K.

    The task has ``rows(model, sample)``, which returns the K passes' scored rows of logits and
    their targets. It may have ``own_counts(prediction, target, sample)``, sums for a score of its
    own in :func:`~intra_distill.core.agreement.scores`. In a regression a row is one number, its
    error is squared, and the divergence is that of equation (9). Validation uses the first term
    alone.

    With the reduction ``sum``, α′ is multiplied by the number of rows N of the batch: fairseq
    divides the whole loss by N, or with ``--update-freq`` and several ranks by the N of all
    batches, and then each batch has the weight of its rows.

    Raises:
        SystemExit: with one line, for options that are out of range or contradict each other or
            the task
    """

    def __init__(self, task: Any, cfg: PredictionIntraDistillationConfig) -> None:
        super().__init__(task)
        if not hasattr(task, "rows"):
            refuse(
                "--criterion prediction_intra_distillation needs a task that says what is scored, "
                f"such as --task sentence_prediction_intra_distillation, not {type(task).__name__}"
            )
        if cfg.divergence_reduction not in REDUCTIONS:
            refuse(
                f"--divergence-reduction must be {' or '.join(REDUCTIONS)}, "
                f"not {cfg.divergence_reduction!r}"
            )
        self.regression = cfg.regression_target
        self.sums_divergence = cfg.divergence_reduction == "sum"
        self.objective = Objective(cfg, task, ["mse"] if self.regression else OF_DISTRIBUTIONS)

    def forward(
        self, model: nn.Module, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss, sample size and logging output of a batch, as every fairseq criterion returns."""
        K = self.objective.num_passes(sample)
        rows, target = self.task.rows(model, sample)
        outputs = split_passes(rows.float(), K)  # (K, N, C), or of a regression (K, N)
        N = outputs.size(1)
        weight = self.objective.alpha(sample) if K > 1 else 0.0
        if self.sums_divergence:
            weight *= N
        parts = self._loss(outputs, split_passes(target, K)[0], weight)
        unit = 1.0 if self.regression else math.log(2)
        logging_output = {
            "loss": parts.loss.data / unit,
            "nll_loss": parts.nll / unit,
            "ntokens": sample["ntokens"],
            "nsentences": sample["nsentences"],
            "sample_size": N,
            **{SUM + name: value for name, value in self._sums(rows, target, sample).items()},
        }
        if K > 1:
            logging_output |= self.objective.logging_output(sample, parts.divergence, N, N)
        return parts.loss, N, logging_output

    def _loss(self, outputs: Tensor, target: Tensor, weight: float) -> LossParts:
        S = self.objective.supervised_passes
        if self.regression:
            return regression_loss(outputs, target.float(), weight, S)
        lprobs = outputs.log_softmax(dim=-1)
        return intra_distillation_loss(
            lprobs, target, weight, self.objective.divergence, supervised_passes=S
        )

    def _sums(self, rows: Tensor, target: Tensor, sample: dict[str, Any]) -> dict[str, Tensor]:
        """What the scores are made from; each of the K passes predicts."""
        if self.regression:
            return number_sums(rows.detach(), target)
        prediction = rows.argmax(dim=-1)
        counts = class_counts(prediction, target, rows.size(-1))
        if hasattr(self.task, "own_counts"):
            counts |= self.task.own_counts(prediction, target, sample)
        return counts

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log losses per row, in bits or, in a regression, squared errors; and exact scores."""
        size = sum(log.get("sample_size", 0) for log in logging_outputs)
        if size > 0:
            for name in ("loss", "nll_loss"):
                value = sum(log.get(name, 0) for log in logging_outputs) / size
                metrics.log_scalar(name, value, size, round=4)
        keys = [key for key in logging_outputs[0] if key.startswith(SUM)] if logging_outputs else []
        for key in keys:
            # a name that begins with _ is not shown
            metrics.log_scalar_sum(f"_{key}", float(sum(log[key] for log in logging_outputs)))
        sums = {key.removeprefix(SUM): 0.0 for key in keys}
        for name in scores(sums) if keys else ():
            metrics.log_derived(name, lambda meters, name=name: scores(_sums_of(meters))[name])
        Objective.reduce_metrics(logging_outputs)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """True: fairseq adds the outputs of all ranks up, without collecting them."""
        return True


def _sums_of(meters: Mapping[str, Any]) -> dict[str, float]:
    """The sums that :meth:`reduce_metrics` has logged so far."""
    prefix = f"_{SUM}"
    return {
        key.removeprefix(prefix): meter.sum
        for key, meter in meters.items()
        if key.startswith(prefix)
    }
