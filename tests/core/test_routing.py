import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from intra_distill.core.routing import (
    combine,
    dispatch,
    expert_capacity,
    load_balancing_loss,
    route,
)

E, D, HIDDEN = 3, 4, 5


def layer(x: Tensor, logits: Tensor, w1: Tensor, w2: Tensor, real: Tensor, capacity: int | None):
    """One expert layer: slots, two batched products, and back."""
    probabilities = logits.softmax(-1)
    routing = route(probabilities, real, capacity)
    outputs = (dispatch(x, routing) @ w1).relu() @ w2
    return combine(outputs, routing), load_balancing_loss(probabilities, real, routing.load)


def reference(
    x: Tensor, logits: Tensor, w1: Tensor, w2: Tensor, real: Tensor, capacity: int | None
):
    """The same, token after token."""
    probabilities = logits.softmax(-1)
    chosen = probabilities.argmax(-1).tolist()
    queues = [[n for n in range(len(x)) if real[n] and chosen[n] == e] for e in range(E)]
    rows = [torch.zeros_like(row) for row in x]
    for e, queue in enumerate(queues):
        for n in queue[:capacity]:
            rows[n] = probabilities[n, e] * ((x[n] @ w1[e]).relu() @ w2[e])
    total = sum(map(len, queues))
    mean = probabilities[real].sum(0) / max(1, total)
    balance = E * sum(len(queue) / max(1, total) * mean[e] for e, queue in enumerate(queues))
    return torch.stack(rows), balance


def inputs(N: int, dtype: torch.dtype = torch.float64, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(N, D), (N, E), (E, D, HIDDEN), (E, HIDDEN, D)]
    return [
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes
    ]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("N", [1, 2, 17])
@pytest.mark.parametrize("capacity", [None, 1, 4, 40])
@pytest.mark.parametrize("padding", [0.0, 0.4, 1.0])
def test_values_and_gradients_are_those_of_a_loop_over_tokens(dtype, N, capacity, padding):
    real = torch.rand(N, generator=torch.Generator().manual_seed(2)) >= padding
    results = []
    for compute in (layer, reference):
        leaves = inputs(N, dtype)
        rows, balance = compute(*leaves, real, capacity)
        weights = torch.linspace(-1, 1, rows.numel(), dtype=dtype).view_as(rows)
        ((rows * weights).sum() + 0.3 * balance).backward()
        grads = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
        results.append([rows, balance, *grads])
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 5e-2}[dtype]
    for ours, plain in zip(*results):
        torch.testing.assert_close(ours, plain, rtol=tolerance, atol=tolerance)


def test_gradients_are_those_of_finite_differences():
    real = torch.tensor([True] * 5 + [False])
    assert gradcheck(lambda *leaves: layer(*leaves, real, 2), inputs(6))


def test_without_a_capacity_no_token_is_dropped_and_no_slot_is_in_vain():
    probabilities = torch.eye(E)[torch.tensor([0, 0, 2, 0, 1])]
    routing = route(probabilities, torch.ones(5, dtype=torch.bool))
    assert routing.load.tolist() == [3, 1, 1]
    assert routing.source.tolist() == [0, 1, 3, 4, -1, -1, 2, -1, -1]
    assert routing.slot.tolist() == [0, 1, 6, 2, 3]


def test_padding_takes_no_capacity_and_the_late_are_dropped():
    probabilities = torch.eye(E)[torch.tensor([0, 0, 0, 0, 1])]
    routing = route(probabilities, torch.tensor([False, True, True, True, False]), capacity=2)
    assert routing.load.tolist() == [3, 0, 0]
    assert routing.slot.tolist() == [-1, 0, 1, -1, -1]


@pytest.mark.parametrize(
    "probabilities, expected",
    [
        (torch.full((6, E), 1 / E).log_softmax(-1).exp(), E / E),  # ties: all to the first
        (torch.eye(E).repeat(2, 1), 1.0),
        (torch.eye(E)[[0] * 6], float(E)),
    ],
)
def test_balance_is_1_when_even_and_E_when_one_expert_has_all(probabilities, expected):
    real = torch.ones(len(probabilities), dtype=torch.bool)
    load = route(probabilities, real).load
    assert load_balancing_loss(probabilities, real, load).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "tokens, factor, capacity", [(8, 1.0, 2), (9, 1.0, 3), (8, 1.25, 3), (8, 0.1, 1), (0, 1.25, 1)]
)
def test_capacity_is_rounded_up(tokens, factor, capacity):
    assert expert_capacity(tokens, 4, factor) == capacity
