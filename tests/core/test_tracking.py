import math

import pytest
import torch

from intra_distill.core import tracking
from intra_distill.core.tracking import top_and_rest

from ..support.sensitivity import by_sorting


def parameters(*shapes, dtype=torch.float32, scale=1.0):
    torch.manual_seed(1)
    made = [torch.nn.Parameter(torch.randn(shape).to(dtype)) for shape in shapes]
    for parameter in made:
        parameter.grad = (scale * torch.randn(parameter.shape)).to(dtype)
    return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shapes", [[5], [(9, 1)], [(300, 70), 70, (1, 2, 3)], [100_003]], ids=str)
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_it_is_what_sorting_gives(shapes, dtype, scale):
    made = parameters(*shapes, dtype=dtype, scale=scale)
    assert top_and_rest(made) == pytest.approx(by_sorting(made), rel=1e-12)


def test_it_is_what_sorting_gives_in_small_chunks(monkeypatch):
    monkeypatch.setattr(tracking, "CHUNK", 7)
    made = parameters((30, 7), 8)
    made[0].data = made[0].data.t().contiguous().t()  # not in one piece, unlike its gradient
    assert top_and_rest(made) == pytest.approx(by_sorting(made), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-36, 1e-42, 1e37])
def test_the_ends_of_float32(scale):
    made = parameters(1000, scale=scale)
    assert top_and_rest(made) == pytest.approx(by_sorting(made), rel=1e-12)


@pytest.mark.parametrize("sensitive", [0, 1, 19, 20, 21, 100])
def test_ties_are_shared_between_the_groups(sensitive):
    parameter = torch.nn.Parameter(torch.full((100,), -2.0))
    parameter.grad = torch.zeros(100)
    parameter.grad[:sensitive] = 3.0
    assert top_and_rest([parameter]) == pytest.approx(by_sorting([parameter]))
    assert sum(top_and_rest([parameter])) > 0 or sensitive == 0


def test_without_a_gradient_it_counts_as_zero():
    made = parameters(60, (4, 10))
    made[1].grad = None
    top, rest = top_and_rest(made)
    assert (top, rest) == pytest.approx(by_sorting(made), rel=1e-12)
    assert rest > 0  # 60 of the 80 + 20


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_an_overflow_shows(value):
    made = parameters(100)
    made[0].grad[3] = value
    assert not math.isfinite(top_and_rest(made)[0])
