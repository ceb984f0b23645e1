"""K passes for any fairseq task.

The behaviour is a mixin, placed before the task that it changes::

    @dataclass
    class MyConfig(IntraDistillationConfig, SentencePredictionConfig):
        pass

    @register_task("my_intra_distilled_task", dataclass=MyConfig)
    class MyTask(IntraDistillationTask, SentencePredictionTask):
        pass

Its criterion must hold an :class:`~intra_distill.criterions.objective.Objective`. A fairseq task
that declares its options in ``add_args``, without a dataclass, is changed in the same way;
``register_task`` then gets no dataclass.
"""

import argparse
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, ClassVar, List, Optional

from fairseq import utils
from fairseq.dataclass import FairseqDataclass
from fairseq.dataclass.utils import gen_parser_from_dataclass
from fairseq.logging import metrics
from fairseq.modules import FairseqDropout, LayerDropModuleList
from omegaconf import II
from torch import nn

from ..core.cpu_dropout import draw_integers
from ..core.cutoff import cut_tokens, token_embeddings
from ..core.dropout import dropout_sites
from ..core.layerdrop import drop_layers_per_copy
from ..core.one_side import share_decoder_dropout, share_encoder
from ..core.passes_in_memory import limit_passes_in_memory
from ..core.replicate import Copies, replicate
from ..core.schedule import total_updates
from ..core.tracking import top_and_rest
from ..errors import refuse

logger = logging.getLogger(__name__)

SIDES = ("both", "encoder", "decoder")


@dataclass
class IntraDistillationConfig(FairseqDataclass):
    num_passes: int = field(
        default=3,
        metadata={
            "help": "K: number of passes of each batch, with different dropout. --max-tokens "
            "counts a batch before it is replicated: the model takes K times as many at once"
        },
    )
    passes_in_memory: Optional[int] = field(
        default=None,
        metadata={
            "help": "M: take the K passes M at a time, with the activations of only M passes in "
            "memory. Each group runs forward twice: about 4/3 of the time (default: all K)"
        },
    )
    every: int = field(
        default=1,
        metadata={
            "help": "make K passes in every N-th update, from the first on, and one pass without "
            "divergence in the others, which take the time of plain updates"
        },
    )
    passes_differ: str = field(
        default="both",
        metadata={
            "help": "side of an encoder-decoder where dropout differs between the passes: both, "
            "encoder, or decoder, whose encoder runs once for all passes"
        },
    )
    cutoff: float = field(
        default=0.0,
        metadata={
            "help": "probability that a token's embedding is zero, on the source and the target "
            "side, in all passes but the first (0: never)"
        },
    )
    track_sensitivity: int = field(
        default=0,
        metadata={
            "help": "interval in updates for logging the mean sensitivity |θ ⊙ g| of the most "
            "sensitive fifth of the parameters and of the rest; g is the gradient of the update, "
            "after --clip-norm (0: never)"
        },
    )
    # fairseq's options that N depends on or that limit what K passes can do
    max_update: int = II("optimization.max_update")
    max_epoch: int = II("optimization.max_epoch")
    update_freq: List[int] = II("optimization.update_freq")
    skip_remainder_batch: bool = II("optimization.skip_remainder_batch")
    train_subset: str = II("dataset.train_subset")
    ddp_backend: Any = II("distributed_training.ddp_backend")
    distributed_world_size: int = II("distributed_training.distributed_world_size")


class IntraDistillationTask:
    """Mixin for a fairseq task: trains on K copies of each batch, [x; x; …], in one forward pass.

    The replicated batch carries ``num_passes`` (K) and ``update_num`` to the criterion. Validation
    and inference use the batch itself. K = 1 does not change the task and allows any criterion.

    Raises:
        SystemExit: with one line, for options that are out of range or incompatible with K passes
    """

    BOUNDS: ClassVar = ("max_update", "max_epoch")  # the options that N follows from
    total_updates: int | None = None  # N, set in the first epoch if α′ is adaptive
    _needs_total_updates = False
    _remembered_total_updates: int | None = None  # N in the checkpoint
    _sensitivity: tuple[float, float] | None = None  # last means: the top fifth, the rest

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "add_args" in vars(cls):  # would hide the add_args below
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
        self._check_copies(cfg)
        if cfg.track_sensitivity < 0:
            refuse(f"--track-sensitivity must be at least 0, not {cfg.track_sensitivity}")
        whole_model = cfg.num_passes > 1 or cfg.track_sensitivity
        if whole_model and str(cfg.ddp_backend) == "fully_sharded":
            refuse(
                "--ddp-backend fully_sharded (fairscale) is not supported: "
                "use legacy_ddp or pytorch_ddp"
            )
        self._cfg = cfg  # fairseq's tasks without a dataclass keep it elsewhere
        self.copies = Copies()
        super().__init__(cfg, *args, **kwargs)

    def _check_copies(self, cfg: IntraDistillationConfig) -> None:
        """Refuse options of the copies that are out of range or contradict each other."""
        if cfg.every < 1:
            refuse(f"--every must be at least 1, not {cfg.every}")
        if cfg.passes_differ not in SIDES:
            refuse(f"--passes-differ must be one of {', '.join(SIDES)}, not {cfg.passes_differ!r}")
        if not 0 <= cfg.cutoff < 1:
            refuse(f"--cutoff must be at least 0 and below 1, not {cfg.cutoff}")
        if cfg.num_passes == 1:
            for option, has_effect in {
                f"--every {cfg.every}": cfg.every > 1,
                f"--passes-differ {cfg.passes_differ}": cfg.passes_differ != "both",
                f"--cutoff {cfg.cutoff}": cfg.cutoff > 0,
            }.items():
                if has_effect:
                    refuse(f"{option} needs --num-passes 2 or more")
        if cfg.passes_differ == "both":
            return
        side = f"--passes-differ {cfg.passes_differ}"
        if cfg.cutoff > 0:
            refuse(f"{side} contradicts --cutoff, which makes passes differ on both sides")
        if cfg.passes_in_memory not in (None, cfg.num_passes):
            refuse(f"{side} needs all passes at once: leave out --passes-in-memory")

    @property
    def num_passes(self) -> int:
        """K, the passes of each training batch."""
        return self._cfg.num_passes

    @property
    def passes_in_memory(self) -> int:
        """M, the passes whose activations are in memory at once."""
        return self._cfg.passes_in_memory or self.num_passes

    @property
    def bounded(self) -> bool:
        """Whether the run has a limit, from which N follows."""
        return any(getattr(self._cfg, name) > 0 for name in self.BOUNDS)

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> nn.Module:
        # fairseq's tasks without a dataclass do not take the second argument
        takes_it = "from_checkpoint" in signature(super().build_model).parameters
        model = super().build_model(cfg, *[from_checkpoint] if takes_it else [])
        if not from_checkpoint and self.num_passes > 1:
            draw_integers(model, FairseqDropout)
            drop_layers_per_copy(model, LayerDropModuleList, self.copies)
            self.check_model(model)
            self._treat_copies_differently(model)
            if self.passes_in_memory < self.num_passes:
                self._check_checkpoints(cfg)
                limit_passes_in_memory(model, self.copies, self.passes_in_memory)
        return model

    def _check_checkpoints(self, cfg: Any) -> None:
        # fairseq's checkpoints run a separate backward pass for each group, but torch's DDP accepts
        # each gradient only once
        torch_ddp = str(self._cfg.ddp_backend) != "legacy_ddp"
        checkpoints = getattr(cfg, "checkpoint_activations", False)  # transformers alone have it
        if torch_ddp and self._cfg.distributed_world_size > 1 and checkpoints:
            refuse(
                "--passes-in-memory with --checkpoint-activations on several ranks needs "
                "--ddp-backend legacy_ddp"
            )

    def check_model(self, model: nn.Module) -> None:
        """Refuse a model that cannot be trained with K passes."""
        side = self._cfg.passes_differ
        if side != "both" and not all(hasattr(model, each) for each in ("encoder", "decoder")):
            refuse(f"--passes-differ {side} needs an encoder-decoder, not a {type(model).__name__}")
        if self._cfg.cutoff > 0:
            if not token_embeddings(model):
                refuse(f"--cutoff finds no embeddings of tokens in a {type(model).__name__}")
        elif not any(dropout_sites(model if side == "both" else getattr(model, side))):
            refuse(
                f"the {'model' if side == 'both' else side} has no dropout, so all its passes "
                "would be equal: set --dropout, --attention-dropout or --activation-dropout above "
                "0, or --num-passes 1"
            )

    def _treat_copies_differently(self, model: nn.Module) -> None:
        if self._cfg.cutoff > 0:
            cut_tokens(model, self.copies, self._cfg.cutoff)
        if self._cfg.passes_differ == "decoder":
            share_encoder(model, self.copies)
        if self._cfg.passes_differ == "encoder":
            share_decoder_dropout(model, self.copies)

    def build_criterion(self, cfg: Any, *args: Any, **kwargs: Any) -> nn.Module:
        criterion = super().build_criterion(cfg, *args, **kwargs)
        if self.num_passes > 1 and not hasattr(criterion, "objective"):
            refuse(
                f"--criterion {cfg._name} does not support {self.num_passes} passes: "
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
            self._set_total_updates(epoch)

    def _set_total_updates(self, epoch: int) -> None:
        """Count N before the first update, and warn if the checkpoint has another N."""
        self.total_updates = self.count_total_updates(epoch)
        remembered = self._remembered_total_updates
        if remembered not in (None, self.total_updates):
            logger.warning(
                f"this run will make N = {self.total_updates} updates, but the checkpoint was "
                f"trained towards {remembered}: the adaptive α′ follows the new N from here on"
            )

    def count_total_updates(self, epoch: int) -> int:
        """N, the updates that ``--max-update`` and ``--max-epoch`` allow, as an epoch begins."""
        return total_updates(
            self._cfg.max_update,
            self._cfg.max_epoch,
            self._batches_per_epoch(epoch) if self._cfg.max_epoch > 0 else [],
            self._cfg.update_freq,
            self._cfg.skip_remainder_batch,
        )

    def _batches_per_epoch(self, epoch: int) -> list[int]:
        """Number of batches of one rank in epoch 1, 2, …, until the shards repeat or the run ends.

        Args:
            epoch: the epoch that begins; its shard is loaded
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
        """The task's state in a checkpoint, which fairseq keeps under the name of its class."""
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
        K = self.num_passes if update_num % self._cfg.every == 0 else 1
        if K > 1:
            sample = replicate(sample, K) | {"num_passes": K, "update_num": update_num}
        with self.copies.in_model(0, K):  # backward too, where activations are recomputed
            return super().train_step(
                sample, model, criterion, optimizer, update_num, *args, **kwargs
            )

    def optimizer_step(self, optimizer: Any, model: nn.Module, update_num: int) -> None:
        if self._cfg.track_sensitivity:
            self._log_sensitivity(optimizer, update_num + 1)  # the update being made
        super().optimizer_step(optimizer, model, update_num)

    def _log_sensitivity(self, optimizer: Any, update: int) -> None:
        """Log the two means in the unit of the loss, nats per unit of the sample size.

        The gradient here is already reduced and divided by the sample size, so all ranks log the
        same means.
        """
        tracked = update % self._cfg.track_sensitivity == 0
        if tracked:
            # fairseq's fp16 and bf16 optimizers apply the loss scale and clipping only in step
            scale = float(getattr(optimizer, "_multiply_factor", 1.0))
            top, rest = top_and_rest(list(optimizer.params))
            tracked = math.isfinite(top)  # --amp repeats an update that overflowed
            if tracked:
                self._sensitivity = top * scale, rest * scale
        if self._sensitivity is not None:
            # other updates log the last values again, with weight 0 in the mean
            for name, value in zip(("top", "rest"), self._sensitivity, strict=True):
                metrics.log_scalar(f"sensitivity_{name}", value, weight=int(tracked), priority=450)


def _with_own_options(add_args: Any) -> Callable[..., None]:
    """A task's ``add_args``, static or class method, extended by the options of the K passes."""

    def add_all_args(cls: type, parser: argparse.ArgumentParser) -> None:
        add_args.__get__(None, cls)(parser)
        gen_parser_from_dataclass(parser, IntraDistillationConfig())

    return add_all_args
