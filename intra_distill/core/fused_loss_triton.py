"""Loss and gradient of a chunk of logits as a Triton kernel, for the fused loss.

A program handles one target position in all K passes, one block of the vocabulary at a time. It
reads the logits once for the normalisers and the expectations E_i (JS reads them twice, because p̄
needs the normalisers first), and once more to overwrite them with the gradient. The reference
implementation is :func:`intra_distill.core.fused_loss.loss_and_gradient_`.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE_ELEMENTS = 8192  # logits in a block of a program: 32 for each thread of 8 warps
MIN_BLOCK = 2048  # columns that 8 warps split among them, so no sum over K crosses warps


def loss_and_gradient_(
    z: Tensor,
    gold: Tensor,
    alpha: float,
    divergence: str,
    label_smoothing: float,
    supervised_passes: int,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Loss and gradient of a chunk of logits in fp32, fp16 or bf16, in place.

    Arguments and results are those of the reference implementation; arithmetic is in fp32. If the
    stride between rows of z is a multiple of 64, the kernel also overwrites the padding columns,
    so that it loads and stores whole vectors.
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
            SUPERVISED=supervised_passes,
            DIVERGENCE=divergence if K > 1 else "none",
            num_warps=8,
        )
    return parts.sum(dim=0), z


@triton.jit
def _load_logits(rows, columns, exists, V: tl.constexpr, WIDTH: tl.constexpr):
    """A block of logits, (ROWS, BLOCK), 0 outside the K passes and the vocabulary."""
    accessible = exists[:, None] & (columns < WIDTH)[None, :]
    z = tl.load(rows[:, None] + columns[None, :], mask=accessible, other=0.0)
    return tl.where((columns < V)[None, :], z.to(tl.float32), 0.0)


@triton.jit
def _log_mean(p, K: tl.constexpr):
    """log p̄, (BLOCK,); where p̄ underflows, the p_i do too, and multiply the result by 0."""
    return tl.log(tl.maximum(tl.sum(p, axis=0) / K, 1e-37))


@triton.jit
def _difference(u, share):
    """d_i = u_i − ū of a block of logits, (ROWS, BLOCK); ū is the sum of share_i · u_i."""
    return u - tl.sum(share[:, None] * u, axis=0)[None, :]


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
    SUPERVISED: tl.constexpr,
    DIVERGENCE: tl.constexpr,
):
    position = tl.program_id(0).to(tl.int64)  # K·n·V may exceed 2^31
    passes = tl.arange(0, ROWS)
    exists = passes < K  # Triton needs a power of two of rows; the rest is padding
    first = passes == 0
    ce = tl.where(passes < SUPERVISED, K / SUPERVISED, 0.0)  # weight of CE_i, K times as large
    # of the passes in the mean ū, which for KL is of all but the first; padding rows add 0
    share = tl.full([ROWS], 1 / K, tl.float32)
    if DIVERGENCE == "kl":
        share = tl.where(first, 0.0, 1 / (K - 1))
    rows = z_ptr + passes.to(tl.int64) * pass_stride + position * position_stride
    gold = tl.load(gold_ptr + position)
    z_gold = tl.load(rows + gold, mask=exists, other=0.0).to(tl.float32)

    maximum = z_gold  # running maximum; 0 in padding rows
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
        if DIVERGENCE == "x" or DIVERGENCE == "kl":  # for KL only E_1 is used
            expected -= normaliser * (rise - tl.sum(share * rise, axis=0))
            expected = expected * rescale + tl.sum(e * _difference(u, share), axis=1)
        normaliser = normaliser * rescale + tl.sum(e, axis=1)
        total += tl.sum(z, axis=1)
        maximum = highest

    normaliser = tl.where(exists, normaliser, 1.0)
    log_sum = tl.log(normaliser)  # not added to the maximum, which would cost digits
    nll = tl.sum(ce * (maximum - z_gold + log_sum), axis=0) / K
    uniform = tl.sum(ce * (V * (maximum + log_sum) - total), axis=0) / K
    if DIVERGENCE == "x" or DIVERGENCE == "kl":
        expected = expected / normaliser  # Σ_v p_i d_i; shifts cancel, so d = u − ū serves
    if DIVERGENCE == "js":
        for start in range(0, V, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            inside = exists[:, None] & (columns < V)[None, :]
            z = _load_logits(rows, columns, exists, V, WIDTH)
            a = (z - maximum[:, None]) - log_sum[:, None]
            p = tl.where(inside, tl.exp(a), 0.0)
            expected += tl.sum(p * (a - _log_mean(p, K)[None, :]), axis=1)  # KL(p_i‖p̄)
    distance = tl.sum(expected, axis=0) / K
    if DIVERGENCE == "kl":
        distance = tl.sum(tl.where(first, expected - log_sum, share * log_sum), axis=0)
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
        gradient = ce[:, None] * (p - smoothing)
        if DIVERGENCE == "x":
            d = _difference(u, share)
            mean_p = tl.sum(p, axis=0) / K
            gradient += alpha * (p * (d - expected[:, None] + 1) - mean_p[None, :])
        if DIVERGENCE == "js":
            gradient += alpha * p * (a - _log_mean(p, K)[None, :] - expected[:, None])
        if DIVERGENCE == "kl":
            p_1 = tl.sum(tl.where(first[:, None], p, 0.0), axis=0)
            of_first = p * (_difference(u, share) - expected[:, None])
            of_others = (p - p_1[None, :]) / (K - 1)
            gradient += alpha * K * tl.where(first[:, None], of_first, of_others)
        at_gold = gradient - (ce * on_target)[:, None]
        gradient = tl.where((columns == gold)[None, :], at_gold, gradient) * factor
        if z_ptr.dtype.element_ty == tl.float16:  # tl.where keeps NaN
            gradient = tl.where(gradient > 65504.0, 65504.0, gradient)
            gradient = tl.where(gradient < -65504.0, -65504.0, gradient)
        tl.store(
            rows[:, None] + columns[None, :],
            gradient.to(z_ptr.dtype.element_ty),
            mask=exists[:, None] & (columns < WIDTH)[None, :],
        )
