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

    loss: Tensor  # (1/S) Σ_{i ≤ S} CE_i + α′ · divergence
    nll: Tensor  # (1/S) Σ_{i ≤ S} −log p_i(target)
    divergence: Tensor  # without α′


def intra_distillation_loss(
    lprobs: Tensor,
    target: Tensor,
    alpha: float,
    divergence: Divergence,
    label_smoothing: float = 0.0,
    supervised_passes: int | None = None,
) -> LossParts:
    """(1/S) Σ_{i ≤ S} CE_i + α′ · divergence, with label-smoothed cross-entropy.

    With S = K it is equation (10), with S = 1 and the divergence ``kl`` the loss of SimCut. The
    smoothing is fairseq's: weight 1 − ε on the target, ε/(V − 1) on each other type.

    Args:
        lprobs: log-probabilities of the K passes, (K, N, V)
        target: gold types, (N,)
        alpha: α′ of this update
        divergence: of the K outputs, (K, N, V) → (N,)
        label_smoothing: ε
        supervised_passes: S, how many of the passes learn from the target; None for all K
    """
    N, V = lprobs.shape[1:]
    supervised = lprobs[:supervised_passes]  # (S, N, V)
    S = supervised.size(0)
    smoothing = label_smoothing / (V - 1)
    nll = -supervised.gather(-1, target.expand(S, N).unsqueeze(-1)).sum() / S
    uniform = -supervised.sum() / S
    cross_entropy = (1 - label_smoothing - smoothing) * nll + smoothing * uniform
    distance = divergence(lprobs).sum()
    return LossParts(cross_entropy + alpha * distance, nll.detach(), distance.detach())


def regression_loss(
    outputs: Tensor, target: Tensor, alpha: float, supervised_passes: int | None = None
) -> LossParts:
    """(1/S) Σ_{i ≤ S} (o_i − y)² + α′ · (1/K) Σ_i (o_i − ō)²; with S = K (10), where (9) is its X.

    Args:
        outputs: numbers o_i of the K passes, (K, N)
        target: gold numbers y, (N,)
        alpha: α′ of this update
        supervised_passes: S, as in :func:`intra_distillation_loss`
    """
    supervised = outputs[:supervised_passes]
    squared_error = (supervised - target).square().sum() / supervised.size(0)
    distance = mse_divergence(outputs).sum()
    return LossParts(squared_error + alpha * distance, squared_error.detach(), distance.detach())
