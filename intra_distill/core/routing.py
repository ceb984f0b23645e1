"""Top-1 routing of tokens to stacked experts: Fedus et al. 2021, sections 2.1 and 2.2.

Who is dropped follows Riquelme et al. 2021, section 4 (batch prioritized routing): the tokens that
chose an expert with the lowest probability. Dropping by the order in the batch, (time, sentence)
in fairseq and then the K copies, would fall on the ends of the longest sentences and on the last
copy.

Tokens are gathered into E·C slots, C per expert, so that all experts are one batched product over
(E, C, ·). The way back and both gradients are gathers too, because each slot knows its token and
each token its slot.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Routing(NamedTuple):
    """Where N tokens go among E experts."""

    gate: Tensor  # (N,) probability of the chosen expert, which carries a gradient
    slot: Tensor  # (N,) slot of each token, −1 for padding and dropped tokens
    source: Tensor  # (E·C,) token in each slot, −1 for an empty slot
    load: Tensor  # (E,) number of tokens that chose each expert, including dropped tokens


def expert_capacity(num_tokens: int, num_experts: int, capacity_factor: float) -> int:
    """C, equation (3): the number of tokens that one expert accepts, rounded up, at least 1."""
    return max(1, math.ceil(capacity_factor * num_tokens / num_experts))


def route(probabilities: Tensor, real: Tensor, capacity: int | None = None) -> Routing:
    """Send each token to its most probable expert; an expert keeps its C most probable tokens.

    Tokens of equal probability, of which a saturated router makes many, are in random order: where
    a token stands in the batch never decides.

    Args:
        probabilities: of the experts, (N, E)
        real: False for padding, which is not routed and takes no capacity, (N,)
        capacity: C; None for the largest load, which drops no token but waits for the GPU once
    """
    N, E = probabilities.shape
    gate, expert = probabilities.max(dim=-1)
    choice = expert.unsqueeze(-1).eq(torch.arange(E, device=expert.device))
    choice &= real.unsqueeze(-1)  # (N, E), one True in the row of each real token
    load = choice.sum(dim=0)
    if capacity is None:
        capacity = max(1, int(load.max()))
        place = _places(choice)
    else:
        order = _most_probable_first(gate.detach())
        place = torch.empty_like(expert).scatter_(0, order, _places(choice[order]))
    placed = (place >= 0) & (place < capacity)
    slot = torch.where(placed, expert * capacity + place, -1)
    # tokens without a slot write to one extra slot at the end, which is cut off
    source = slot.new_full((E * capacity + 1,), -1)
    source.scatter_(0, slot.remainder(E * capacity + 1), torch.arange(N, device=slot.device))
    return Routing(gate, slot, source[:-1], load)


def _places(choice: Tensor) -> Tensor:
    """Each token's place in its expert's queue, from 0; −1 for padding: (N, E) → (N,)."""
    return (choice.cumsum(dim=0) * choice).sum(dim=-1) - 1


def _most_probable_first(gate: Tensor) -> Tensor:
    """Tokens by descending probability, equal ones in random order: (N,) → (N,)."""
    order = torch.randperm(gate.numel(), device=gate.device)
    return order[gate[order].argsort(descending=True, stable=True)]


def dispatch(tokens: Tensor, routing: Routing) -> Tensor:
    """Gather tokens into their slots: (N, d) → (E, C, d), zeros in empty slots."""
    rows = _Gather.apply(tokens, routing.source, routing.slot)
    return rows.view(routing.load.numel(), -1, tokens.size(-1))


def combine(outputs: Tensor, routing: Routing) -> Tensor:
    """Each token's expert output times its gate: (E, C, d) → (N, d), zeros without a slot."""
    rows = _Gather.apply(outputs.flatten(0, 1), routing.slot, routing.source)
    return rows * routing.gate.to(rows.dtype).unsqueeze(-1)


def load_balancing_loss(probabilities: Tensor, real: Tensor, load: Tensor) -> Tensor:
    """E Σ_e f_e P_e, equations (4) to (6): 1 if both are uniform, E if one expert gets all tokens.

    f_e is the share of the real tokens that chose expert e; P_e is their mean probability of e.

    Args:
        probabilities: of the experts, (N, E); they carry the gradient
        real: False for padding, (N,)
        load: number of tokens that chose each expert, (E,)
    """
    total = load.sum().clamp(min=1)
    share = load.to(probabilities.dtype) / total  # f, (E,)
    mean_probability = (probabilities * real.unsqueeze(-1)).sum(dim=0) / total  # P, (E,)
    return load.numel() * (share * mean_probability).sum()


class _Gather(torch.autograd.Function):
    """rows[index], zeros for −1. No row is taken twice, so ``inverse`` gathers the gradient.

    The gradient of plain indexing is a scatter: slower, and on a GPU not deterministic.
    """

    @staticmethod
    def forward(ctx, rows, index, inverse):
        ctx.save_for_backward(inverse)
        return _gather(rows, index)

    @staticmethod
    def backward(ctx, grad):
        (inverse,) = ctx.saved_tensors
        return _gather(grad, inverse), None, None


def _gather(rows: Tensor, index: Tensor) -> Tensor:
    taken = rows.index_select(0, index.clamp(min=0))
    return taken.masked_fill_(index.lt(0).unsqueeze(-1), 0)
