"""The loss of intra-distillation fused with the output projection.

Value and gradient of equation (10) are plain functions of the K log-probabilities, so both come
out of one visit to the logits, a chunk of target positions at a time. What is kept is the
gradient with respect to the decoder's features and to the projection; no (K·N, V) tensor exists.
The reference is :func:`intra_distill.core.loss.intra_distillation_loss` on the whole logits.
"""

import math

import torch
from torch import Tensor

from .loss import LossParts

CHUNK_ELEMENTS = 2**20  # logits in a chunk: small enough for the cache, enough for a fast product


def fused_intra_distillation_loss(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    alpha: float,
    divergence: str,
    label_smoothing: float = 0.0,
    chunk_size: int | None = None,
) -> LossParts:
    """(1/K) Σ_i CE_i + α′ · divergence of the outputs softmax(features · weightᵀ + bias).

    Args:
        features: decoder features of the K passes, (K, N, d)
        weight: output projection, (V, d)
        bias: of the projection, (V,) or None
        target: gold types, (N,)
        alpha: α′ of this update
        divergence: ``x`` or ``js``
        label_smoothing: ε, weight 1 − ε on the target and ε/(V − 1) on each other type
        chunk_size: target positions per chunk, chosen by the size of the logits if None
    Raises:
        ValueError: if the divergence has no closed-form gradient here
    """
    if divergence not in _GRADIENTS:
        raise ValueError(f"no fused loss for the divergence {divergence!r}: x or js")
    K, V = features.size(0), weight.size(0)
    chunk_size = chunk_size or max(1, CHUNK_ELEMENTS // (K * V))
    device = features.device.type
    if torch.is_autocast_enabled(device):  # the products run as the projection itself would
        features = features.to(torch.get_autocast_dtype(device))
    with torch.autocast(device, enabled=False):
        loss, nll, distance = _FusedLoss.apply(
            features, weight, bias, target, alpha, divergence, label_smoothing, chunk_size
        )
    return LossParts(loss, nll, distance)


def _x_gradient_(a: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """X-divergence and K ∂X/∂z, which takes the place of the log-probabilities a.

    ∂X/∂z_i = (1/K) [p_i ⊙ (a_i − ā − s_i) + p_i − p̄],  s_i = Σ_v p_i (a_i − ā),  X = (1/K) Σ_i s_i
    """
    difference = a.sub_(a.mean(dim=0))  # a_i − ā, (K, n, V)
    s = _dot(p, difference)  # (K, n, 1)
    return s.sum() / a.size(0), difference.sub_(s - 1).mul_(p).sub_(p.mean(dim=0))


def _js_gradient_(a: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """JS divergence and K ∂JS/∂z, which takes the place of the log-probabilities a.

    ∂JS/∂z_i = (1/K) p_i ⊙ (a_i − log p̄ − KL(p_i‖p̄))
    """
    # log p̄ by way of the largest a_i: a probability may underflow, its logarithm does not
    log_mean = a.logsumexp(dim=0).sub_(math.log(a.size(0)))  # (n, V)
    difference = a.sub_(log_mean)  # a_i − log p̄, (K, n, V)
    kl = _dot(p, difference)  # KL(p_i‖p̄), (K, n, 1)
    return kl.sum() / a.size(0), difference.sub_(kl).mul_(p)


_GRADIENTS = {"x": _x_gradient_, "js": _js_gradient_}


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Σ_v left · right without the product in memory: (K, n, V) twice → (K, n, 1)."""
    return torch.einsum("knv,knv->kn", left, right).unsqueeze(-1)


class _FusedLoss(torch.autograd.Function):
    """Computes its gradients in forward, as they need the logits that are gone afterwards."""

    @staticmethod
    def forward(
        ctx, features, weight, bias, target, alpha, divergence, label_smoothing, chunk_size
    ):
        K, N, d = features.shape
        V = weight.size(0)
        smoothing = label_smoothing / (V - 1)
        on_target = 1 - label_smoothing - smoothing
        accumulate = torch.promote_types(torch.float32, features.dtype)

        ctx.dtypes = features.dtype, weight.dtype
        weight = weight.to(features.dtype)
        grad_features = torch.empty_like(features, dtype=accumulate)
        grad_weight = torch.zeros_like(weight, dtype=accumulate)
        grad_bias = None if bias is None else torch.zeros_like(bias, dtype=accumulate)
        nll, uniform, distance = features.new_zeros(3, dtype=accumulate)

        # one chunk of logits and one of probabilities, used again and again: fresh memory is slow
        logits = features.new_empty(K * min(chunk_size, N) * V)
        probabilities = torch.empty_like(logits, dtype=accumulate)

        for start in range(0, N, chunk_size):
            chunk = slice(start, start + chunk_size)
            n = min(chunk_size, N - start)
            h = features[:, chunk].reshape(K * n, d)
            gold = target[chunk].expand(K, n).unsqueeze(-1)  # (K, n, 1)

            z = logits[: K * n * V].view(K * n, V)
            torch.mm(h, weight.t(), out=z)
            if bias is not None:
                z += bias
            a = z.view(K, n, V).to(accumulate)
            a.sub_(a.amax(dim=-1, keepdim=True))
            p = torch.exp(a, out=probabilities[: K * n * V].view(K, n, V))
            normaliser = p.sum(dim=-1, keepdim=True)  # (K, n, 1)
            p.div_(normaliser)
            a.sub_(normaliser.log_())  # log-probabilities
            nll -= a.gather(-1, gold).sum()
            if label_smoothing > 0:
                uniform -= a.sum()
            grad = p  # K ∂CE/∂z, but for the constants of the target distribution
            if K > 1:
                chunk_distance, divergence_grad = _GRADIENTS[divergence](a, p)
                distance += chunk_distance
                grad = p.add_(divergence_grad, alpha=alpha)
            if label_smoothing > 0:
                grad.sub_(smoothing)
            grad.scatter_add_(-1, gold, grad.new_full(gold.shape, -on_target))

            grad = grad.div_(K).to(features.dtype).view(K * n, V)
            grad_features[:, chunk] = (grad @ weight).view(K, n, d)
            grad_weight.addmm_(grad.t().to(accumulate), h.to(accumulate))
            if bias is not None:
                grad_bias += grad.sum(dim=0, dtype=accumulate)

        nll, uniform = nll / K, uniform / K
        loss = on_target * nll + smoothing * uniform + alpha * distance
        ctx.save_for_backward(grad_features, grad_weight, grad_bias)
        ctx.mark_non_differentiable(nll, distance)
        return loss, nll, distance

    @staticmethod
    def backward(ctx, grad_loss, _grad_nll, _grad_distance):
        # the loss scale of fp16 enters before the gradients become fp16
        features_dtype, weight_dtype = ctx.dtypes
        grad_features, grad_weight, grad_bias = ctx.saved_tensors
        return (
            (grad_features * grad_loss).to(features_dtype),
            (grad_weight * grad_loss).to(weight_dtype),
            None if grad_bias is None else (grad_bias * grad_loss).to(weight_dtype),
            *[None] * 5,
        )
