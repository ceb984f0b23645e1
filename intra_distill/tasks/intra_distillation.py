"""K passes for any fairseq task.

The behaviour is a mixin, put before the task that it changes::

    @dataclass
    class MyConfig(IntraDistillationConfig, SentencePredictionConfig):
        pass

    @register_task("my_intra_distilled_task", dataclass=MyConfig)
    class MyTask(IntraDistillationTask, SentencePredictionTask):
        pass

and trained with a criterion that holds an :class:`~intra_distill.criterions.objective.Objective`.
A task of fairseq that has no dataclass, but declares its options in ``add_args``, is changed alike;
``register_task`` gets no dataclass then.
"""

import argparse
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, List, Optional

from fairseq import utils
from fairseq.dataclass import FairseqDataclass
from fairseq.dataclass.utils import gen_parser_from_dataclass
from fairseq.logging import metrics
from omegaconf import II
from torch import nn

from ..core.dropout import dropout_sites
from ..core.passes_in_memory import limit_passes_in_memory
from ..core.replicate import replicate
from ..core.schedule import total_updates
from ..core.tracking import top_and_rest
from ..errors import refuse

logger = logging.getLogger(__name__)


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
    _remembered_total_updates: int | None = None  # what the checkpoint was trained towards
    _sensitivity: tuple[float, float] | None = None  # of the top fifth and the rest, last tracked

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "add_args" in vars(cls):  # it would hide the one below
            cls.add_args = classmethod(_with_own_options(vars(cls)["add_args"]))

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        super().add_args(parser)
        gen_parser_from_dataclass(parser, IntraDistillationConfig())

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
        self._cfg = cfg  # fairseq's tasks without a dataclass keep it elsewhere
        super().__init__(cfg, *args, **kwargs)

    @property
    def num_passes(self) -> int:
        """K"""
        return self._cfg.num_passes

    @property
    def passes_in_memory(self) -> int:
        """M"""
        return self._cfg.passes_in_memory or self.num_passes

    @property
    def bounded(self) -> bool:
        """Whether the run has an end that N can be counted from."""
        return self._cfg.max_update > 0 or self._cfg.max_epoch > 0

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> nn.Module:
        # fairseq's tasks without a dataclass do not take the second argument
        takes_it = "from_checkpoint" in signature(super().build_model).parameters
        model = super().build_model(cfg, *[from_checkpoint] if takes_it else [])
        if not from_checkpoint and self.num_passes > 1:
            self.check_model(model)
            if self.passes_in_memory < self.num_passes:
                self._check_checkpoints(cfg)
                limit_passes_in_memory(model, self.num_passes, self.passes_in_memory)
        return model

    def _check_checkpoints(self, cfg: Any) -> None:
        # fairseq recomputes activations in a backward pass of their own, a group at a time, and
        # torch's DDP takes a gradient that comes in parts for an error
        torch_ddp = str(self._cfg.ddp_backend) != "legacy_ddp"
        checkpoints = getattr(cfg, "checkpoint_activations", False)  # transformers alone have it
        if torch_ddp and self._cfg.distributed_world_size > 1 and checkpoints:
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

    def build_criterion(self, cfg: Any, *args: Any, **kwargs: Any) -> nn.Module:
        criterion = super().build_criterion(cfg, *args, **kwargs)
        if self.num_passes > 1 and not hasattr(criterion, "objective"):
            refuse(
                f"--criterion {cfg._name} knows nothing of {self.num_passes} passes: "
                "use --criterion intra_distillation, or --num-passes 1"
            )
        objective = getattr(criterion, "objective", None)
        self._needs_total_updates = objective is not None and objective.schedule.adaptive
        return criterion

    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> Any:
        if split == self._cfg.train_subset:
            self._load_options = {name: value for name, value in kwargs.items() if name != "epoch"}
        return super().load_dataset(split, *args, **kwargs)

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        iterator = super().get_batch_iterator(dataset, *args, **kwargs)
        if dataset is self.datasets.get(self._cfg.train_subset):
            self._num_batches = len(iterator)
            self._batch_options = args, kwargs
        return iterator

    def begin_epoch(self, epoch: int, model: nn.Module) -> None:
        super().begin_epoch(epoch, model)
        if self._needs_total_updates and self.total_updates is None:
            self._settle_total_updates(epoch)

    def _settle_total_updates(self, epoch: int) -> None:
        """Count N before the first update, and compare it with what the checkpoint remembers."""
        self.total_updates = total_updates(
            self._cfg.max_update,
            self._cfg.max_epoch,
            self._batches_per_epoch(epoch) if self._cfg.max_epoch > 0 else [],
            self._cfg.update_freq,
            self._cfg.skip_remainder_batch,
        )
        remembered = self._remembered_total_updates
        if remembered not in (None, self.total_updates):
            logger.warning(
                f"this run will make N = {self.total_updates} updates, but the checkpoint was "
                f"trained towards {remembered}: the adaptive α′ follows the new N from here on"
            )

    def _batches_per_epoch(self, epoch: int) -> list[int]:
        """The batches of one rank in epoch 1, 2, …, up to the last or where a shard comes again.

        Args:
            epoch: that begins, whose shard is loaded
        """
        subset = self._cfg.train_subset
        shards = len(utils.split_paths(self._cfg.data)) if self.has_sharded_data(subset) else 1
        loaded, args, kwargs = self.datasets[subset], *self._batch_options
        numbers = []
        for shard in range(min(shards, self._cfg.max_epoch)):
            if shard == (epoch - 1) % shards:
                numbers.append(self._num_batches)
                continue
            self.load_dataset(subset, epoch=shard + 1, **self._load_options)
            options = {**kwargs, "epoch": shard + 1, "disable_iterator_cache": True}
            numbers.append(len(super().get_batch_iterator(self.datasets[subset], *args, **options)))
        self.datasets[subset] = loaded
        return numbers

    def get_checkpoint_dict(self) -> dict[str, dict[str, Any]]:
        """What fairseq keeps of the task in a checkpoint, under its class's name."""
        inherited = getattr(super(), "get_checkpoint_dict", dict)()
        name = type(self).__name__
        return {**inherited, name: {**inherited.get(name, {}), "total_updates": self.total_updates}}

    def set_checkpoint_dict(self, state: dict[str, Any]) -> None:
        if hasattr(super(), "set_checkpoint_dict"):
            super().set_checkpoint_dict(state)
        self._remembered_total_updates = state.get("total_updates")

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
        if self._cfg.track_sensitivity:
            self._log_sensitivity(optimizer, update_num + 1)  # counts the update it belongs to
        super().optimizer_step(optimizer, model, update_num)

    def _log_sensitivity(self, optimizer: Any, update: int) -> None:
        """Log the two means in the loss's unit, natural logarithms per unit of the sample size.

        All ranks hold the same gradient here, already divided by the sample size, so that each
        logs for itself what all would.
        """
        tracked = update % self._cfg.track_sensitivity == 0
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


def _with_own_options(add_args: Any) -> Callable[..., None]:
    """``add_args`` of a task, static or of the class, with the options of the K passes as well."""

    def add_all_args(cls: type, parser: argparse.ArgumentParser) -> None:
        add_args.__get__(None, cls)(parser)
        gen_parser_from_dataclass(parser, IntraDistillationConfig())

    return add_all_args
