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


def router_of(logits: Tensor) -> Tensor:
    """Probabilities in at least float32, as the model's router has them: bfloat16 would tie."""
    return logits.to(torch.promote_types(torch.float32, logits.dtype)).softmax(-1)


def layer(x: Tensor, logits: Tensor, w1: Tensor, w2: Tensor, real: Tensor, capacity: int | None):
    """One expert layer: slots, two batched products, and back."""
    probabilities = router_of(logits)
    routing = route(probabilities, real, capacity)
    outputs = (dispatch(x, routing) @ w1).relu() @ w2
    return combine(outputs, routing), load_balancing_loss(probabilities, real, routing.load)


def reference(
    x: Tensor, logits: Tensor, w1: Tensor, w2: Tensor, real: Tensor, capacity: int | None
):
    """The same, token after token."""
    probabilities = router_of(logits)
    chosen = probabilities.argmax(-1).tolist()
    queues = [[n for n in range(len(x)) if real[n] and chosen[n] == e] for e in range(E)]
    rows = [torch.zeros_like(row) for row in x]
    for e, queue in enumerate(queues):
        queue.sort(key=lambda n: -probabilities[n, e].item())
        for n in queue[:capacity]:
            gate = probabilities[n, e].to(x.dtype)
            rows[n] = gate * ((x[n] @ w1[e]).relu() @ w2[e])
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


def test_padding_takes_no_capacity_and_the_least_probable_are_dropped():
    gate = torch.tensor([0.9, 0.5, 0.7, 0.6, 0.9])
    probabilities = torch.stack([gate, 1 - gate, torch.zeros(5)], dim=-1)
    routing = route(probabilities, torch.tensor([False, True, True, True, False]), capacity=2)
    assert routing.load.tolist() == [3, 0, 0]
    assert routing.slot.tolist() == [-1, -1, 0, 1, -1]
    assert routing.source.tolist() == [2, 3, -1, -1, -1, -1]


@pytest.mark.parametrize("saturated", [False, True])
def test_dropping_falls_on_positions_and_copies_alike(saturated):
    """Tokens are in fairseq's order: by position, then by copy, then by sentence."""
    T, K, B, capacity = 40, 3, 32, 1200
    torch.manual_seed(1)
    gate = torch.ones(T * K * B) if saturated else 0.7 + 0.3 * torch.rand(T * K * B)
    probabilities = torch.stack([gate, (1 - gate) / 2, (1 - gate) / 2], dim=-1)
    routing = route(probabilities, torch.ones(T * K * B, dtype=torch.bool), capacity)
    dropped = routing.slot.lt(0).double().view(T, K, B)
    share = 1 - capacity / (T * K * B)
    assert dropped.mean().item() == pytest.approx(share)
    # five standard deviations of a draw without replacement, which is below the binomial's
    for kept_apart, tokens in ((dropped.mean((1, 2)), K * B), (dropped.mean((0, 2)), T * B)):
        assert (kept_apart - share).abs().max() < 5 * (share * (1 - share) / tokens) ** 0.5


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
