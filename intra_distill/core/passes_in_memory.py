"""K passes in the memory of M: the model takes the copies in groups, and backward recomputes them.

The divergence needs the outputs of all K passes at once, but the gradients need the activations of
only one group at a time. So forward keeps each group's outputs and random state, and backward runs
the group's forward again under that state. A step runs forward twice, takes about 4/3 of the time,
and never holds the activations of more than M passes.
"""

from functools import wraps
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .replicate import Copies, take_passes


def limit_passes_in_memory(model: nn.Module, copies: Copies, passes_in_memory: int) -> None:
    """Make a model take the K copies of a batch M at a time.

    The groups run inside the model, and so inside its wrapper for several ranks. Each gradient is
    therefore complete when the wrapper sends it, and is sent once.

    Args:
        model: maps keyword arguments of (K·B, ...) tensors to a tuple of the output, (K·B, ...),
            and anything else, which training then replaces by None
        copies: which of them the model takes: all K, of which each group are some
        passes_in_memory: M; the last group is smaller where M does not divide K
    """
    whole = type(model).forward

    @wraps(whole)
    def forward(model: nn.Module, **batch: Any) -> tuple[Tensor, Any]:
        K = copies.number
        if K == 1:  # this batch was not replicated
            return whole(model, **batch)
        outputs = []
        for start in range(0, K, passes_in_memory):
            stop = min(start + passes_in_memory, K)
            group = take_passes(batch, K, start, stop)

            def output(start: int = start, stop: int = stop, group: Any = group) -> Tensor:
                with copies.in_model(start, stop - start):
                    return whole(model, **group)[0]

            # checkpoint restores the random state of the CPU and the device for recomputation
            outputs.append(checkpoint(output, use_reentrant=False))
        return torch.cat(outputs), None  # (K·B, ...)

    model.forward = MethodType(forward, model)  # a method: a copied model gets its own
