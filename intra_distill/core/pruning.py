"""Which parameters of a model matter least: the smallest of all its scores, the paper's 5.1."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def least(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Mark the smallest scores of all tensors together, exactly ``count`` of them.

    Equal scores are marked in the order they stand in. So what is marked for a count is marked for
    every larger one too.

    Args:
        scores: float32 of at least 0 and no NaN, on the CPU
        count: from 0 to the number of all scores
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
    """The k-th smallest of all values, and how many that equal it are among the k smallest.

    A radix selection: the bits of floating-point numbers of at least 0 are integers in the same
    order, of which two histograms find the upper and the lower half. ``torch.kthvalue`` would need
    all tensors in one and four times their memory, and ``torch.quantile`` takes 16M values.
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
    """Floating-point numbers of at least 0 as integers in the same order, flat."""
    return tensor.abs().flatten().view(torch.int32)  # −0 has the bits of a negative number


def bucket(histogram: Tensor, k: int) -> tuple[int, int]:
    """Where the k-th smallest value of a histogram is, and its rank there."""
    up_to = histogram.cumsum(0)
    found = int(torch.searchsorted(up_to, k))
    return found, k - int(up_to[found] - histogram[found])
