"""The loss of a student that learns from gold labels and from a teacher, equation (3).

Forward computes loss and gradient together, one chunk of positions at a time, and keeps only the
gradient.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .fused_loss import default_chunk_size


def distillation_loss(
    logits: Tensor,
    teacher_logits: Tensor,
    target: Tensor,
    scored: Tensor,
    weight: float,
    label_smoothing: float = 0.0,
    chunk_size: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """CE(y, p_s) + w · KL(p_t‖p_s), summed over the scored positions, in nats.

    Args:
        logits: of the student's p_s, (..., V)
        teacher_logits: of the teacher's p_t, (..., V); they receive no gradient
        target: gold types, (...)
        scored: True where a position counts, (...)
        weight: w
        label_smoothing: ε, weight 1 − ε on the target and ε/(V − 1) on each other type
        chunk_size: positions per chunk; if None, chosen by V and the device
    Returns:
        three scalars: the loss; and, without gradients, −Σ log p_s(target) and Σ KL(p_t‖p_s)
    """
    V = logits.size(-1)
    positions = scored.reshape(-1).nonzero().squeeze(1)
    return _DistillationLoss.apply(
        logits.reshape(-1, V),
        teacher_logits.reshape(-1, V),
        target.reshape(-1),
        positions,
        weight,
        label_smoothing,
        chunk_size or default_chunk_size(1, len(positions), V, logits.device.type),
    )


class _DistillationLoss(torch.autograd.Function):
    """∂/∂z_s = (1 + w) p_s − w p_t − y, with y the smoothed gold distribution."""

    @staticmethod
    def forward(ctx, logits, teacher_logits, target, positions, weight, label_smoothing, size):
        smoothing = label_smoothing / (logits.size(-1) - 1)
        on_target = 1 - label_smoothing - smoothing
        dtype = torch.promote_types(torch.float32, logits.dtype)
        ctx.dtype = logits.dtype
        gradient = torch.zeros_like(logits, dtype=dtype)  # 0 where a position does not count
        nll, uniform, kl = gradient.new_zeros(3)
        for chunk in positions.split(size):
            gold = target[chunk].unsqueeze(-1)  # (n, 1)
            a = F.log_softmax(logits[chunk], dim=-1, dtype=dtype)  # log p_s, (n, V)
            b = F.log_softmax(teacher_logits[chunk], dim=-1, dtype=dtype)  # log p_t
            teacher = b.exp()
            nll -= a.gather(-1, gold).sum()
            uniform -= a.sum()
            kl += torch.einsum("nv,nv->n", teacher, b.sub_(a)).sum()
            grad = a.exp_().mul_(1 + weight).sub_(teacher, alpha=weight).sub_(smoothing)
            grad.scatter_add_(-1, gold, grad.new_full(gold.shape, -on_target))
            gradient[chunk] = grad
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(nll, kl)
        return on_target * nll + smoothing * uniform + weight * kl, nll, kl

    @staticmethod
    def backward(ctx, grad_loss, _grad_nll, _grad_kl):
        # In place to save memory, so backward can run only once; autograd raises an error on a
        # second run. grad_loss holds fp16's loss scale: multiply before the cast to fp16
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(grad_loss).to(ctx.dtype), *[None] * 6
