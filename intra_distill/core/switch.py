"""Top-1 routing of tokens to stacked experts: Fedus et al. 2021, sections 2.1 and 2.2.

Routed tokens lie in E·C slots, C for each expert, so that all the experts are one batched product
over (E, C, ·). Going there and coming back are gathers, and so are their gradients: each slot
knows its token, and each token its slot.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Routing(NamedTuple):
    """Where N tokens go among E experts."""

    gate: Tensor  # (N,) probability of the expert chosen, with its gradient
    slot: Tensor  # (N,) the slot a token lies in, −1 for none: padding, or dropped
    source: Tensor  # (E·C,) the token that lies in a slot, −1 for none
    load: Tensor  # (E,) the tokens that chose an expert, dropped ones among them


def expert_capacity(num_tokens: int, num_experts: int, capacity_factor: float) -> int:
    """C: the tokens that one expert takes, equation (3), rounded up; at least one."""
    return max(1, math.ceil(capacity_factor * num_tokens / num_experts))


def route(probabilities: Tensor, real: Tensor, capacity: int | None = None) -> Routing:
    """Send each token to its most probable expert, first come, first served.

    Args:
        probabilities: of the experts, (N, E)
        real: False for padding, which goes nowhere and takes no capacity, (N,)
        capacity: C; None for the largest load, so that no token is dropped, at the price of one
            wait for the device
    """
    N, E = probabilities.shape
    gate, expert = probabilities.max(dim=-1)
    choice = expert.unsqueeze(-1).eq(torch.arange(E, device=expert.device))
    choice &= real.unsqueeze(-1)  # (N, E), one True in the row of each real token
    load = choice.sum(dim=0)
    if capacity is None:
        capacity = max(1, int(load.max()))
    place = (choice.cumsum(dim=0) * choice).sum(dim=-1) - 1  # in the expert's queue; padding: −1
    placed = (place >= 0) & (place < capacity)
    slot = torch.where(placed, expert * capacity + place, -1)
    # tokens without a slot meet in one behind the last, which is cut off
    source = slot.new_full((E * capacity + 1,), -1)
    source.scatter_(0, slot.remainder(E * capacity + 1), torch.arange(N, device=slot.device))
    return Routing(gate, slot, source[:-1], load)


def dispatch(tokens: Tensor, routing: Routing) -> Tensor:
    """Put tokens into their slots: (N, d) → (E, C, d), zeros in the empty ones."""
    rows = _Gather.apply(tokens, routing.source, routing.slot)
    return rows.view(routing.load.numel(), -1, tokens.size(-1))


def combine(outputs: Tensor, routing: Routing) -> Tensor:
    """Each token's expert output times its probability: (E, C, d) → (N, d), zeros without slot."""
    rows = _Gather.apply(outputs.flatten(0, 1), routing.slot, routing.source)
    return rows * routing.gate.to(rows.dtype).unsqueeze(-1)


def load_balancing_loss(probabilities: Tensor, real: Tensor, load: Tensor) -> Tensor:
    """E Σ_e f_e P_e, equations (4) to (6): 1 where both are uniform, E where one expert has all.

    f_e is the share of the real tokens that chose expert e, P_e their mean probability of it.

    Args:
        probabilities: of the experts, (N, E), which carry the gradient
        real: False for padding, (N,)
        load: the tokens that chose each expert, (E,)
    """
    total = load.sum().clamp(min=1)
    share = load.to(probabilities.dtype) / total  # f, (E,)
    mean_probability = (probabilities * real.unsqueeze(-1)).sum(dim=0) / total  # P, (E,)
    return load.numel() * (share * mean_probability).sum()


class _Gather(torch.autograd.Function):
    """rows[index], zeros for −1, where no row is taken twice: ``inverse`` gathers the gradient.

    Indexing's own gradient is a scatter: slower, and on a GPU summed in no fixed order.
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
