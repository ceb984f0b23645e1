"""Fine-tunes a pruned model whose removed parameters stay removed.

The behaviour is a mixin, placed before the task that it changes.
"""

import argparse
import logging
from dataclasses import dataclass, field
from typing import Any

from fairseq.dataclass import FairseqDataclass
from fairseq.dataclass.utils import gen_parser_from_dataclass
from omegaconf import II
from torch import Tensor, nn

from ..core.pruning import keep_zeros, zeros
from ..errors import refuse

logger = logging.getLogger(__name__)

ZERO_IN_FLOAT16 = 2.0**-25  # the largest number that --fp16 rounds to zero


@dataclass
class KeepPrunedConfig(FairseqDataclass):
    keep_pruned: bool = field(
        default=False,
        metadata={
            "help": "parameters that are exactly zero when training starts stay zero, such as "
            "those that intra-distill prune removed. Without it the first updates move them"
        },
    )
    ddp_backend: Any = II("distributed_training.ddp_backend")


class KeepPrunedTask:
    """Mixin for a fairseq task: ``--keep-pruned`` trains only what is not zero in the checkpoint.

    Raises:
        SystemExit: with one line, if the model has only the zeros that a new model has, such as
            biases and the embedding of padding; or for parameters in shards
    """

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        super().add_args(parser)
        gen_parser_from_dataclass(parser, KeepPrunedConfig())

    _zero_when_new: dict[str, Tensor] | None = None  # masks, from the building to the first epoch

    def __init__(self, cfg: KeepPrunedConfig, *args: Any, **kwargs: Any) -> None:
        if cfg.keep_pruned and str(cfg.ddp_backend) == "fully_sharded":
            refuse(
                "--keep-pruned is not supported with --ddp-backend fully_sharded (fairscale): "
                "use legacy_ddp or pytorch_ddp"
            )
        self._keep_pruned = cfg.keep_pruned
        super().__init__(cfg, *args, **kwargs)

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> nn.Module:
        model = super().build_model(cfg, from_checkpoint)
        if self._keep_pruned and not from_checkpoint:
            self._zero_when_new = zeros(model, ZERO_IN_FLOAT16)
        return model

    def begin_epoch(self, epoch: int, model: nn.Module) -> None:
        super().begin_epoch(epoch, model)
        if self._zero_when_new is not None:  # the first epoch: the checkpoint has just been loaded
            self._keep_zeros(model)
            self._zero_when_new = None

    def _keep_zeros(self, model: nn.Module) -> None:
        masks = zeros(model)
        if not any((mask & ~self._zero_when_new[name]).any() for name, mask in masks.items()):
            refuse(
                "--keep-pruned has nothing to keep: the model has only the zeros of a new one. "
                "Start from a pruned checkpoint by --finetune-from-model, or leave it out"
            )
        keep_zeros(model)
        kept = sum(int(mask.sum()) for mask in masks.values())
        total = sum(mask.numel() for mask in masks.values())
        logger.info(f"--keep-pruned keeps {kept:,} of {total:,} parameters at zero")
