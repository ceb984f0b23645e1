"""The two means of |θ ⊙ g| as sorting gives them, the reference of core/tracking.py."""

import torch


def by_sorting(parameters: list[torch.nn.Parameter]) -> tuple[float, float]:
    values = []
    for p in parameters:
        gradient = torch.zeros_like(p) if p.grad is None else p.grad
        values.append((p.detach().float() * gradient.float()).abs().double().flatten())
    descending = torch.cat(values).sort(descending=True).values
    top = len(descending) // 5
    return descending[:top].mean().item(), descending[top:].mean().item()
