import math

import pytest
import torch
from torch import Tensor, nn

from intra_distill.core.pruning import keep_zeros, least, zeros

SHAPES = {"matrix": (30, 20), "scalar": (), "empty": (0, 4), "vector": (37,), "cube": (2, 3, 4)}
DRAWS = {
    "spread over many magnitudes": lambda shape: torch.randn(shape).mul(8).exp(),
    "mostly zero": lambda shape: torch.randn(shape).relu() * torch.randint(0, 2, shape),
    "few values": lambda shape: torch.randint(0, 3, shape) / 3,
    "all equal": lambda shape: torch.full(shape, 0.1),
    "subnormal and infinite": lambda shape: 10.0 ** torch.randint(-45, 40, shape),
    "of both zeros": lambda shape: torch.tensor(-0.0) * torch.randint(0, 2, shape),
    "differing in the last bits": lambda shape: 1 + torch.randint(0, 9, shape) * 2.0**-23,
}


def draw(kind: str) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {name: DRAWS[kind](shape).float() for name, shape in SHAPES.items()}


def flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


@pytest.mark.parametrize("count", [0, 1, 2, 66, 331, 600, 661, 662])
@pytest.mark.parametrize("kind", DRAWS)
def test_the_smallest_are_those_of_a_stable_sort(kind, count):
    scores = draw(kind)
    masks = least(scores, count)
    expected = torch.zeros(662, dtype=torch.bool)
    expected[flat(scores).sort(stable=True).indices[:count]] = True
    assert {name: mask.shape for name, mask in masks.items()} == SHAPES
    assert torch.equal(flat(masks), expected)


def test_scores_stay_as_they_are_and_need_not_be_contiguous():
    scores = {"a": torch.rand(5, 7).T, "b": torch.rand(4, 4)[:, ::2]}
    before = {name: score.clone() for name, score in scores.items()}
    masks = least(scores, 20)
    expected = flat(scores).sort().values[:20]
    assert torch.equal(flat(scores)[flat(masks)].sort().values, expected)
    assert all(torch.equal(scores[name], before[name]) for name in scores)


def test_more_values_than_quantile_takes():
    torch.manual_seed(1)
    scores = {"a": torch.rand(2**24), "b": torch.rand(1000)}
    masks = least(scores, 5_000_001)
    threshold = torch.cat(list(scores.values())).kthvalue(5_000_001).values
    assert sum(int(mask.sum()) for mask in masks.values()) == 5_000_001
    for name, score in scores.items():
        assert bool((score[masks[name]] <= threshold).all())
        assert bool((score[~masks[name]] >= threshold).all())


def sparse_model() -> nn.Sequential:
    """Two tied layers and another, each with zeros in weight and bias, and a row for padding."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Embedding(7, 5, padding_idx=0), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5)
    )
    model.add_module("head", nn.Linear(5, 7))
    model.head.weight = model[0].weight
    with torch.no_grad():
        for parameter in model.parameters():
            parameter[parameter.abs() < 0.2] = 0
    return model


def test_zeros_are_found_once_where_parameters_are_tied():
    model = sparse_model()
    masks = zeros(model)
    assert masks.keys() == dict(model.named_parameters()).keys() and "head.weight" not in masks
    assert masks["0.weight"][0].all() and not masks["0.weight"].all()
    with torch.no_grad():
        model[1].bias[:2] = torch.tensor([1e-9, -1e-9])
    assert not zeros(model)["1.bias"][:2].any() and zeros(model, 2e-9)["1.bias"][:2].all()


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=0.1),
        lambda parameters: torch.optim.Adam(parameters, 0.1, weight_decay=0.1),
        lambda parameters: torch.optim.AdamW(parameters, 0.1, amsgrad=True),
    ],
)
def test_zeros_stay_and_the_others_learn(optimizer):
    model = sparse_model()
    model[3].bias.requires_grad_(False)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    keep_zeros(model)
    optimizer = optimizer([p for p in model.parameters() if p.requires_grad])
    for _ in range(3):
        optimizer.zero_grad()
        for half in (torch.arange(4), torch.arange(3, 7)):  # accumulated
            model(half).logsumexp(-1).sum().backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        moved = parameter.ne(before[name])
        assert not moved[before[name] == 0].any()
        assert bool(moved[before[name] != 0].all()) == parameter.requires_grad


def test_kept_zeros_receive_no_nan():
    weight = nn.Parameter(torch.tensor([0.0, 1.0, -0.0]))
    keep_zeros(nn.ParameterList([weight]))
    (weight * torch.tensor([math.nan, math.inf, math.inf])).sum().backward()
    assert torch.equal(weight.grad, torch.tensor([0.0, math.inf, 0.0]))
