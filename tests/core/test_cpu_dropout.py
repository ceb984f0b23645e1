import copy

import pytest
import torch
from fairseq.modules import FairseqDropout
from torch import nn

from intra_distill.core.cpu_dropout import LEVELS, draw_integers, dropout

SEVERAL = pytest.mark.parametrize("p", [0.5, 0.3, 0.1, 1 / LEVELS, 1 - 1 / LEVELS])


@SEVERAL
def test_share_of_dropped_elements_and_scale_of_the_others(p):
    torch.manual_seed(1)
    n = 1_000_001  # no multiple of the four integers in a draw
    y = dropout(torch.ones(n), p)
    kept = y[y != 0]
    rounded = round(p * LEVELS) / LEVELS
    assert abs(rounded - p) <= 0.5 / LEVELS
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rounded)))
    deviation = (rounded * (1 - rounded) / n) ** 0.5
    assert abs((y == 0).double().mean().item() - rounded) < 5 * deviation


def test_elements_are_dropped_independently():
    """Of the four integers of one draw, and of neighbouring draws, none follows from another."""
    torch.manual_seed(1)
    dropped = (dropout(torch.ones(250_000, 8), 0.3) == 0).double()
    shares = dropped.mean(dim=0)
    torch.testing.assert_close(shares, torch.full_like(shares, 0.3), atol=0.005, rtol=0)
    correlations = torch.corrcoef(dropped.t()) - torch.eye(8)
    assert correlations.abs().max() < 0.01


@pytest.mark.parametrize("p", [0.0, 1e-7, 1.0])
def test_probabilities_that_would_round_away_are_torchs(p):
    x = torch.ones(1000)
    torch.manual_seed(1)
    expected = torch.nn.functional.dropout(x, p)
    torch.manual_seed(1)
    assert torch.equal(dropout(x, p), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 7)])
def test_gradient_is_the_mask_with_its_scale(dtype, shape):
    torch.manual_seed(1)
    x = (1 + torch.rand(shape, dtype=dtype)).requires_grad_()
    y = dropout(x, 0.5)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert y.dtype == gradient.dtype == dtype and y.shape == shape
    torch.testing.assert_close(gradient * x, y)


def test_elements_that_do_not_lie_in_order():
    torch.manual_seed(1)
    y = dropout(torch.ones(6, 4).t(), 0.5)
    torch.manual_seed(1)
    assert torch.equal(y, dropout(torch.ones(4, 6), 0.5))


@pytest.fixture
def model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.Sequential(FairseqDropout(0.3)), nn.Dropout(0.5))


def test_fairseqs_modules_in_training_alone(model):
    x = torch.randn(50, 4)
    torch.manual_seed(1)
    expected = model[2](dropout(model[0](x), 0.3))
    tested = model.eval()(x)
    draw_integers(model.train(), FairseqDropout)
    torch.manual_seed(1)
    assert torch.equal(model(x), expected)
    state = torch.get_rng_state()
    assert torch.equal(model.eval()(x), tested)
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_that_is_retained_in_inference_is_fairseqs(model):
    model.eval()[1][0].make_generation_fast_("", retain_dropout=True)
    x = torch.randn(50, 4)
    torch.manual_seed(1)
    expected = model(x)
    draw_integers(model, FairseqDropout)
    torch.manual_seed(1)
    assert torch.equal(model(x), expected)


def test_a_copied_model_has_its_own(model):
    draw_integers(model, FairseqDropout)
    copied = copy.deepcopy(model)
    copied[1][0].p = 0.0
    x = torch.randn(50, 4)
    assert torch.equal(copied[1](x), x) and not torch.equal(model[1](x), x)


def test_other_devices_are_fairseqs(model):
    draw_integers(model, FairseqDropout)
    assert model[1](torch.empty(3, 4, device="meta")).device.type == "meta"
