import copy

import pytest
import torch
from torch import nn

from intra_distill.core.passes_in_memory import limit_passes_in_memory
from intra_distill.core.replicate import Copies, replicate, split_passes

from ..support.devices import GPU

K = 5


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.layers = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 4), nn.Tanh(), nn.Dropout(0.5))
        self.forwards: list[int] = []  # the size of each batch that went through

    def forward(self, tokens: torch.Tensor, temperature: float) -> tuple[torch.Tensor, dict]:
        self.forwards.append(len(tokens))
        return self.layers(self.embed(tokens)) / temperature, {}


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return Model().double()


@pytest.fixture
def batch() -> dict:
    return {"tokens": torch.tensor([[1, 2, 3], [4, 5, 6]]), "temperature": 2.0}


def spread_and_gradients(model: nn.Module, outputs: torch.Tensor) -> tuple:
    passes = split_passes(outputs, K)  # a loss that needs all K at once
    spread = (passes - passes.mean(dim=0)).square().sum()
    gradients = torch.autograd.grad(spread, list(model.parameters()))
    return spread.detach(), gradients


def one_by_one(model: nn.Module, batch: dict, group_sizes: list[int]) -> tuple:
    torch.manual_seed(1)
    outputs = [model(**replicate(batch, size))[0] for size in group_sizes]
    return spread_and_gradients(model, torch.cat(outputs))


def in_groups(model: nn.Module, batch: dict, passes_in_memory: int) -> torch.Tensor:
    copies = Copies()
    limit_passes_in_memory(model, copies, passes_in_memory)
    torch.manual_seed(1)
    with copies.in_model(0, K):
        return model(**replicate(batch, K))[0]


@pytest.mark.parametrize("device, rtol", [("cpu", 0), pytest.param("cuda", 1e-12, marks=GPU)])
@pytest.mark.parametrize("M, group_sizes", {1: [1] * 5, 2: [2, 2, 1], 4: [4, 1]}.items())
def test_groups_are_passes_with_all_activations_kept(model, batch, device, rtol, M, group_sizes):
    """With the same dropout in both sweeps, or the gradients would be others."""
    model.to(device)
    batch["tokens"] = batch["tokens"].to(device)
    reference = one_by_one(model, batch, group_sizes)
    outputs = in_groups(model, batch, M)
    torch.testing.assert_close(spread_and_gradients(model, outputs), reference, rtol=rtol, atol=0)


def test_forward_twice_and_the_random_state_where_one_sweep_leaves_it(model, batch):
    one_by_one(model, batch, [2, 2, 1])
    afterwards = torch.get_rng_state()
    model.forwards.clear()
    outputs = in_groups(model, batch, 2)
    spread_and_gradients(model, outputs)
    assert model.forwards == [4, 4, 2, 2, 4, 4]  # backward comes to the last group first
    assert torch.equal(torch.get_rng_state(), afterwards)


def test_a_second_sweep_repeats_the_masks_of_its_first(model, batch):
    masks = []
    model.layers[0].register_forward_hook(lambda _, inputs, out: masks.append(out.ne(0)))
    outputs = in_groups(model, batch, 2)
    spread_and_gradients(model, outputs)
    first, second = masks[:3], masks[:2:-1]
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])


def test_a_batch_that_is_not_replicated_is_one_batch(model, batch):
    expected = model.eval()(**batch)[0]
    limit_passes_in_memory(model, Copies(), 1)
    assert torch.equal(model(**batch)[0], expected)
    assert model.forwards == [2, 2]


def test_each_group_says_which_copies_it_is_in_both_of_its_sweeps(model, batch):
    copies, seen = Copies(), []
    model.layers[0].register_forward_hook(lambda *_: seen.append((copies.first, copies.number)))
    limit_passes_in_memory(model, copies, 2)
    with copies.in_model(0, K):
        outputs, _ = model(**replicate(batch, K))
        assert (copies.first, copies.number) == (0, K)
        spread_and_gradients(model, outputs)
    assert seen == [(0, 2), (2, 2), (4, 1), (4, 1), (2, 2), (0, 2)]


def test_a_copy_of_the_model_runs_itself(model, batch):
    copies = Copies()
    limit_passes_in_memory(model, copies, 1)
    twin = copy.deepcopy(model)
    with copies.in_model(0, K):
        twin(**replicate(batch, K))
    assert len(twin.forwards) == K and not model.forwards
