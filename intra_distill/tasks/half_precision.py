"""Refuses half precision where fairseq cannot train in it.

``--fp16`` copies all parameters into one vector, which fairseq looks up by the number of the
current GPU. Without a GPU that ends in a traceback. Where ``--cpu`` hides one, the vector never
gets a gradient, and nothing is trained. ``--bf16`` makes fairseq-train, but not
fairseq-hydra-train, look for a TPU. The behaviour is a mixin, placed before the task that it
changes.
"""

from dataclasses import dataclass
from typing import Any

import torch
from fairseq import utils
from fairseq.dataclass import FairseqDataclass
from omegaconf import II
from torch import nn

from ..errors import refuse


@dataclass
class HalfPrecisionConfig(FairseqDataclass):
    # fairseq's options that say where it trains, and whether it copies into one vector
    fp16: bool = II("common.fp16")
    bf16: bool = II("common.bf16")
    fp16_no_flatten_grads: bool = II("common.fp16_no_flatten_grads")
    memory_efficient_fp16: bool = II("common.memory_efficient_fp16")
    cpu: bool = II("common.cpu")
    tpu: bool = II("common.tpu")


class HalfPrecisionTask:
    """Mixin for a fairseq task: training with ``--fp16`` has a GPU, and with ``--bf16`` no TPU.

    Raises:
        SystemExit: with one line, if ``--fp16`` has none, or ``--bf16`` would look for one
    """

    def __init__(self, cfg: HalfPrecisionConfig, *args: Any, **kwargs: Any) -> None:
        self._precision = cfg  # fairseq's tasks without a dataclass keep it elsewhere
        super().__init__(cfg, *args, **kwargs)

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> nn.Module:
        if not from_checkpoint:
            self._check_device()
        return super().build_model(cfg, from_checkpoint)

    def _check_device(self) -> None:
        cfg = self._precision
        copies = cfg.fp16 and not (cfg.fp16_no_flatten_grads or cfg.memory_efficient_fp16)
        if copies and (cfg.cpu or not (torch.cuda.is_available() or cfg.tpu)):
            why = "--cpu hides any" if cfg.cpu else "torch sees none"
            refuse(
                f"--fp16 needs a GPU, and {why}: leave --fp16 out, in a recipe by "
                "OVERRIDES=common.fp16=false"
            )
        if cfg.bf16 and cfg.tpu and utils.xm is None:  # torch_xla is not installed
            refuse(
                "--bf16 makes fairseq-train look for a TPU: use --fp16, or fairseq-hydra-train "
                "with common.bf16=true"
            )
