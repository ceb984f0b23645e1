"""Self-distillation: a student learns from gold labels and from a teacher of its own kind.

Equation (3) of the paper, after Hinton et al. 2015 and Furlanello et al. 2018. The student of one
round is the teacher of the next.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import torch
from fairseq import models
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.logging import metrics
from fairseq.tasks.translation import TranslationTask
from omegaconf import OmegaConf
from torch import Tensor, nn

from ..checkpoints import check_fits, read_checkpoint
from ..core.distillation import distillation_loss
from ..errors import UserError, refuse


@dataclass
class SelfDistillationCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig):
    teacher_path: Optional[str] = field(
        default=None,
        metadata={"help": "checkpoint of the teacher, trained on the same data"},
    )
    distillation_weight: float = field(
        default=1.0,
        metadata={"help": "weight of the divergence from the teacher"},
    )


@register_criterion("self_distillation", dataclass=SelfDistillationCriterionConfig)
class SelfDistillationCriterion(LabelSmoothedCrossEntropyCriterion):
    """CE(y, p_s) + w · KL(p_t‖p_s), equation (3), summed over the target tokens; w is 1 there.

    The gold labels are smoothed as ever. Validation scores them alone, so that curves compare.

    Raises:
        SystemExit: with one line, for options and teachers that cannot be trained with
    """

    def __init__(self, task: Any, cfg: SelfDistillationCriterionConfig) -> None:
        super().__init__(
            task,
            cfg.sentence_avg,
            cfg.label_smoothing,
            cfg.ignore_prefix_size,
            cfg.report_accuracy,
        )
        if not 0 < cfg.distillation_weight < math.inf:
            refuse(f"--distillation-weight must be above 0, not {cfg.distillation_weight}")
        if not cfg.teacher_path:
            refuse("--criterion self_distillation needs a trained model as --teacher-path")
        if not isinstance(task, TranslationTask):
            refuse(f"--criterion self_distillation is for translation, not {type(task).__name__}")
        self.weight = cfg.distillation_weight
        self.teacher_path = cfg.teacher_path

    @functools.cached_property
    def teacher(self) -> "Teacher":
        """Read when training begins: validation never asks it."""
        with torch.random.fork_rng(devices=[]):  # a model draws its parameters before it has them
            return Teacher(self.teacher_path, self.task)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """None. fairseq asks where it builds an optimizer, and a bad teacher is refused there."""
        self.teacher  # noqa: B018
        return super().parameters(recurse)

    def forward(
        self, model: nn.Module, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """The loss of a batch, its sample size and its logging output, as fairseq has them."""
        if not model.training:
            return super().forward(model, sample, reduce)
        if not gives_logits(model):
            refuse("the student must give logits to distil: leave out --adaptive-softmax-cutoff")
        target = sample["target"]  # (B, T)
        scored = target.ne(self.padding_idx)
        scored[:, : self.ignore_prefix_size] = False
        teacher_logits = self.teacher.logits(sample, model)
        logits = model(**sample["net_input"])[0]  # (B, T, V)
        loss, nll, kl = distillation_loss(
            logits, teacher_logits, target, scored, self.weight, self.eps
        )

        sample_size = target.size(0) if self.sentence_avg else sample["ntokens"]
        logging_output = {
            "loss": loss.data,
            "nll_loss": nll,
            "distillation": kl,
            "ntokens": sample["ntokens"],
            "nsentences": target.size(0),
            "sample_size": sample_size,
        }
        if self.report_accuracy:
            logging_output["n_correct"] = logits.argmax(dim=-1).eq(target)[scored].sum().item()
            logging_output["total"] = scored.sum().item()
        return loss, sample_size, logging_output

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log ``distillation``, KL(p_t‖p_s) in bits per token, where training made it."""
        super().reduce_metrics(logging_outputs)
        outputs = [log for log in logging_outputs if "distillation" in log]
        ntokens = sum(log["ntokens"] for log in outputs)
        if ntokens > 0:
            kl = sum(log["distillation"] for log in outputs) / ntokens / math.log(2)
            metrics.log_scalar("distillation", kl, ntokens, round=4)


class Teacher:
    """A trained model that only answers.

    It is held by no module: fairseq saves what a criterion holds in the student's checkpoint,
    wraps it for DDP and switches its dropout on.

    Args:
        path: its checkpoint
        task: of the student
    Raises:
        SystemExit: with one line, for a checkpoint that is unusable or of other data
    """

    def __init__(self, path: str, task: TranslationTask) -> None:
        try:
            state = read_checkpoint(Path(path))
            check_fits(task, Path(path), state)
        except UserError as error:
            refuse(f"--teacher-path {error}")
        except OSError as error:
            refuse(f"--teacher-path {path}: {error.strerror}")
        cfg = OmegaConf.create(state["cfg"], flags={"allow_objects": True}).model
        # not task.build_model: the task would translate with the teacher under --eval-bleu
        self.model = models.build_model(cfg, task, from_checkpoint=True)
        self.model.load_state_dict(state["model"], model_cfg=cfg)
        self.model.eval()
        if not gives_logits(self.model):
            refuse(f"--teacher-path {path} has an adaptive softmax, and no logits to distil")

    @torch.no_grad()
    def logits(self, sample: dict[str, Any], student: nn.Module) -> Tensor:
        """What it answers, (B, T, V), on the student's device and in its precision."""
        model = self.model.to(next(student.parameters()))
        return model(**sample["net_input"])[0]


def gives_logits(model: nn.Module) -> bool:
    """Whether the model's output is over the whole vocabulary: an adaptive softmax's is not."""
    return getattr(model.decoder, "adaptive_softmax", None) is None
