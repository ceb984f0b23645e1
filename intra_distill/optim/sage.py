"""SAGE: Adam or Adamax whose learning rate is adapted to each weight's sensitivity.

Liang et al.: No Parameters Left Behind: Sensitivity Guided Adaptive Learning Rate for Training
Large Transformer Models, ICLR 2022. Attention and FFN matrices are guided; biases, LayerNorm,
embeddings and the output projection take plain steps of the base optimizer.
"""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, List

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, register_optimizer
from omegaconf import II
from torch import Tensor, nn

from ..errors import refuse

logger = logging.getLogger(__name__)

SECOND_MOMENT = {"adam": "exp_avg_sq", "adamax": "exp_inf"}  # of each base, named as in fairseq


@dataclass
class SageConfig(FairseqDataclass):
    sage_base: str = field(default="adam", metadata={"help": "base optimizer: adam or adamax"})
    sage_beta1: float = field(default=0.9, metadata={"help": "β₁ of the base optimizer"})
    sage_beta2: float = field(default=0.999, metadata={"help": "β₂ of the base optimizer"})
    sage_beta3: float = field(default=0.75, metadata={"help": "β₃ of the mean sensitivity"})
    sage_eps: float = field(default=1e-8, metadata={"help": "ε; ε² is added to the sensitivity"})
    weight_decay: float = field(default=0.0, metadata={"help": "weight decay"})
    lr: List[float] = II("optimization.lr")


@register_optimizer("sage", dataclass=SageConfig)
class FairseqSage(FairseqOptimizer):
    """SAGE for fairseq's transformers.

    Raises:
        SystemExit: with one line, for options out of range, flattened parameters, a model
            without attention or the checkpoint of another optimizer
    """

    def __init__(self, cfg: SageConfig, params: Iterable[nn.Parameter]) -> None:
        super().__init__(cfg)
        if cfg.sage_base not in SECOND_MOMENT:
            refuse(f"--sage-base must be {' or '.join(SECOND_MOMENT)}, not {cfg.sage_base!r}")
        for name, beta in (("beta1", cfg.sage_beta1), ("beta2", cfg.sage_beta2)):
            if not 0 <= beta < 1:
                refuse(f"--sage-{name} must be at least 0 and below 1, not {beta}")
        if not 0 < cfg.sage_beta3 < 1:  # at 0, I = Î: guided weights would never change
            refuse(f"--sage-beta3 must be above 0 and below 1, not {cfg.sage_beta3}")
        if not 1e-16 <= cfg.sage_eps < 1:
            refuse(f"--sage-eps must be at least 1e-16 and below 1, not {cfg.sage_eps}")
        if not 0 <= cfg.weight_decay < math.inf:
            refuse(f"--weight-decay must be finite and at least 0, not {cfg.weight_decay}")
        params = list(params)
        if all(p.ndim < 2 for p in params):
            refuse(
                "--optimizer sage needs each matrix by itself, but --fp16 flattens all parameters "
                "into one vector: add --fp16-no-flatten-grads"
            )
        self._optimizer = Sage(params, **self.optimizer_config)

    @property
    def optimizer_config(self) -> dict[str, Any]:
        return {
            "lr": self.cfg.lr[0],
            "base": self.cfg.sage_base,
            "betas": (self.cfg.sage_beta1, self.cfg.sage_beta2, self.cfg.sage_beta3),
            "eps": self.cfg.sage_eps,
            "weight_decay": self.cfg.weight_decay,
        }

    def all_reduce_grads(self, module: nn.Module) -> None:
        """Reduce gradients as fairseq does; the first call also finds the parameters to guide.

        Only here does the optimizer see the model: fairseq passes it before each step, and then the
        criterion. The optimizer was built from a list of parameters without names (copies under
        --fp16), but the list begins with the model's parameters in the model's order.
        """
        super().all_reduce_grads(module)
        if self._optimizer.guided is None:
            self._optimizer.guided = self._guided(module)

    def _guided(self, model: nn.Module) -> set[Tensor]:
        matrices = attention_and_ffn_matrices(model)
        trainable = [p for p in model.parameters() if p.requires_grad]
        if any(mine.shape != p.shape for mine, p in zip(self.params, trainable)):
            refuse("parameters were frozen after --optimizer sage was built: freeze them before")
        guided = {mine for mine, p in zip(self.params, trainable) if p in matrices}
        if not guided:
            refuse(
                f"{type(model).__name__} has no attention and FFN matrices to train for "
                f"--optimizer sage, which is made for transformers: use {self.cfg.sage_base}"
            )
        size, total = (sum(p.numel() for p in each) for each in (guided, self.params))
        logger.info(
            f"sage guides {len(guided)} attention and FFN matrices, "
            f"{size:,} of {total:,} parameters"
        )
        return guided

    def load_state_dict(
        self, state_dict: dict[str, Any], optimizer_overrides: dict[str, Any] | None = None
    ) -> None:
        if state_dict["param_groups"][0].get("base") != self.cfg.sage_base:
            refuse(
                f"the checkpoint's optimizer is not sage on {self.cfg.sage_base}: resume with the "
                "optimizer of the checkpoint, or add --reset-optimizer"
            )
        super().load_state_dict(state_dict, optimizer_overrides)


def attention_and_ffn_matrices(model: nn.Module) -> set[Tensor]:
    """The weight matrices of all transformer layers; a layer is a module with a ``self_attn``."""
    return {
        p
        for layer in model.modules()
        if hasattr(layer, "self_attn")
        for name, p in layer.named_parameters()
        if p.ndim >= 2 and "bias" not in name  # stacked biases of experts are 2-D
    }


class Sage(torch.optim.Optimizer):
    """Adam or Adamax as in fairseq, except for the parameters in ``guided``.

    A guided step is multiplied by U_t / (Î_t + ε²), where I_t = |θ ⊙ g|, U_t = |I_t − Î_t|, and Î_t
    is the moving average of I_t with β₃, corrected for its start at 0. So the first step is 0.
    ``guided`` must be set before it.

    Where Î_t is exactly 0, the factor is 1, a plain step. Only there is this not the paper's
    equation, whose factor is 0: a weight that is 0, because it was pruned or begins so, has no
    sensitivity and would stay 0 for ever.

    Args:
        params: parameters, or groups of them; state and arithmetic are at least in float32
        lr: learning rate
        base: ``adam`` or ``adamax``
        betas: β₁, β₂, β₃
        eps: ε
        weight_decay: decoupled, multiplied by the learning rate only
    Raises:
        SystemExit: with one line, from a step before ``guided`` is set
    """

    supports_memory_efficient_fp16 = True
    guided: set[Tensor] | None = None

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        base: str = "adam",
        betas: tuple[float, float, float] = (0.9, 0.999, 0.75),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "base": base, "betas": betas, "eps": eps}
        super().__init__(params, {**defaults, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Make a step with every parameter that has a gradient."""
        if self.guided is None:
            refuse("--optimizer sage never received the model: use it without bmuf or composite")
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._step(p, group)

    def _step(self, p: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        dtype = torch.promote_types(p.dtype, torch.float32)
        theta, g = p.to(dtype), p.grad.to(dtype)
        names = ["exp_avg", SECOND_MOMENT[group["base"]]]
        if p in self.guided:
            names.append("exp_avg_sensitivity")
        for name in names:
            # under --memory-efficient-fp16 fairseq loads state on the device it was saved from
            state[name] = state[name].to(p.device) if name in state else torch.zeros_like(theta)
        state["step"] = state.get("step", 0) + 1

        m, v, *sensitivity = (state[name] for name in names)
        lr, eps, (beta1, beta2, beta3) = group["lr"], group["eps"], group["betas"]
        correction1, correction2, correction3 = (1 - b ** state["step"] for b in group["betas"])
        update = m.lerp_(g, 1 - beta1)
        if sensitivity:
            I_t = (theta * g).abs_()
            mean = sensitivity[0].lerp_(I_t, 1 - beta3) / correction3  # Î_t
            U_t = I_t.sub_(mean).abs_()
            insensitive = mean == 0
            factor = U_t.div_(mean.add_(eps**2)).masked_fill_(insensitive, 1)
            update = factor.mul_(m)
        if group["base"] == "adam":
            denominator = v.mul_(beta2).addcmul_(g, g, value=1 - beta2).sqrt().add_(eps)
            lr = lr * correction2**0.5
        else:
            denominator = torch.maximum(v.mul_(beta2), g.abs(), out=v) + eps
        if group["weight_decay"]:
            theta.mul_(1 - group["lr"] * group["weight_decay"])
        theta.addcdiv_(update, denominator, value=-lr / correction1)
        if theta is not p:
            p.copy_(theta)
