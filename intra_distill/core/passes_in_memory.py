"""K passes in the memory of M: the copies go through the model in groups and are recomputed.

The divergence needs the outputs of all K passes at once, the gradients need the activations of
one group at a time. So the first sweep keeps nothing but its outputs and its random state, and
backward runs each group again under that state when its turn comes. A step runs forward twice,
which is about 4/3 of its time, and never holds the activations of more than M passes.
"""

from functools import wraps
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .replicate import take_passes


def limit_passes_in_memory(model: nn.Module, num_passes: int, passes_in_memory: int) -> None:
    """Have a model, in training, take the K copies of its batch M at a time.

    The groups run inside the model, so inside whatever wraps it to synchronise gradients: each
    parameter's gradient is whole when it is sent, and is sent once.

    Args:
        model: keyword arguments of (K·B, ...) tensors → ((K·B, ...), whatever else)
        num_passes: K
        passes_in_memory: M; the last group is smaller where M does not divide K
    """
    whole = type(model).forward

    @wraps(whole)
    def forward(model: nn.Module, **batch: Any) -> tuple[Tensor, Any]:
        if not model.training:  # nobody replicated this batch
            return whole(model, **batch)
        outputs = []
        for start in range(0, num_passes, passes_in_memory):
            stop = min(start + passes_in_memory, num_passes)
            group = take_passes(batch, num_passes, start, stop)
            # keeps the random state of the CPU and of the group's device for its second sweep
            outputs.append(checkpoint(_output, whole, model, group, use_reentrant=False))
        return torch.cat(outputs), None  # (K·B, ...)

    model.forward = MethodType(forward, model)  # a method, so that a copy of the model gets its own


def _output(whole: Any, model: nn.Module, group: dict[str, Any]) -> Tensor:
    return whole(model, **group)[0]
