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

from .replicate import take_passes


def limit_passes_in_memory(model: nn.Module, num_passes: int, passes_in_memory: int) -> None:
    """Make a model take the K copies of a training batch M at a time.

    The groups run inside the model, and so inside its wrapper for several ranks. Each gradient is
    therefore complete when the wrapper sends it, and is sent once.

    Args:
        model: maps keyword arguments of (K·B, ...) tensors to a tuple of the output, (K·B, ...),
            and anything else, which training then replaces by None
        num_passes: K
        passes_in_memory: M; the last group is smaller where M does not divide K
    """
    whole = type(model).forward

    @wraps(whole)
    def forward(model: nn.Module, **batch: Any) -> tuple[Tensor, Any]:
        if not model.training:  # this batch was not replicated
            return whole(model, **batch)
        outputs = []
        for start in range(0, num_passes, passes_in_memory):
            stop = min(start + passes_in_memory, num_passes)
            group = take_passes(batch, num_passes, start, stop)
            # checkpoint restores the random state of the CPU and the device for recomputation
            outputs.append(checkpoint(_output, whole, model, group, use_reentrant=False))
        return torch.cat(outputs), None  # (K·B, ...)

    model.forward = MethodType(forward, model)  # a method: a copied model gets its own


def _output(whole: Any, model: nn.Module, group: dict[str, Any]) -> Tensor:
    return whole(model, **group)[0]
