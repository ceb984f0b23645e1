"""Self-distillation: a student learns from gold labels and from an earlier model, the teacher.

Equation (3) of the paper, after Hinton et al. 2015 and Furlanello et al. 2018. The student of one
round is the teacher of the next.
"""

import functools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import torch
from fairseq import models, utils
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.logging import metrics
from fairseq.modules import LearnedPositionalEmbedding
from fairseq.tasks.translation import TranslationTask
from omegaconf import II, OmegaConf
from torch import Tensor, nn

from ..checkpoints import check_fits, read_checkpoint
from ..core.distillation import distillation_loss
from ..errors import UserError, refuse


@dataclass
class SelfDistillationCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig):
    teacher_path: Optional[str] = field(
        default=None,
        metadata={
            "help": "checkpoint of the teacher, which must be trained on the same data and lie "
            "outside --save-dir"
        },
    )
    distillation_weight: float = field(
        default=1.0,
        metadata={"help": "weight of the divergence from the teacher"},
    )
    # fairseq's options that a teacher can be in conflict with
    save_dir: str = II("checkpoint.save_dir")
    max_tokens: Optional[int] = II("dataset.max_tokens")


@register_criterion("self_distillation", dataclass=SelfDistillationCriterionConfig)
class SelfDistillationCriterion(LabelSmoothedCrossEntropyCriterion):
    """CE(y, p_s) + w · KL(p_t‖p_s), equation (3) for w = 1, summed over the target tokens.

    The cross-entropy is fairseq's, label-smoothed. Validation uses it alone, so that its curves are
    comparable.

    Raises:
        SystemExit: with one line, for unusable options and teachers
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
            refuse(
                f"--distillation-weight must be finite and above 0, not {cfg.distillation_weight}"
            )
        if not cfg.teacher_path:
            refuse("--criterion self_distillation needs a trained model as --teacher-path")
        if not isinstance(task, TranslationTask):
            refuse(f"--criterion self_distillation is for translation, not {type(task).__name__}")
        if lies_in(cfg.teacher_path, cfg.save_dir):
            refuse(
                f"--teacher-path {cfg.teacher_path} lies in --save-dir {cfg.save_dir}, where the "
                "student could resume or overwrite it: give the student a folder of its own"
            )
        self.weight = cfg.distillation_weight
        self.teacher_path = cfg.teacher_path
        self.max_tokens = cfg.max_tokens
        self._checked = False  # the student is known at the first batch

    @functools.cached_property
    def teacher(self) -> "Teacher":
        """The teacher, read when training begins. Validation never needs it."""
        with torch.random.fork_rng(devices=[]):  # building a model draws random parameters
            return Teacher(self.teacher_path, self.task)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """No parameters. fairseq calls this before it trains, so a bad teacher is refused early."""
        self.teacher  # noqa: B018
        return super().parameters(recurse)

    def forward(
        self, model: nn.Module, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss, sample size and logging output of a batch, as every fairseq criterion returns."""
        if not model.training:
            return super().forward(model, sample, reduce)
        if not self._checked:
            self._check(model)
            self._checked = True
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

    def _check(self, student: nn.Module) -> None:
        """Refuse a student without logits, or of longer sentences than its teacher can read."""
        if not gives_logits(student):
            refuse("the student must output logits: leave out --adaptive-softmax-cutoff")
        # fairseq drops longer sentences from the training data
        limits = utils.resolve_max_positions(
            self.task.max_positions(), student.max_positions(), self.max_tokens
        )
        short = [
            (side, limit, most)
            for side, limit, most in zip(("source", "target"), limits, self.teacher.max_positions())
            if limit > most
        ]
        if short:
            refuse(
                f"--teacher-path {self.teacher_path} has learned positions for at most "
                f"{' and '.join(f'{most} {side}' for side, _, most in short)} tokens, but the "
                f"student may train on {' and '.join(str(limit) for _, limit, _ in short)}: add "
                f"{' '.join(f'--max-{side}-positions {most}' for side, _, most in short)}"
            )

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log ``distillation``, KL(p_t‖p_s) in bits per token of training batches."""
        super().reduce_metrics(logging_outputs)
        outputs = [log for log in logging_outputs if "distillation" in log]
        ntokens = sum(log["ntokens"] for log in outputs)
        if ntokens > 0:
            kl = sum(log["distillation"] for log in outputs) / ntokens / math.log(2)
            metrics.log_scalar("distillation", kl, ntokens, round=4)


class Teacher:
    """A trained model in evaluation mode, which gives logits without gradients.

    It is no submodule of the criterion: fairseq would save it in the student's checkpoint, wrap it
    for DDP and switch its dropout on.

    Args:
        path: the teacher's checkpoint
        task: the student's task
    Raises:
        SystemExit: with one line, for a checkpoint that is unusable or from other data
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
        # not task.build_model: under --eval-bleu the task would translate with the teacher
        self.model = models.build_model(cfg, task, from_checkpoint=True)
        self.model.load_state_dict(state["model"], model_cfg=cfg)
        self.model.eval()
        if not gives_logits(self.model):
            refuse(f"--teacher-path {path} has an adaptive softmax, not logits: train another")

    def max_positions(self) -> tuple[float, float]:
        """The most source tokens and the most target tokens that the teacher can read."""
        return learned_positions(self.model.encoder), learned_positions(self.model.decoder)

    @torch.no_grad()
    def logits(self, sample: dict[str, Any], student: nn.Module) -> Tensor:
        """The teacher's logits, (B, T, V), on the student's device and in its precision."""
        model = self.model.to(next(student.parameters()))
        return model(**sample["net_input"])[0]


def gives_logits(model: nn.Module) -> bool:
    """Whether the model outputs logits of the whole vocabulary; an adaptive softmax does not."""
    return getattr(model.decoder, "adaptive_softmax", None) is None


def learned_positions(part: nn.Module) -> float:
    """The tokens that learned positions suffice for. Sinusoidal ones grow, whatever their limit."""
    tables = (m for m in part.modules() if isinstance(m, LearnedPositionalEmbedding))
    return min((table.max_positions for table in tables), default=math.inf)


def lies_in(path: str, folder: str) -> bool:
    """Whether a file, or a symbolic link that leads to it, lies in a folder, however named."""
    while os.path.isfile(path):
        parent = os.path.dirname(path) or "."
        if os.path.isdir(folder) and os.path.samefile(parent, folder):
            return True
        if not os.path.islink(path):
            return False
        path = os.path.join(parent, os.readlink(path))
    return False
