"""Equation (10) for any loss: the part that all intra-distilled criterions share.

A criterion of any task becomes intra-distilled by holding an :class:`Objective`::

    class MyCriterion(FairseqCriterion):
        def __init__(self, task, cfg):  # cfg extends ObjectiveConfig
            super().__init__(task)
            self.objective = Objective(cfg, task)

        def forward(self, model, sample, reduce=True):
            logits = model(**sample["net_input"])
            K = self.objective.num_passes(sample)  # 1 in validation
            losses = F.cross_entropy(logits, sample["target"], reduction="none")
            loss = losses.sum() / K
            if K > 1:
                outputs = split_passes(logits.log_softmax(-1), K)
                distance = self.objective.divergence(outputs).sum()
                loss = loss + self.objective.alpha(sample) * distance
            ...
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics

from ..core.divergence import DIVERGENCES, OF_DISTRIBUTIONS
from ..core.schedule import AlphaSchedule
from ..errors import refuse


@dataclass
class ObjectiveConfig(FairseqDataclass):
    alpha: float = field(
        default=5.0,
        metadata={"help": "weight α of the divergence between the K outputs (0: no divergence)"},
    )
    divergence: str = field(
        default="x",
        metadata={
            "help": "divergence between the K outputs: x (X-divergence), js, or kl, of the first "
            "pass from the others, as in SimCut"
        },
    )
    supervised_passes: Optional[int] = field(
        default=None,
        metadata={
            "help": "S: the first S of the K passes learn from the gold labels, the others only "
            "from the divergence; SimCut has 1 (default: all K)"
        },
    )
    alpha_p: float = field(
        default=5.0,
        metadata={"help": "p of the adaptive α′, which reaches α at update N/p of N"},
    )
    alpha_q: float = field(
        default=10.0,
        metadata={"help": "q of the adaptive α′, which reaches 1 at update N/q of N"},
    )
    constant_alpha: bool = field(
        default=False,
        metadata={"help": "use α from the first update on (always done for α ≤ 1)"},
    )


class Objective:
    """The divergence of K passes, its weight α′, and their logging.

    Args:
        cfg: an :class:`ObjectiveConfig`
        task: the fairseq task that will call the criterion
        divergences: those that suit the outputs of its models
    Raises:
        SystemExit: with one line, for options that contradict each other or the task
    """

    def __init__(
        self,
        cfg: ObjectiveConfig,
        task: Any,
        divergences: Sequence[str] = OF_DISTRIBUTIONS,
    ) -> None:
        if cfg.divergence not in divergences:
            refuse(f"--divergence must be {' or '.join(divergences)}, not {cfg.divergence!r}")
        if cfg.supervised_passes is not None:
            self._check_supervised_passes(cfg.supervised_passes, task)
        try:
            self.schedule = AlphaSchedule(cfg.alpha, cfg.alpha_p, cfg.alpha_q, cfg.constant_alpha)
        except ValueError as error:
            refuse(f"--alpha, --alpha-p, --alpha-q: {error}")
        self.divergence_name = cfg.divergence
        self.divergence = DIVERGENCES[cfg.divergence]
        self.supervised_passes = cfg.supervised_passes
        self.task = task
        if cfg.alpha > 0:
            self._check_task(task)

    def _check_supervised_passes(self, supervised_passes: int, task: Any) -> None:
        K = getattr(task, "num_passes", 1)
        if not 1 <= supervised_passes <= K:
            refuse(f"--supervised-passes must be 1 to --num-passes {K}, not {supervised_passes}")

    def _check_task(self, task: Any) -> None:
        if not hasattr(task, "num_passes"):
            refuse(
                f"--alpha {self.schedule.alpha} needs a task that makes K passes, such as "
                f"--task translation_intra_distillation; {type(task).__name__} makes one"
            )
        if task.num_passes == 1:
            refuse(
                f"--num-passes 1 leaves --alpha {self.schedule.alpha} nothing to compare: "
                "make 2 or more passes, or set --alpha 0"
            )
        if self.schedule.adaptive and not task.bounded:
            bounds = " or ".join(f"--{name.replace('_', '-')}" for name in task.BOUNDS)
            refuse(
                f"the adaptive α′ needs the length of the run: set {bounds}, or use "
                "--constant-alpha"
            )

    def num_passes(self, sample: dict[str, Any]) -> int:
        """K of this batch, 1 if the task did not replicate it, as in validation."""
        return sample.get("num_passes", 1)

    def alpha(self, sample: dict[str, Any]) -> float:
        """α′ at the update that this batch belongs to."""
        return self.schedule(sample["update_num"], self.task.total_updates)

    def logging_output(
        self, sample: dict[str, Any], divergence: Any, num_rows: int, sample_size: int
    ) -> dict[str, Any]:
        """Entries for a criterion's logging output, which fairseq sums over batches and ranks.

        Args:
            sample: the replicated batch
            divergence: summed over the scored rows, in nats between distributions
            num_rows: N, such as the target tokens of a translation or the sentences of a batch
            sample_size: of this batch, which is the weight of its α′ in the mean
        """
        # the sum of these is what the sum of the divergences is divided by: their unit is in it
        unit = math.log(2) if self.divergence_name in OF_DISTRIBUTIONS else 1.0
        return {
            "divergence": divergence,
            "divergence_units": num_rows * unit,
            "alpha": self.alpha(sample) * sample_size,
        }

    @staticmethod
    def reduce_metrics(logging_outputs: list[dict[str, Any]]) -> None:
        """Log the mean α′ of training batches, and the mean divergence of their scored rows.

        Its unit is bits between distributions, and the squared unit of the output in regression.
        """
        outputs = [log for log in logging_outputs if "divergence" in log]
        units = sum(log["divergence_units"] for log in outputs)
        sample_size = sum(log["sample_size"] for log in outputs)
        if sample_size > 0:
            divergence = sum(log["divergence"] for log in outputs) / units
            metrics.log_scalar("divergence", divergence, units, round=4)
            alpha = sum(log["alpha"] for log in outputs) / sample_size
            metrics.log_scalar("alpha", alpha, sample_size, round=4)
