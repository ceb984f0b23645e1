"""Pruning, section 5.1: selects the parameters that matter least, and keeps zeros at zero."""

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn


def least(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Mark exactly the ``count`` smallest scores of all tensors together.

    Equal scores are marked in the order of the tensors and their elements. So a score that is
    marked for one count is marked for every larger count.

    Args:
        scores: float32, at least 0 and not NaN, on the CPU, of any shape
        count: 0 to the number of all scores
    Returns:
        for each tensor a mask of its shape, True where the score is among the smallest
    """
    threshold, ties = kth_smallest(scores.values(), count)
    masks = {}
    for name, score in scores.items():
        mask = (score < threshold).flatten()
        if ties:
            equal = (score == threshold).flatten().nonzero()[:ties, 0]
            mask[equal] = True
            ties -= len(equal)
        masks[name] = mask.view(score.shape)
    return masks


def kth_smallest(scores: Iterable[Tensor], k: int) -> tuple[Tensor, int]:
    """The k-th smallest score, and how many scores equal to it are among the k smallest.

    A radix selection: non-negative floats, read as integers, keep their order, and two histograms
    find the upper and the lower 16 bits. ``torch.kthvalue`` would need all tensors in one and four
    times their memory, and ``torch.quantile`` accepts at most 16M values.
    """
    tensors = list(scores)
    upper = sum(torch.bincount(bits(tensor) >> 16, minlength=2**15) for tensor in tensors)
    high, k = bucket(upper, k)
    lower = torch.zeros(2**16, dtype=torch.int64)
    for tensor in tensors:
        numbers = bits(tensor)
        lower += torch.bincount(numbers[numbers >> 16 == high] & 0xFFFF, minlength=2**16)
    low, k = bucket(lower, k)
    return torch.tensor(high << 16 | low, dtype=torch.int32).view(torch.float32), k


def bits(tensor: Tensor) -> Tensor:
    """Non-negative float32 as int32 in the same order, flat."""
    return tensor.abs().flatten().view(torch.int32)  # abs, because −0 has the sign bit


def bucket(histogram: Tensor, k: int) -> tuple[int, int]:
    """The bin of a histogram that holds the k-th smallest value, and the value's rank in it."""
    up_to = histogram.cumsum(0)
    found = int(torch.searchsorted(up_to, k))
    return found, k - int(up_to[found] - histogram[found])


def zeros(model: nn.Module, largest: float = 0.0) -> dict[str, Tensor]:
    """Where each parameter is zero: by name a mask of its shape, on the CPU.

    Args:
        model: a parameter that is tied is there once
        largest: the largest magnitude that counts as zero
    """
    return {
        name: (parameter.detach().abs() <= largest).cpu()
        for name, parameter in model.named_parameters()
    }


def keep_zeros(model: nn.Module) -> None:
    """Keep the parameters at zero that are zero: they get no gradient from here on.

    So they get no moments either, decay leaves a zero a zero, and no optimizer moves them. What
    decides is the parameter itself, not a stored mask: a run that resumes from its parameters and
    moments is bitwise identical. An optimizer that has moments of a zero already would move it.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_hook(partial(_unless_zero, parameter))


def _unless_zero(parameter: Tensor, gradient: Tensor) -> Tensor:
    return gradient.masked_fill(parameter == 0, 0)
