import pytest
import torch
from torch import Tensor

from intra_distill.core.pruning import least

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
