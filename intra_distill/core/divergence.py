"""Divergences between the outputs of K passes: equations (8) and (9) of the paper, and SimCut's.

Every function takes the K outputs stacked on the first dimension.
"""

import math
from collections.abc import Callable

from torch import Tensor

Divergence = Callable[[Tensor], Tensor]


def x_divergence(lprobs: Tensor) -> Tensor:
    """X-divergence, equation (8): the mean over i of KL(p_i‖p̄) + KL(p̄‖p_i).

    The log p̄ terms of the two directions cancel, because Σ_i (p_i − p̄) = 0. What remains is
    (1/K) Σ_i Σ_v p_i (a_i − ā) with a = log p, which needs no logarithm.

    Args:
        lprobs: log-probabilities a_i, (K, ..., V)
    Returns:
        divergence in nats, (...)
    """
    return (lprobs.exp() * (lprobs - lprobs.mean(dim=0))).sum(dim=-1).mean(dim=0)


def js_divergence(lprobs: Tensor) -> Tensor:
    """Jensen–Shannon divergence: the mean over i of KL(p_i‖p̄).

    Args:
        lprobs: log-probabilities a_i, (K, ..., V)
    Returns:
        divergence in nats, (...)
    """
    log_mean = lprobs.logsumexp(dim=0) - math.log(lprobs.size(0))  # log p̄, (..., V)
    return (lprobs.exp() * (lprobs - log_mean)).sum(dim=-1).mean(dim=0)


def kl_divergence(lprobs: Tensor) -> Tensor:
    """How far the other passes are from the first: the mean over i > 1 of KL(p_1‖p_i).

    With K = 2 it is the divergence of SimCut (Gao et al., NAACL 2022), where the first pass sees
    the whole batch and the second a batch with tokens cut out. Both have gradients.

    Args:
        lprobs: log-probabilities a_i, (K, ..., V); of one pass the divergence is 0
    Returns:
        divergence in nats, (...)
    """
    first, others = lprobs[0], lprobs[1:] if lprobs.size(0) > 1 else lprobs
    return (first.exp() * (first - others.mean(dim=0))).sum(dim=-1)


def mse_divergence(outputs: Tensor) -> Tensor:
    """Mean squared distance from the mean output, equation (9), for regression.

    Args:
        outputs: real-valued outputs, (K, ...)
    Returns:
        divergence in the squared unit of the output, (...)
    """
    return (outputs - outputs.mean(dim=0)).square().mean(dim=0)


DIVERGENCES: dict[str, Divergence] = {
    "x": x_divergence,
    "js": js_divergence,
    "kl": kl_divergence,
    "mse": mse_divergence,
}
OF_DISTRIBUTIONS = ("x", "js", "kl")  # they take log-probabilities, where mse takes real outputs
