"""K copies of a batch side by side: one forward pass of the copies is K passes of the batch."""

from typing import Any

import torch
from torch import Tensor


def replicate(batch: Any, num_passes: int) -> Any:
    """[x; x; …]: every tensor of a nested batch, K times along its first dimension.

    Tensors without dimensions and whatever is no tensor (counts, names) stay as they are, so
    that tokens and sentences are still counted once. The batch given is left untouched.

    Args:
        batch: dicts, lists and tuples of tensors, (B, ...) each
        num_passes: K
    Returns:
        the same nesting, each tensor (K·B, ...) on its own device
    """
    if isinstance(batch, Tensor):
        return torch.cat([batch] * num_passes) if batch.dim() > 0 else batch
    if isinstance(batch, dict):
        return {key: replicate(value, num_passes) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        copies = [replicate(value, num_passes) for value in batch]
        return type(batch)(*copies) if hasattr(batch, "_fields") else type(batch)(copies)
    return batch


def split_passes(output: Tensor, num_passes: int) -> Tensor:
    """Undo the concatenation: (K·B, ...) → (K, B, ...), without a copy where possible."""
    return output.reshape(num_passes, -1, *output.shape[1:])
