"""Intra-distillation for translation: label-smoothed cross-entropy of K passes and divergence."""

import logging
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.models.transformer import TransformerDecoderBase
from torch import Tensor, nn

from ..core.fused_loss import fused_intra_distillation_loss
from ..core.loss import LossParts, intra_distillation_loss
from ..core.replicate import split_passes
from ..core.unwrap import unwrap
from ..errors import refuse
from .objective import Objective, ObjectiveConfig

logger = logging.getLogger(__name__)

LOSSES = ("auto", "fused", "plain")


@dataclass
class IntraDistillationCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig, ObjectiveConfig):
    loss_implementation: str = field(
        default="auto",
        metadata={
            "help": "fused: compute loss and output projection together, never holding the logits "
            "of all K passes in memory; plain: reference implementation; auto: fused if the "
            "decoder ends in a linear projection"
        },
    )


@register_criterion("intra_distillation", dataclass=IntraDistillationCriterionConfig)
class IntraDistillationCriterion(LabelSmoothedCrossEntropyCriterion):
    """(1/S) Σ_{i ≤ S} CE_i + α′ · divergence, summed over the target tokens; (10) where S is K.

    Validation uses fairseq's label-smoothed cross-entropy alone, so that its curves are comparable.
    With K = 1 training uses that loss too, fused where possible.

    Raises:
        SystemExit: with one line, for options that are out of range or contradict each other, the
            task or the model
    """

    def __init__(self, task: Any, cfg: IntraDistillationCriterionConfig) -> None:
        super().__init__(
            task,
            cfg.sentence_avg,
            cfg.label_smoothing,
            cfg.ignore_prefix_size,
            cfg.report_accuracy,
        )
        if hasattr(task, "rows"):
            refuse(
                "--criterion intra_distillation is of translations; the predictions of "
                f"{type(task).__name__} need --criterion prediction_intra_distillation"
            )
        self.objective = Objective(cfg, task)
        if cfg.loss_implementation not in LOSSES:
            refuse(
                f"--loss-implementation must be one of {', '.join(LOSSES)}, "
                f"not {cfg.loss_implementation!r}"
            )
        self.loss_implementation = cfg.loss_implementation
        self._fused: bool | None = None  # decided at the first batch

    def forward(
        self, model: nn.Module, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss, sample size and logging output of a batch, as every fairseq criterion returns."""
        K = self.objective.num_passes(sample)
        if K == 1 and not (model.training and self._use_fused(model)):
            return super().forward(model, sample, reduce)
        target = split_passes(sample["target"], K)[0]  # (B, T), the same in every pass
        if self._use_fused(model):
            parts = self._fused_loss(model, sample, target, K)
            accuracy = {}
        else:
            parts, accuracy = self._plain_loss(model, sample, target, K)

        sample_size = target.size(0) if self.sentence_avg else sample["ntokens"]
        logging_output = {
            "loss": parts.loss.data,
            "nll_loss": parts.nll,
            "ntokens": sample["ntokens"],
            "nsentences": target.size(0),
            "sample_size": sample_size,
            **accuracy,
        }
        if K > 1:
            logging_output |= self.objective.logging_output(
                sample, parts.divergence, sample["ntokens"], sample_size
            )
        return parts.loss, sample_size, logging_output

    def _scored(self, target: Tensor) -> Tensor:
        """True where a target position counts, (B, T): not padding, not in the ignored prefix."""
        scored = target.ne(self.padding_idx)
        scored[:, : self.ignore_prefix_size] = False
        return scored

    def _plain_loss(
        self, model: nn.Module, sample: dict[str, Any], target: Tensor, K: int
    ) -> tuple[LossParts, dict[str, Any]]:
        net_output = model(**sample["net_input"])
        lprobs = split_passes(model.get_normalized_probs(net_output, log_probs=True), K)
        scored = self._scored(target)
        lprobs, target = lprobs[:, scored], target[scored]  # (K, N, V), (N,)
        parts = intra_distillation_loss(
            *(lprobs, target, self.objective.alpha(sample), self.objective.divergence),
            *(self.eps, self.objective.supervised_passes),
        )
        if not self.report_accuracy:
            return parts, {}
        correct = lprobs.argmax(dim=-1).eq(target).sum().item() / K
        return parts, {"n_correct": correct, "total": target.numel()}

    def _fused_loss(
        self, model: nn.Module, sample: dict[str, Any], target: Tensor, K: int
    ) -> LossParts:
        features, _ = model(**sample["net_input"], features_only=True)  # (K·B, T, d)
        # nonzero waits for the GPU, and indexing by a mask would call it for each tensor
        scored = self._scored(target).flatten().nonzero().squeeze(1)  # (N,)
        projection = model.decoder.output_projection
        return fused_intra_distillation_loss(
            split_passes(features, K).flatten(1, 2).index_select(1, scored),  # (K, N, d)
            projection.weight,
            projection.bias,
            target.flatten()[scored],
            self.objective.alpha(sample) if K > 1 else 0.0,
            self.objective.divergence_name,
            self.eps,
            supervised_passes=self.objective.supervised_passes if K > 1 else None,
        )

    def _use_fused(self, model: nn.Module) -> bool:
        """Choose the implementation at the first batch, and log why if it is the slower one."""
        if self._fused is None:
            obstacle = self._fused_obstacle(model)
            if obstacle and self.loss_implementation == "fused":
                refuse(f"--loss-implementation fused is impossible, use auto: {obstacle}")
            if obstacle and self.loss_implementation == "auto":
                logger.info(f"using the plain loss, slower than the fused one: {obstacle}")
            self._fused = not obstacle and self.loss_implementation != "plain"
        return self._fused

    def _fused_obstacle(self, model: nn.Module) -> str | None:
        """Why the logits of this model are not just features times a matrix; None if they are."""
        if getattr(model, "find_unused_parameters", False):  # torch's DDP, which wraps the model
            return "--find-unused-parameters counts a projection outside the model as unused"
        model = unwrap(model)
        decoder = model.decoder
        if self.report_accuracy:
            return "--report-accuracy needs the logits"
        if "features_only" not in signature(model.forward).parameters:
            return f"{type(model).__name__} has no features_only"
        if getattr(type(decoder), "output_layer", None) is not TransformerDecoderBase.output_layer:
            return f"{type(decoder).__name__} has its own output layer"
        if type(decoder.output_projection) is not nn.Linear:
            return f"the output projection is a {type(decoder.output_projection).__name__}"
        return None

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        super().reduce_metrics(logging_outputs)
        Objective.reduce_metrics(logging_outputs)
