"""The loss of intra-distillation fused with the output projection.

Forward computes value and gradient of equation (10) together, one chunk of target positions at a
time. It keeps the gradients with respect to the decoder's features and the projection, so no
(K·N, V) tensor exists. The reference implementation is
:func:`intra_distill.core.loss.intra_distillation_loss` on the full logits.

:func:`loss_and_gradient_` does the work between a chunk's matrix products. It exists twice: in
torch here, and as a Triton kernel in ``fused_loss_triton.py``, used on CUDA if Triton works there.
"""

import logging
from collections.abc import Callable
from functools import cache
from math import ceil
from typing import Any

import torch
from torch import Tensor

from .divergence import OF_DISTRIBUTIONS
from .loss import LossParts

logger = logging.getLogger(__name__)

# Size of a chunk. A CPU needs a small chunk, for its cache, but 256 rows for a fast product;
# CHUNK_ELEMENTS bounds the memory at a large V. A GPU needs thousands of rows: 2**27 logits are
# one pass over 4,096 positions at V = 32K.
CHUNK_ROWS = 256
CHUNK_ELEMENTS = 2**23
CHUNK_ELEMENTS_CUDA = 2**27

# Most gradients with respect to logits are probabilities, too small for fp16 unless scaled up.
FP16_HEADROOM = 2**8


def fused_intra_distillation_loss(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    alpha: float,
    divergence: str,
    label_smoothing: float = 0.0,
    chunk_size: int | None = None,
    supervised_passes: int | None = None,
) -> LossParts:
    """(1/S) Σ_{i ≤ S} CE_i + α′ · divergence of the outputs softmax(features · weightᵀ + bias).

    Besides the gradients it holds one chunk of logits in memory. Without Triton it also holds the
    chunk's probabilities and, in half precision, an fp32 copy.

    Args:
        features: decoder features of the K passes, (K, N, d)
        weight: output projection, (V, d)
        bias: of the projection, (V,) or None
        target: gold types, (N,)
        alpha: α′ of this update
        divergence: ``x``, ``js`` or ``kl``
        label_smoothing: ε, weight 1 − ε on the target and ε/(V − 1) on each other type
        chunk_size: target positions per chunk; if None, chosen by K, V and the device
        supervised_passes: S, how many of the passes learn from the target; None for all K
    Raises:
        ValueError: for any other divergence
    """
    if divergence not in OF_DISTRIBUTIONS:
        raise ValueError(
            f"no fused loss for the divergence {divergence!r}: {', '.join(OF_DISTRIBUTIONS)}"
        )
    (K, N, _), V = features.shape, weight.size(0)
    device = features.device.type
    chunk_size = chunk_size or default_chunk_size(K, N, V, device)
    if torch.is_autocast_enabled(device):  # multiply in the type of the projection itself
        features = features.to(torch.get_autocast_dtype(device))
    with torch.autocast(device, enabled=False):
        loss, nll, distance = _FusedLoss.apply(
            *(features, weight, bias, target, alpha, divergence, label_smoothing),
            *(supervised_passes or K, chunk_size),
        )
    return LossParts(loss, nll, distance)


def default_chunk_size(K: int, N: int, V: int, device: str) -> int:
    """Target positions per chunk, for K passes over N positions, V types and ``device.type``.

    All chunks are of one size, because a short last one would cost more than its share.
    """
    elements = CHUNK_ELEMENTS_CUDA if device == "cuda" else min(CHUNK_ROWS * V, CHUNK_ELEMENTS)
    largest = max(1, elements // (K * V))
    chunks = max(1, ceil(N / largest))
    return max(1, ceil(N / chunks))


def row_pitch(V: int, device: str) -> int:
    """Number of elements from one row of a chunk's logits to the next.

    On a GPU rows are aligned to 64 elements: matrix products are slow on unaligned rows, such as
    those of 12,001 types.
    """
    return -(-V // 64) * 64 if device == "cuda" else V


def loss_and_gradient_(
    z: Tensor,
    gold: Tensor,
    alpha: float,
    divergence: str,
    label_smoothing: float,
    supervised_passes: int,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Loss and gradient of a chunk of logits; overwrites the logits.

    With d_i = z_i − z̄ for X, d_i = z_i − log p̄ for JS, and E_i = Σ_v p_i d_i,

        X = (1/K) Σ_i E_i                         ∂X/∂z_i = (1/K) [p_i ⊙ (d_i − E_i + 1) − p̄]
        JS = (1/K) Σ_i (E_i − log Σ_v exp z_i)    ∂JS/∂z_i = (1/K) p_i ⊙ (d_i − E_i)

    and for KL, with d_1 = z_1 − the mean of the other z_i, L_i = log Σ_v exp z_i, and i > 1,

        KL = E_1 − L_1 + mean of the L_i          ∂KL/∂z_1 = p_1 ⊙ (d_1 − E_1)
                                                  ∂KL/∂z_i = (p_i − p_1) / (K − 1)

    z_i needs no normalisation: it would shift d_i and E_i alike, and for X the shifts sum to zero.

    Args:
        z: logits in any floating type, (K, n, V)
        gold: target types, (n,)
        alpha, divergence, label_smoothing, supervised_passes: as in
            :func:`fused_intra_distillation_loss`
        scale: factor of the gradient
    Returns:
        the sums of :class:`LossParts` in at least fp32, (3,), and ``scale`` · ∂loss/∂z in the type
        of z, (K, n, V), in fp16 clamped to the largest finite number
    """
    K, n, V = z.shape
    S = supervised_passes
    smoothing = label_smoothing / (V - 1)
    on_target = 1 - label_smoothing - smoothing
    dtype = z.dtype
    z = z.to(torch.promote_types(torch.float32, dtype))
    gold = gold.expand(K, n).unsqueeze(-1)  # (K, n, 1)

    z.sub_(z.amax(dim=-1, keepdim=True))
    p = z.softmax(dim=-1)
    # max z_i is 0, so max p_i is 1 / Σ_v exp z_i: faster than computing the sum again
    log_normaliser = p.amax(dim=-1, keepdim=True).log_().neg_()  # (K, n, 1)
    nll = (log_normaliser - z.gather(-1, gold))[:S].sum() / S
    loss = on_target * nll
    if label_smoothing > 0:
        loss += smoothing * (V * log_normaliser[:S].sum() - z[:S].sum()) / S

    # the gradient is K times as large until the end: of the cross-entropies it is K/S or 0 times
    # that of CE_i
    ce = z.new_zeros(K, 1, 1)
    ce[:S] = K / S
    if K == 1:
        distance = torch.zeros_like(nll)
        gradient = p
    elif divergence == "x":
        mean_p = p.mean(dim=0)  # p̄, (n, V)
        pd = z.sub_(z.mean(dim=0)).mul_(p)
        expected = pd.sum(dim=-1, keepdim=True)  # E_i, (K, n, 1)
        distance = expected.sum() / K
        gradient = p.mul_(ce + alpha * (1 - expected)).sub_(mean_p.mul_(alpha))
        gradient.add_(pd, alpha=alpha)
    elif divergence == "js":
        # where p̄ underflows, the p_i do too, and multiply the clamped logarithm by 0
        log_mean = p.mean(dim=0).clamp_(min=torch.finfo(p.dtype).tiny).log_()  # (n, V)
        pd = z.sub_(log_mean).mul_(p)
        expected = pd.sum(dim=-1, keepdim=True)
        distance = (expected - log_normaliser).sum() / K
        gradient = p.mul_(ce - alpha * expected).add_(pd, alpha=alpha)
    else:
        first = p[0].clone()  # p_1, (n, V)
        pd = z[0].sub_(z[1:].mean(dim=0)).mul_(first)
        expected = pd.sum(dim=-1, keepdim=True)  # E_1, (n, 1)
        distance = (expected - log_normaliser[0] + log_normaliser[1:].mean(dim=0)).sum()
        gradient, away = p, alpha * K / (K - 1)
        gradient[0].mul_(ce[0] - alpha * K * expected).add_(pd, alpha=alpha * K)
        gradient[1:].mul_(ce[1:] + away).sub_(first.mul_(away))
    gradient.sub_(smoothing * ce)
    gradient.scatter_add_(-1, gold, (-on_target * ce).expand(K, n, 1))
    if scale != K:
        gradient.mul_(scale / K)
    if dtype == torch.float16:
        largest = torch.finfo(dtype).max
        gradient.clamp_(-largest, largest)
    return torch.stack([loss + alpha * distance, nll, distance]), gradient.to(dtype)


def _loss_and_gradient_on(logits: Tensor) -> Callable[..., tuple[Tensor, Tensor]]:
    """Choose the implementation of :func:`loss_and_gradient_` by the logits' device and type."""
    on_triton = logits.is_cuda and logits.dtype != torch.float64
    return loss_and_gradient_with_triton_ if on_triton else loss_and_gradient_


_triton_works = True  # until it fails in this process


def loss_and_gradient_with_triton_(z: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    """:func:`loss_and_gradient_` as a Triton kernel, or in torch once Triton has failed.

    Triton compiles the kernel at its first launch with a C compiler, Python's headers and a cache
    on disk, which not every machine with a GPU has.
    """
    global _triton_works
    try:
        if _triton_works:
            from . import fused_loss_triton

            return fused_loss_triton.loss_and_gradient_(z, *arguments)
    except Exception as error:  # Triton passes on those of compilers, files and drivers
        if "out of memory" in str(error):  # fairseq, which looks for these words, skips the batch
            raise
        _triton_works = False
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        logger.warning(
            f"the fused loss runs in torch, more slowly, because Triton failed ({cause}). Triton "
            "needs a C compiler, Python's headers and a writable TRITON_CACHE_DIR"
        )
    # The logits are as they were. What fails to import, compile or load has not been launched; and
    # a kernel that fails as it runs breaks CUDA for the whole process, so that torch fails as well.
    return loss_and_gradient_(z, *arguments)


@cache
def _adds_to_fp32(dtype: torch.dtype, device: str) -> bool:
    """Whether torch adds a product of half-precision matrices to an fp32 total, in one operation.

    On CUDA it does since 2.10. torch 2.8 and 2.9 know ``out_dtype`` and refuse such a total.
    """
    total, factor = torch.zeros(1, 1, device=device), torch.ones(1, 1, dtype=dtype, device=device)
    try:
        torch.addmm(total, factor, factor, out_dtype=torch.float32, out=total)
    except (TypeError, RuntimeError):
        return False
    return total.item() == 1


def _add_product_(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left · right; total is in fp32 if the factors are in half precision."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    elif not left.is_cuda:
        total.addmm_(left.to(total.dtype), right.to(total.dtype))
    elif _adds_to_fp32(left.dtype, "cuda"):
        torch.addmm(total, left, right, out_dtype=total.dtype, out=total)
    else:
        total += left @ right


class _FusedLoss(torch.autograd.Function):
    """Computes the gradients in forward, because the logits no longer exist in backward."""

    @staticmethod
    def forward(ctx, features, weight, bias, target, *options):
        *of_a_chunk, chunk_size = options
        K, N, d = features.shape
        V = weight.size(0)
        dtype = features.dtype
        accumulate = torch.promote_types(torch.float32, dtype)
        ctx.dtypes = dtype, weight.dtype
        # Scaling by K saves a multiplication of the chunk. In half precision a power of two keeps
        # the rounding of the unscaled gradient, because it changes only the exponent
        ctx.scale = {torch.float16: FP16_HEADROOM, torch.bfloat16: 1}.get(dtype, K)

        weight = weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
        grad_features = torch.empty_like(features, dtype=accumulate)
        grad_weight = torch.zeros_like(weight, dtype=accumulate)
        grad_bias = None if bias is None else torch.zeros_like(bias, dtype=accumulate)
        parts = features.new_zeros(3, dtype=accumulate)

        pitch = row_pitch(V, features.device.type)
        logits = features.new_empty(K * min(chunk_size, N), pitch)[:, :V]
        implementation_ = _loss_and_gradient_on(logits)

        for start in range(0, N, chunk_size):
            chunk = slice(start, start + chunk_size)
            n = min(chunk_size, N - start)
            h = features[:, chunk].reshape(K * n, d)
            z = logits[: K * n]
            if bias is None:
                torch.mm(h, weight.t(), out=z)
            else:
                torch.addmm(bias, h, weight.t(), out=z)
            chunk_parts, grad = implementation_(
                z.view(K, n, V), target[chunk], *of_a_chunk, ctx.scale
            )
            parts += chunk_parts
            grad = grad.view(K * n, V)
            grad_features[:, chunk] = (grad @ weight).view(K, n, d)
            _add_product_(grad_weight, grad.t(), h)
            if bias is not None:
                grad_bias += grad.sum(dim=0, dtype=accumulate)

        ctx.save_for_backward(grad_features, grad_weight, grad_bias)
        # copies, because fairseq changes the loss in place (loss *= 0), and autograd forbids it
        # on views
        loss, nll, distance = (part.clone() for part in parts)
        ctx.mark_non_differentiable(nll, distance)
        return loss, nll, distance

    @staticmethod
    def backward(ctx, grad_loss, _grad_nll, _grad_distance):
        # grad_loss holds fp16's loss scale: multiply before the cast to fp16
        features_dtype, weight_dtype = ctx.dtypes
        grad_features, grad_weight, grad_bias = ctx.saved_tensors
        factor = grad_loss / ctx.scale
        return (
            (grad_features * factor).to(features_dtype),
            (grad_weight * factor).to(weight_dtype),
            None if grad_bias is None else (grad_bias * factor).to(weight_dtype),
            *[None] * 6,
        )
