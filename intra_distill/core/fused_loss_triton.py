"""What the fused loss does to a chunk of logits between its matrix products, as a Triton kernel.

A program has one target position with all its K passes, a block of the vocabulary at a time. It
reads the logits once for their normalisers and the expectations that the divergence needs (twice
for JS, whose p̄ needs the normalisers), and once more to put the gradient in their place. The
reference is :func:`intra_distill.core.fused_loss.loss_and_gradient_`.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE_ELEMENTS = 8192  # logits that a program holds at once: 32 for each thread of 8 warps
MIN_BLOCK = 2048  # columns over which 8 warps lie side by side, so no sum over K crosses them


def loss_and_gradient_(
    z: Tensor,
    gold: Tensor,
    alpha: float,
    divergence: str,
    label_smoothing: float,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Loss and gradient of a chunk of logits in fp32, fp16 or bf16, in place.

    Arguments and results are those of the reference; arithmetic is in fp32. Where the rows of z
    are a multiple of 64 apart, the columns between them are scratch: whole vectors are moved.
    """
    K, n, V = z.shape
    smoothing = label_smoothing / (V - 1)
    padded = z.stride(1) % 64 == 0
    parts = torch.empty(n, 3, dtype=torch.float32, device=z.device)
    rows = triton.next_power_of_2(K)
    with torch.cuda.device_of(z):
        _loss_and_gradient_kernel[(n,)](
            z,
            gold,
            parts,
            z.stride(0),
            z.stride(1),
            float(alpha),
            1 - label_smoothing - smoothing,
            smoothing,
            scale / K,
            V=V,
            WIDTH=triton.cdiv(V, 8) * 8 if padded else V,
            K=K,
            ROWS=rows,
            BLOCK=max(MIN_BLOCK, TILE_ELEMENTS // rows),
            DIVERGENCE=divergence if K > 1 else "none",
            num_warps=8,
        )
    return parts.sum(dim=0), z


@triton.jit
def _load_logits(rows, columns, exists, V: tl.constexpr, WIDTH: tl.constexpr):
    """A block of logits, (ROWS, BLOCK), and 0 where there are none."""
    accessible = exists[:, None] & (columns < WIDTH)[None, :]
    z = tl.load(rows[:, None] + columns[None, :], mask=accessible, other=0.0)
    return tl.where((columns < V)[None, :], z.to(tl.float32), 0.0)


@triton.jit
def _log_mean(p, K: tl.constexpr):
    """log p̄, (BLOCK,); where p̄ underflows, so do the p_i that this is multiplied with."""
    return tl.log(tl.maximum(tl.sum(p, axis=0) / K, 1e-37))


@triton.jit
def _loss_and_gradient_kernel(
    z_ptr,
    gold_ptr,
    parts_ptr,
    pass_stride,
    position_stride,
    alpha,
    on_target,
    smoothing,
    factor,
    V: tl.constexpr,
    WIDTH: tl.constexpr,
    K: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    DIVERGENCE: tl.constexpr,
):
    position = tl.program_id(0).to(tl.int64)  # K·n·V may exceed 2^31
    passes = tl.arange(0, ROWS)
    exists = passes < K  # ROWS is the power of two that Triton wants
    rows = z_ptr + passes.to(tl.int64) * pass_stride + position * position_stride
    gold = tl.load(gold_ptr + position)
    z_gold = tl.load(rows + gold, mask=exists, other=0.0).to(tl.float32)

    maximum = z_gold  # so far; 0 in the rows that do not exist
    normaliser = tl.zeros([ROWS], tl.float32)  # Σ_v exp(z_i − maximum)
    expected = tl.zeros([ROWS], tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    for start in range(0, V, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        inside = exists[:, None] & (columns < V)[None, :]
        z = _load_logits(rows, columns, exists, V, WIDTH)
        highest = tl.maximum(maximum, tl.max(tl.where(inside, z, float("-inf")), axis=1))
        rise = highest - maximum
        rescale = tl.exp(-rise)
        u = z - highest[:, None]
        e = tl.where(inside, tl.exp(u), 0.0)
        if DIVERGENCE == "x":
            d = u - (tl.sum(u, axis=0) / K)[None, :]
            expected -= normaliser * (rise - tl.sum(rise, axis=0) / K)
            expected = expected * rescale + tl.sum(e * d, axis=1)
        normaliser = normaliser * rescale + tl.sum(e, axis=1)
        total += tl.sum(z, axis=1)
        maximum = highest

    normaliser = tl.where(exists, normaliser, 1.0)
    log_sum = tl.log(normaliser)  # apart from the maximum, beside which it would lose digits
    nll = tl.sum(maximum - z_gold + log_sum, axis=0) / K
    uniform = tl.sum(V * (maximum + log_sum) - total, axis=0) / K
    if DIVERGENCE == "x":
        expected = expected / normaliser  # Σ_v p_i d_i, with d = u − ū as good as z − z̄
    if DIVERGENCE == "js":
        for start in range(0, V, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            inside = exists[:, None] & (columns < V)[None, :]
            z = _load_logits(rows, columns, exists, V, WIDTH)
            a = (z - maximum[:, None]) - log_sum[:, None]
            p = tl.where(inside, tl.exp(a), 0.0)
            expected += tl.sum(p * (a - _log_mean(p, K)[None, :]), axis=1)  # KL(p_i‖p̄)
    distance = tl.sum(expected, axis=0) / K
    tl.store(parts_ptr + 3 * position, on_target * nll + smoothing * uniform + alpha * distance)
    tl.store(parts_ptr + 3 * position + 1, nll)
    tl.store(parts_ptr + 3 * position + 2, distance)

    for start in range(0, V, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        inside = exists[:, None] & (columns < V)[None, :]
        z = _load_logits(rows, columns, exists, V, WIDTH)
        u = z - maximum[:, None]
        a = u - log_sum[:, None]
        p = tl.where(inside, tl.exp(a), 0.0)
        gradient = p - smoothing
        if DIVERGENCE == "x":
            d = u - (tl.sum(u, axis=0) / K)[None, :]
            mean_p = tl.sum(p, axis=0) / K
            gradient += alpha * (p * (d - expected[:, None] + 1) - mean_p[None, :])
        if DIVERGENCE == "js":
            gradient += alpha * p * (a - _log_mean(p, K)[None, :] - expected[:, None])
        gradient = tl.where((columns == gold)[None, :], gradient - on_target, gradient) * factor
        if z_ptr.dtype.element_ty == tl.float16:  # by where, as it lets NaN through
            gradient = tl.where(gradient > 65504.0, 65504.0, gradient)
            gradient = tl.where(gradient < -65504.0, -65504.0, gradient)
        tl.store(
            rows[:, None] + columns[None, :],
            gradient.to(z_ptr.dtype.element_ty),
            mask=exists[:, None] & (columns < WIDTH)[None, :],
        )
