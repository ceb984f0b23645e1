"""How evenly the parameters contribute while they are trained: the paper's Figure 2."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

CHUNK = 2**22  # sensitivities at a time: what is held beside the model
BINS = 2**15  # one for each value of a non-negative float32's leading 16 bits, the sign being 0


@torch.no_grad()
def top_and_rest(parameters: Sequence[Tensor]) -> tuple[float, float]:
    """Mean |θ ⊙ g| (equation 2) of the N // 5 most sensitive parameters and of the other ones.

    Exact up to float32's rounding of θ · g, and in two sweeps instead of a sort: a histogram over
    the leading bits says in which bin the two groups meet, and only that bin is sorted.

    Args:
        parameters: with their gradients, N ≥ 5 values in all; without one they count as 0
    """
    N = sum(parameter.numel() for parameter in parameters)
    histogram = sum(
        torch.bincount(_bins(values), minlength=BINS) for values in _sensitivities(parameters)
    )
    at_least = histogram.flip(0).cumsum(0).flip(0)  # (BINS,) values in this bin and those above
    meeting = int((at_least >= N // 5).sum()) - 1

    top = rest = torch.zeros((), dtype=torch.float64)
    between = []
    for values in _sensitivities(parameters):
        bins = _bins(values)
        top = top + values.where(bins > meeting, 0).sum(dtype=torch.float64)
        rest = rest + values.where(bins < meeting, 0).sum(dtype=torch.float64)
        between.append(values[bins == meeting])
    ascending = torch.cat(between).double().sort().values
    split = int(at_least[meeting]) - N // 5  # so many of them are in the rest
    top = top + ascending[split:].sum()
    rest = rest + ascending[:split].sum()
    return float(top) / (N // 5), float(rest) / (N - N // 5)


def _sensitivities(parameters: Sequence[Tensor]) -> Iterator[Tensor]:
    """|θ ⊙ g| in float32, in vectors of at most CHUNK."""
    for parameter in parameters:
        weights = parameter.flatten().split(CHUNK)
        if parameter.grad is None:
            yield from (torch.zeros_like(weight, dtype=torch.float32) for weight in weights)
            continue
        for weight, gradient in zip(weights, parameter.grad.flatten().split(CHUNK), strict=True):
            yield (weight.float() * gradient.float()).abs_()


def _bins(values: Tensor) -> Tensor:
    # as integers, the bits of non-negative floats are in the floats' order
    return values.view(torch.int32) >> 16
