"""How evenly the parameters contribute during training: the paper's Figure 2."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

CHUNK = 2**22  # sensitivities in memory at once
BINS = 2**15  # one for each value of a float32's upper 16 bits, whose sign bit is 0 here


@torch.no_grad()
def top_and_rest(parameters: Sequence[Tensor]) -> tuple[float, float]:
    """Mean |θ ⊙ g|, equation (2), of the N // 5 most sensitive parameters and of the rest.

    Exact up to float32's rounding of θ · g. A histogram of the upper bits finds the bin in which
    the two groups meet, and only this bin is sorted.

    Args:
        parameters: with gradients, N ≥ 5 values in all; a parameter without gradient counts as 0
    """
    N = sum(parameter.numel() for parameter in parameters)
    histogram = sum(
        torch.bincount(_bins(values), minlength=BINS) for values in _sensitivities(parameters)
    )
    at_least = histogram.flip(0).cumsum(0).flip(0)  # (BINS,) number of values in this bin and above
    meeting = int((at_least >= N // 5).sum()) - 1

    top = rest = torch.zeros((), dtype=torch.float64)
    between = []
    for values in _sensitivities(parameters):
        bins = _bins(values)
        top = top + values.where(bins > meeting, 0).sum(dtype=torch.float64)
        rest = rest + values.where(bins < meeting, 0).sum(dtype=torch.float64)
        between.append(values[bins == meeting])
    ascending = torch.cat(between).double().sort().values
    split = int(at_least[meeting]) - N // 5  # number of these values in the rest
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
    # non-negative floats, read as integers, keep their order
    return values.view(torch.int32) >> 16
