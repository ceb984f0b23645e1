"""The loss of intra-distillation fused with the output projection.

Value and gradient of equation (10) are plain functions of the K log-probabilities, so both come
out of one visit to the logits, a chunk of target positions at a time. What is kept is the
gradient with respect to the decoder's features and to the projection; no (K·N, V) tensor exists.
The reference is :func:`intra_distill.core.loss.intra_distillation_loss` on the whole logits.

What happens to a chunk between its matrix products is :func:`loss_and_gradient_`, in torch here
and as one Triton kernel in ``fused_loss_triton.py``, which runs on CUDA wherever Triton does.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .divergence import DIVERGENCES
from .loss import LossParts

# Logits in a chunk. A CPU wants few, for its cache, but rows enough for a fast product: so many,
# and fewer where that would take more memory than a chunk is to have. A GPU wants thousands of
# rows, and this many logits are what one pass over 4,096 positions makes at V = 32K.
CHUNK_ROWS = 256
CHUNK_ELEMENTS = 2**23
CHUNK_ELEMENTS_CUDA = 2**27

# The gradient with respect to the logits is mostly probabilities, too small for fp16 as they are.
FP16_HEADROOM = 2**8

# since torch 2.8 the product of half-precision matrices on CUDA can come out in fp32
_FP32_PRODUCTS = torch.version.cuda is not None and "dtype" in torch.ops.aten.addmm.overloads()


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

    Beyond the gradients it needs the memory of one chunk of logits; without Triton that of the
    chunk's probabilities too, and in half precision of an fp32 copy.

    Args:
        features: decoder features of the K passes, (K, N, d)
        weight: output projection, (V, d)
        bias: of the projection, (V,) or None
        target: gold types, (N,)
        alpha: α′ of this update
        divergence: ``x`` or ``js``
        label_smoothing: ε, weight 1 − ε on the target and ε/(V − 1) on each other type
        chunk_size: target positions per chunk, chosen by device and size of the logits if None
    Raises:
        ValueError: if the divergence is neither
    """
    if divergence not in DIVERGENCES:
        raise ValueError(f"no fused loss for the divergence {divergence!r}: x or js")
    K, V = features.size(0), weight.size(0)
    device = features.device.type
    chunk_size = chunk_size or max(1, chunk_elements(V, device) // (K * V))
    if torch.is_autocast_enabled(device):  # the products run as the projection itself would
        features = features.to(torch.get_autocast_dtype(device))
    with torch.autocast(device, enabled=False):
        loss, nll, distance = _FusedLoss.apply(
            features, weight, bias, target, alpha, divergence, label_smoothing, chunk_size
        )
    return LossParts(loss, nll, distance)


def chunk_elements(V: int, device: str) -> int:
    """How many logits over V types a chunk has at most, on a type of device."""
    return CHUNK_ELEMENTS_CUDA if device == "cuda" else min(CHUNK_ROWS * V, CHUNK_ELEMENTS)


def loss_and_gradient_(
    z: Tensor,
    gold: Tensor,
    alpha: float,
    divergence: str,
    label_smoothing: float,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Loss and gradient of a chunk of logits, which are overwritten.

    With d_i = z_i − z̄ for X, d_i = z_i − log p̄ for JS, and E_i = Σ_v p_i d_i,

        X = (1/K) Σ_i E_i                         ∂X/∂z_i = (1/K) [p_i ⊙ (d_i − E_i + 1) − p̄]
        JS = (1/K) Σ_i (E_i − log Σ_v exp z_i)    ∂JS/∂z_i = (1/K) p_i ⊙ (d_i − E_i)

    as the log-normaliser of a pass shifts its d_i and E_i alike, and for X the shifts sum to zero.

    Args:
        z: logits in any floating type, (K, n, V)
        gold: target types, (n,)
        alpha, divergence, label_smoothing: as of the whole loss
        scale: times which the gradient is wanted
    Returns:
        the sums of :class:`LossParts` in fp32 or better, (3,), and ``scale`` · ∂loss/∂z in the
        type of z, (K, n, V), which in fp16 ends at its largest number
    """
    K, n, V = z.shape
    smoothing = label_smoothing / (V - 1)
    on_target = 1 - label_smoothing - smoothing
    dtype = z.dtype
    z = z.to(torch.promote_types(torch.float32, dtype))
    gold = gold.expand(K, n).unsqueeze(-1)  # (K, n, 1)

    z.sub_(z.amax(dim=-1, keepdim=True))
    p = z.softmax(dim=-1)
    # the largest probability is 1 / Σ_v exp z_i now: quicker to find than the sum again
    log_normaliser = p.amax(dim=-1, keepdim=True).log_().neg_()  # (K, n, 1)
    nll = (log_normaliser - z.gather(-1, gold)).sum() / K
    loss = on_target * nll
    if label_smoothing > 0:
        loss += smoothing * (V * log_normaliser.sum() - z.sum()) / K

    if K == 1:
        distance = torch.zeros_like(nll)
        gradient = p.sub_(smoothing)
    elif divergence == "x":
        mean_p = p.mean(dim=0)  # p̄, (n, V)
        pd = z.sub_(z.mean(dim=0)).mul_(p)
        expected = pd.sum(dim=-1, keepdim=True)  # E_i, (K, n, 1)
        distance = expected.sum() / K
        gradient = p.mul_(1 + alpha * (1 - expected)).sub_(mean_p.mul_(alpha).add_(smoothing))
        gradient.add_(pd, alpha=alpha)
    else:
        # where p̄ underflows, so do the p_i that its logarithm is multiplied with
        log_mean = p.mean(dim=0).clamp_(min=torch.finfo(p.dtype).tiny).log_()  # (n, V)
        pd = z.sub_(log_mean).mul_(p)
        expected = pd.sum(dim=-1, keepdim=True)
        distance = (expected - log_normaliser).sum() / K
        gradient = p.mul_(1 - alpha * expected).add_(pd, alpha=alpha).sub_(smoothing)
    gradient.scatter_add_(-1, gold, gradient.new_full((1, 1, 1), -on_target).expand(K, n, 1))
    if scale != K:
        gradient.mul_(scale / K)
    if dtype == torch.float16:
        largest = torch.finfo(dtype).max
        gradient.clamp_(-largest, largest)
    return torch.stack([loss + alpha * distance, nll, distance]), gradient.to(dtype)


def _loss_and_gradient_on(logits: Tensor) -> Callable[..., tuple[Tensor, Tensor]]:
    """The implementation of :func:`loss_and_gradient_` for logits of this device and type."""
    if logits.is_cuda and logits.dtype != torch.float64:
        try:
            from . import fused_loss_triton
        except ImportError:
            return loss_and_gradient_
        return fused_loss_triton.loss_and_gradient_
    return loss_and_gradient_


def _add_product_(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left · right, with total in fp32 where the factors are in half precision."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    elif not left.is_cuda:
        total.addmm_(left.to(total.dtype), right.to(total.dtype))
    elif _FP32_PRODUCTS:
        torch.addmm(total, left, right, out_dtype=total.dtype, out=total)
    else:
        total += left @ right


class _FusedLoss(torch.autograd.Function):
    """Computes its gradients in forward, as they need the logits that are gone afterwards."""

    @staticmethod
    def forward(
        ctx, features, weight, bias, target, alpha, divergence, label_smoothing, chunk_size
    ):
        K, N, d = features.shape
        V = weight.size(0)
        dtype = features.dtype
        accumulate = torch.promote_types(torch.float32, dtype)
        ctx.dtypes = dtype, weight.dtype
        # K spares a pass over the logits, a power of two leaves half precision its rounding
        ctx.scale = {torch.float16: FP16_HEADROOM, torch.bfloat16: 1}.get(dtype, K)

        weight = weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
        grad_features = torch.empty_like(features, dtype=accumulate)
        grad_weight = torch.zeros_like(weight, dtype=accumulate)
        grad_bias = None if bias is None else torch.zeros_like(bias, dtype=accumulate)
        parts = features.new_zeros(3, dtype=accumulate)

        # on a GPU the rows are aligned: those of an odd vocabulary (12,001 types) are not by
        # themselves, and matrix products are slow on them
        pitch = -(-V // 64) * 64 if features.is_cuda else V
        logits = features.new_empty(K * min(chunk_size, N), pitch)[:, :V]
        loss_and_gradient_ = _loss_and_gradient_on(logits)

        for start in range(0, N, chunk_size):
            chunk = slice(start, start + chunk_size)
            n = min(chunk_size, N - start)
            h = features[:, chunk].reshape(K * n, d)
            z = logits[: K * n]
            if bias is None:
                torch.mm(h, weight.t(), out=z)
            else:
                torch.addmm(bias, h, weight.t(), out=z)
            chunk_parts, grad = loss_and_gradient_(
                z.view(K, n, V), target[chunk], alpha, divergence, label_smoothing, ctx.scale
            )
            parts += chunk_parts
            grad = grad.view(K * n, V)
            grad_features[:, chunk] = (grad @ weight).view(K, n, d)
            _add_product_(grad_weight, grad.t(), h)
            if bias is not None:
                grad_bias += grad.sum(dim=0, dtype=accumulate)

        ctx.save_for_backward(grad_features, grad_weight, grad_bias)
        # no views: autograd forbids changing those in place, as fairseq does (loss *= 0)
        loss, nll, distance = (part.clone() for part in parts)
        ctx.mark_non_differentiable(nll, distance)
        return loss, nll, distance

    @staticmethod
    def backward(ctx, grad_loss, _grad_nll, _grad_distance):
        # the loss scale of fp16 enters before the gradients become fp16
        features_dtype, weight_dtype = ctx.dtypes
        grad_features, grad_weight, grad_bias = ctx.saved_tensors
        factor = grad_loss / ctx.scale
        return (
            (grad_features * factor).to(features_dtype),
            (grad_weight * factor).to(weight_dtype),
            None if grad_bias is None else (grad_bias * factor).to(weight_dtype),
            *[None] * 5,
        )
