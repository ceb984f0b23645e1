"""Equation (10) on all outputs of the model: distributions, or the numbers of a regression.

For translation it is the reference implementation of the fused loss.
"""

from typing import NamedTuple

from torch import Tensor

from .divergence import Divergence, mse_divergence


class LossParts(NamedTuple):
    """Scalar sums over the N targets, in nats; only ``loss`` carries a gradient.

    In a regression, squared errors stand for cross-entropies, and their unit for nats.
    """

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


def regression_loss(outputs: Tensor, target: Tensor, alpha: float) -> LossParts:
    """(1/K) Σ_i (o_i − y)² + α′ · (1/K) Σ_i (o_i − ō)², equation (10) with the divergence of (9).

    Args:
        outputs: numbers o_i of the K passes, (K, N)
        target: gold numbers y, (N,)
        alpha: α′ of this update
    """
    squared_error = (outputs - target).square().sum() / outputs.size(0)
    distance = mse_divergence(outputs).sum()
    return LossParts(squared_error + alpha * distance, squared_error.detach(), distance.detach())
