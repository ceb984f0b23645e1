"""The sensitivity of parameters by its definition."""

from collections.abc import Iterable

import torch
from torch.nn import Parameter


def by_sorting(parameters: Iterable[Parameter]) -> tuple[float, float]:
    """The mean of |θ · gradient| over the most sensitive fifth, and over the rest."""
    values = []
    for p in parameters:
        gradient = torch.zeros_like(p) if p.grad is None else p.grad
        values.append((p.detach().float() * gradient.float()).abs().double().flatten())
    descending = torch.cat(values).sort(descending=True).values
    top = len(descending) // 5
    return descending[:top].mean().item(), descending[top:].mean().item()
