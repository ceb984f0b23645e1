"""K copies of a batch in one: a forward pass over the copies is K passes over the batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Copies:
    """Which copies of a batch a model takes now, for parts of it that treat copies differently.

    In inference, and in an update of one pass, there is one: the batch itself.

    Attributes:
        first: the number of the first, from 0 on
        number: how many there are, side by side
    """

    first: int = 0
    number: int = 1

    @contextmanager
    def in_model(self, first: int, number: int) -> Iterator[None]:
        """Within the block the model takes these copies."""
        before = self.first, self.number
        self.first, self.number = first, number
        try:
            yield
        finally:
            self.first, self.number = before


def replicate(batch: Any, num_passes: int) -> Any:
    """[x; x; …]: repeat every tensor of a nested batch K times along its first dimension.

    Zero-dimensional tensors and other objects (counts, names) stay as they are, so that tokens and
    sentences are counted once. The given batch does not change.

    Args:
        batch: dicts, lists and tuples of tensors, (B, ...) each
        num_passes: K
    Returns:
        the same nesting, each tensor (K·B, ...) on its own device
    """
    return _with_tensors(batch, lambda tensor: torch.cat([tensor] * num_passes))


def take_passes(batch: Any, num_passes: int, start: int, stop: int) -> Any:
    """Copies ``start`` to ``stop`` − 1 of a batch [x; x; …], as views of its tensors.

    Args:
        batch: a result of :func:`replicate`, (K·B, ...) each
        num_passes: K
    Returns:
        the same nesting, each tensor ((stop − start)·B, ...)
    """
    return _with_tensors(
        batch, lambda tensor: split_passes(tensor, num_passes)[start:stop].flatten(0, 1)
    )


def split_passes(output: Tensor, num_passes: int) -> Tensor:
    """Undo the concatenation: (K·B, ...) → (K, B, ...), as a view where possible."""
    return output.reshape(num_passes, -1, *output.shape[1:])


def _with_tensors(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply ``change`` to each tensor of a nested batch that has a first dimension."""
    if isinstance(batch, Tensor):
        return change(batch) if batch.dim() > 0 else batch
    if isinstance(batch, dict):
        return {key: _with_tensors(value, change) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        copies = [_with_tensors(value, change) for value in batch]
        return type(batch)(*copies) if hasattr(batch, "_fields") else type(batch)(copies)
    return batch
