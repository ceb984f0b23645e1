"""Dropout on a CPU from 16-bit random integers, because torch draws Bernoulli numbers slowly there.

An element is dropped where its integer is among the lowest p · 2^16. Four integers come from one
64-bit draw of torch's own generator, so that a saved random state gives the same masks again.
"""

from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 2**16


def dropout(x: Tensor, p: float) -> Tensor:
    """Zero each element with probability p, and scale the others so that the mean stays.

    Args:
        x: any shape and floating dtype, on the CPU
        p: rounded to a multiple of 2^-16, from which the scale 1 / (1 − p) is computed. Torch's
            own dropout takes a p that would round to 0 or 1.
    """
    dropped = round(p * LEVELS)  # of the values of an integer
    if not 0 < dropped < LEVELS:
        return F.dropout(x, p)
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    integers = draws.view(torch.int16)[: x.numel()].view(x.shape)
    kept = integers >= dropped - LEVELS // 2
    return x * kept.to(x.dtype).mul_(LEVELS / (LEVELS - dropped))


def draw_integers(model: nn.Module, kind: type[nn.Module]) -> None:
    """Make the modules of a class use :func:`dropout` where they drop in training on a CPU.

    Args:
        model: in inference and on other devices it stays as it is
        kind: has the probability ``p``, as fairseq's ``FairseqDropout``
    """
    for module in model.modules():
        if isinstance(module, kind):
            module.forward = MethodType(_forward, module)  # a copied model gets its own


def _forward(module: nn.Module, x: Tensor, inplace: bool = False) -> Tensor:
    if module.training and x.device.type == "cpu":
        return dropout(x, module.p)
    return type(module).forward(module, x, inplace)
