"""Adam by torch's fused kernel, with the arithmetic and the checkpoints of fairseq's Adam.

fairseq's Adam makes a dozen elementwise operations for each parameter tensor, the kernel one pass
over all of them. fairseq adds ε to √v_t, torch to √v_t / √(1 − β₂ᵗ): so torch is given an ε of
ε / √(1 − β₂ᵗ), and the updates are equal but for rounding.
"""

import ast
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, List

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import register_optimizer
from fairseq.optim.adam import FairseqAdam
from omegaconf import II
from torch import Tensor, nn
from torch.optim.adamw import adamw

from ..errors import refuse

MOMENTS = ("exp_avg", "exp_avg_sq")  # m and v, named as in fairseq


@dataclass
class FusedAdamConfig(FairseqDataclass):
    adam_betas: Any = field(default=(0.9, 0.999), metadata={"help": "β₁ and β₂ of Adam"})
    adam_eps: float = field(default=1e-8, metadata={"help": "ε of Adam"})
    weight_decay: float = field(default=0.0, metadata={"help": "weight decay"})
    lr: List[float] = II("optimization.lr")


@register_optimizer("fused_adam", dataclass=FusedAdamConfig)
class FairseqFusedAdam(FairseqAdam):
    """fairseq's Adam with its options, in fused kernels.

    Raises:
        SystemExit: with one line, for options out of range or the checkpoint of another optimizer
    """

    def __init__(self, cfg: FusedAdamConfig, params: Iterable[nn.Parameter]) -> None:
        super(FairseqAdam, self).__init__(cfg)
        if not 0 < cfg.adam_eps < math.inf:
            refuse(f"--adam-eps must be finite and above 0, not {cfg.adam_eps}")
        if not 0 <= cfg.weight_decay < math.inf:
            refuse(f"--weight-decay must be finite and at least 0, not {cfg.weight_decay}")
        self._optimizer = FusedAdam(params, **self.optimizer_config)

    @property
    def optimizer_config(self) -> dict[str, Any]:
        return {
            "lr": self.cfg.lr[0],
            "betas": read_betas(self.cfg.adam_betas),
            "eps": self.cfg.adam_eps,
            "weight_decay": self.cfg.weight_decay,
        }

    def load_state_dict(
        self, state_dict: dict[str, Any], optimizer_overrides: dict[str, Any] | None = None
    ) -> None:
        if any(state.keys() != {"step", *MOMENTS} for state in state_dict["state"].values()):
            refuse(
                "the checkpoint's optimizer is not Adam: resume with the optimizer of the "
                "checkpoint, or add --reset-optimizer"
            )
        super().load_state_dict(state_dict, optimizer_overrides)


# A run resumes with the optimizer of its checkpoint, which fairseq tells by this name. The state of
# the two is the same, so each may resume the other's run.
FairseqFusedAdam.__name__ = FairseqAdam.__name__


def read_betas(value: Any) -> tuple[float, float]:
    """Read β₁ and β₂ from an option, "(0.9, 0.98)", or from a list of a configuration."""
    try:
        beta1, beta2 = ast.literal_eval(value) if isinstance(value, str) else value
        if 0 <= beta1 < 1 and 0 <= beta2 < 1:
            return beta1, beta2
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    return refuse(f"--adam-betas must be two numbers from 0 to below 1, not {value}")


class FusedAdam(torch.optim.Optimizer):
    """Adam with decoupled weight decay, as in fairseq, by :func:`torch.optim.adamw.adamw`.

    Args:
        params: parameters, or groups of them; state and arithmetic are at least in float32
        lr: learning rate
        betas: β₁, β₂
        eps: ε
        weight_decay: decoupled, multiplied by the learning rate only
    """

    supports_memory_efficient_fp16 = True
    supports_flat_params = True

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Make a step with every parameter that has a gradient."""
        for group in self.param_groups:
            alike = defaultdict(list)  # a kernel takes what is at the same step on one device
            for p in group["params"]:
                if p.grad is not None:
                    alike[self.state[p].get("step", 0) + 1, p.device].append(p)
            for (t, device), params in alike.items():
                self._step(params, t, device, group)

    def _step(
        self, params: list[Tensor], t: int, device: torch.device, group: dict[str, Any]
    ) -> None:
        thetas = [at_least_float32(p) for p in params]
        moments = {name: [] for name in MOMENTS}
        for p, theta in zip(params, thetas):
            state = self.state[p]
            state["step"] = t
            for name in MOMENTS:
                # under --memory-efficient-fp16 fairseq loads state on the device it was saved from
                state[name] = state[name].to(theta) if name in state else torch.zeros_like(theta)
                moments[name].append(state[name])
        beta1, beta2 = group["betas"]
        adamw(
            thetas,
            [at_least_float32(p.grad) for p in params],
            *moments.values(),
            max_exp_avg_sqs=[],
            state_steps=list(torch.full((len(params),), t - 1.0, device=device)),
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"] / math.sqrt(1 - beta2**t),
            maximize=False,
        )
        for p, theta in zip(params, thetas):
            if theta is not p:
                p.copy_(theta)


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor itself, or a float32 copy of one in half precision."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
