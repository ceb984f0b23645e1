"""K passes for any fairseq task.

The behaviour is a mixin, put before the task that it changes::

    @dataclass
    class MyConfig(IntraDistillationConfig, SentencePredictionConfig):
        pass

    @register_task("my_intra_distilled_task", dataclass=MyConfig)
    class MyTask(IntraDistillationTask, SentencePredictionTask):
        pass

and trained with a criterion that holds an :class:`~intra_distill.criterions.objective.Objective`.
"""

import logging
import math
from dataclasses import dataclass, field
from typing import Any, List, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from omegaconf import II
from torch import nn

from ..core.dropout import dropout_sites
from ..core.passes_in_memory import limit_passes_in_memory
from ..core.replicate import replicate
from ..core.schedule import total_updates
from ..core.tracking import top_and_rest
from ..refusal import refuse

logger = logging.getLogger(__name__)

TOTAL_UPDATES = "_total_updates"  # a metric that is saved with the run; _ keeps it off the logs


@dataclass
class IntraDistillationConfig(FairseqDataclass):
    num_passes: int = field(
        default=3,
        metadata={
            "help": "K: how often each batch goes through the model, with different dropout. "
            "--max-tokens counts a batch before it is replicated: K times as many pass at once"
        },
    )
    passes_in_memory: Optional[int] = field(
        default=None,
        metadata={
            "help": "M: take the K passes M at a time, each group forward twice and backward once: "
            "the activations of M passes in memory, for about 4/3 of the time (default: all K)"
        },
    )
    track_sensitivity: int = field(
        default=0,
        metadata={
            "help": "every so many updates, log the mean sensitivity |θ ⊙ g| of the most sensitive "
            "fifth of the parameters and of the rest; g is the gradient that the update takes, "
            "after --clip-norm (0: never)"
        },
    )
    # given elsewhere: the bounds of the run, which make N, and how it is trained
    max_update: int = II("optimization.max_update")
    max_epoch: int = II("optimization.max_epoch")
    update_freq: List[int] = II("optimization.update_freq")
    skip_remainder_batch: bool = II("optimization.skip_remainder_batch")
    train_subset: str = II("dataset.train_subset")
    ddp_backend: Any = II("distributed_training.ddp_backend")
    distributed_world_size: int = II("distributed_training.distributed_world_size")


class IntraDistillationTask:
    """Mixin for a fairseq task: trains on K copies of each batch, [x; x; …], in one pass.

    The copy carries ``num_passes`` (K) and ``update_num`` to the criterion. Validation and
    inference see the batch as it is. K = 1 leaves the task as it was, for any criterion.

    Raises:
        SystemExit: with one line, for K < 1 and what K passes cannot work with
    """

    total_updates: int | None = None  # N, known from the first epoch on if α′ needs it
    _needs_total_updates = False
    _sensitivity: tuple[float, float] | None = None  # of the top fifth and the rest, last tracked

    def __init__(self, cfg: IntraDistillationConfig, *args: Any, **kwargs: Any) -> None:
        if cfg.num_passes < 1:
            refuse(f"--num-passes must be at least 1, not {cfg.num_passes}")
        if cfg.passes_in_memory is not None and not 1 <= cfg.passes_in_memory <= cfg.num_passes:
            refuse(
                f"--passes-in-memory must be 1 to --num-passes {cfg.num_passes}, "
                f"not {cfg.passes_in_memory}"
            )
        if cfg.track_sensitivity < 0:
            refuse(f"--track-sensitivity must be at least 0, not {cfg.track_sensitivity}")
        whole_model = cfg.num_passes > 1 or cfg.track_sensitivity
        if whole_model and str(cfg.ddp_backend) == "fully_sharded":
            refuse(
                "--ddp-backend fully_sharded is fairscale's and not supported: "
                "use legacy_ddp or pytorch_ddp"
            )
        super().__init__(cfg, *args, **kwargs)

    @property
    def num_passes(self) -> int:
        """K"""
        return self.cfg.num_passes

    @property
    def passes_in_memory(self) -> int:
        """M"""
        return self.cfg.passes_in_memory or self.num_passes

    @property
    def bounded(self) -> bool:
        """Whether the run has an end that N can be counted from."""
        return self.cfg.max_update > 0 or self.cfg.max_epoch > 0

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> nn.Module:
        model = super().build_model(cfg, from_checkpoint)
        if not from_checkpoint and self.num_passes > 1:
            self.check_model(model)
            if self.passes_in_memory < self.num_passes:
                self._check_checkpoints(cfg)
                limit_passes_in_memory(model, self.num_passes, self.passes_in_memory)
        return model

    def _check_checkpoints(self, cfg: Any) -> None:
        # fairseq recomputes activations in a backward pass of their own, a group at a time, and
        # torch's DDP takes a gradient that comes in parts for an error
        torch_ddp = str(self.cfg.ddp_backend) != "legacy_ddp"
        checkpoints = getattr(cfg, "checkpoint_activations", False)  # transformers alone have it
        if torch_ddp and self.cfg.distributed_world_size > 1 and checkpoints:
            refuse(
                "--passes-in-memory with --checkpoint-activations on several ranks needs "
                "--ddp-backend legacy_ddp"
            )

    def check_model(self, model: nn.Module) -> None:
        """Refuse to train a model that K passes cannot work with."""
        if not any(dropout_sites(model)):
            refuse(
                "the model has no dropout, so its passes would all be the same: set --dropout, "
                "--attention-dropout or --activation-dropout above 0, or --num-passes 1"
            )

    def build_criterion(self, cfg: Any, from_checkpoint: bool = False) -> nn.Module:
        criterion = super().build_criterion(cfg, from_checkpoint)
        if self.num_passes > 1 and not hasattr(criterion, "objective"):
            refuse(
                f"--criterion {cfg._name} knows nothing of {self.num_passes} passes: "
                "use --criterion intra_distillation, or --num-passes 1"
            )
        objective = getattr(criterion, "objective", None)
        self._needs_total_updates = objective is not None and objective.schedule.adaptive
        return criterion

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        iterator = super().get_batch_iterator(dataset, *args, **kwargs)
        if dataset is self.datasets.get(self.cfg.train_subset):
            self._batches_per_epoch = len(iterator)
        return iterator

    def begin_epoch(self, epoch: int, model: nn.Module) -> None:
        super().begin_epoch(epoch, model)
        if self._needs_total_updates and self.total_updates is None:
            self._settle_total_updates()

    def _settle_total_updates(self) -> None:
        """Count N before the first update, and compare it with what the checkpoint remembers."""
        self.total_updates = total_updates(
            self.cfg.max_update,
            self.cfg.max_epoch,
            self._batches_per_epoch,
            self.cfg.update_freq,
            self.cfg.skip_remainder_batch,
        )
        remembered = metrics.get_meter("default", TOTAL_UPDATES)
        if remembered is not None and remembered.val != self.total_updates:
            logger.warning(
                f"this run will make N = {self.total_updates} updates, but the checkpoint was "
                f"trained towards {remembered.val:.0f}: the adaptive α′ follows the new N "
                "from here on"
            )
        metrics.log_scalar(TOTAL_UPDATES, self.total_updates, weight=0)

    def train_step(
        self,
        sample: dict[str, Any],
        model: nn.Module,
        criterion: nn.Module,
        optimizer: Any,
        update_num: int,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if self.num_passes > 1:
            sample = replicate(sample, self.num_passes)
            sample |= {"num_passes": self.num_passes, "update_num": update_num}
        return super().train_step(sample, model, criterion, optimizer, update_num, *args, **kwargs)

    def optimizer_step(self, optimizer: Any, model: nn.Module, update_num: int) -> None:
        if self.cfg.track_sensitivity:
            self._log_sensitivity(optimizer, update_num + 1)  # counts the update it belongs to
        super().optimizer_step(optimizer, model, update_num)

    def _log_sensitivity(self, optimizer: Any, update: int) -> None:
        """Log the two means in the loss's unit, natural logarithms per unit of the sample size.

        All ranks hold the same gradient here, already divided by the sample size, so that each
        logs for itself what all would.
        """
        tracked = update % self.cfg.track_sensitivity == 0
        if tracked:
            # fairseq's fp16 and bf16 optimizers keep back the loss scale until they step
            scale = float(getattr(optimizer, "_multiply_factor", 1.0))
            top, rest = top_and_rest(list(optimizer.params))
            tracked = math.isfinite(top)  # --amp comes here with an overflow, and then again
            if tracked:
                self._sensitivity = top * scale, rest * scale
        if self._sensitivity is not None:
            # where no value is due the last one stands in the log, without weight in the mean
            for name, value in zip(("top", "rest"), self._sensitivity, strict=True):
                metrics.log_scalar(f"sensitivity_{name}", value, weight=int(tracked), priority=450)
