"""Equation (10) on the full logits: the reference implementation of the fused loss."""

from typing import NamedTuple

from torch import Tensor

from .divergence import Divergence


class LossParts(NamedTuple):
    """Scalar sums over the N target positions, in nats; only ``loss`` carries a gradient."""

    loss: Tensor  # (1/K) Σ_i CE_i + α′ · divergence
    nll: Tensor  # (1/K) Σ_i −log p_i(target)
    divergence: Tensor  # without α′


def intra_distillation_loss(
    lprobs: Tensor,
    target: Tensor,
    alpha: float,
    divergence: Divergence,
    label_smoothing: float = 0.0,
) -> LossParts:
    """(1/K) Σ_i CE_i + α′ · divergence, equation (10), with label-smoothed cross-entropy.

    The smoothing is fairseq's: weight 1 − ε on the target, ε/(V − 1) on each other type.

    Args:
        lprobs: log-probabilities of the K passes, (K, N, V)
        target: gold types, (N,)
        alpha: α′ of this update
        divergence: of the K outputs, (K, N, V) → (N,)
        label_smoothing: ε
    """
    K, N, V = lprobs.shape
    smoothing = label_smoothing / (V - 1)
    nll = -lprobs.gather(-1, target.expand(K, N).unsqueeze(-1)).sum() / K
    uniform = -lprobs.sum() / K
    cross_entropy = (1 - label_smoothing - smoothing) * nll + smoothing * uniform
    distance = divergence(lprobs).sum()
    return LossParts(cross_entropy + alpha * distance, nll.detach(), distance.detach())
