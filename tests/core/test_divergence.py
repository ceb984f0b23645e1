import pytest
import torch

from intra_distill.core.divergence import (
    js_divergence,
    kl_divergence,
    mse_divergence,
    x_divergence,
)


def random_lprobs(K: int, V: int = 7, scale: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(K * V)
    logits = scale * torch.randn(K, 4, V, dtype=torch.float64, generator=generator)
    return logits.log_softmax(-1).requires_grad_()


def kl(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """KL(exp a‖exp b) over the last dimension."""
    return (a.exp() * (a - b)).sum(-1)


def mean_distribution(lprobs: torch.Tensor) -> torch.Tensor:
    return lprobs.exp().mean(0).log()


def x_as_defined(lprobs: torch.Tensor) -> torch.Tensor:
    centre = mean_distribution(lprobs)
    return torch.stack([kl(a, centre) + kl(centre, a) for a in lprobs]).mean(0)


def js_as_defined(lprobs: torch.Tensor) -> torch.Tensor:
    centre = mean_distribution(lprobs)
    return torch.stack([kl(a, centre) for a in lprobs]).mean(0)


def kl_as_defined(lprobs: torch.Tensor) -> torch.Tensor:
    first, others = lprobs[0], lprobs[1:]
    return sum(kl(first, a) for a in others) / max(1, len(others)) + 0 * first.sum(-1)


DEFINED = {
    x_divergence: x_as_defined,
    js_divergence: js_as_defined,
    kl_divergence: kl_as_defined,
}


@pytest.mark.parametrize("K", range(1, 7))
@pytest.mark.parametrize("ours, defined", DEFINED.items())
def test_value_and_gradient_follow_the_definition(ours, defined, K):
    lprobs = random_lprobs(K)
    torch.testing.assert_close(ours(lprobs), defined(lprobs))
    (gradient,) = torch.autograd.grad(ours(lprobs).sum(), lprobs)
    (expected,) = torch.autograd.grad(defined(lprobs).sum(), lprobs)
    # equal for every change that keeps the rows normalised: up to a multiple of p_i
    logits_gradient = gradient - lprobs.exp() * gradient.sum(-1, keepdim=True)
    expected = expected - lprobs.exp() * expected.sum(-1, keepdim=True)
    torch.testing.assert_close(logits_gradient, expected)


@pytest.mark.parametrize("divergence", DEFINED)
def test_gradcheck(divergence):
    logits = torch.randn(3, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: divergence(z.log_softmax(-1)), logits)


@pytest.mark.parametrize("K", range(2, 7))
def test_x_is_half_the_bound_of_theorem_c1(K):
    lprobs = random_lprobs(K)
    jeffrey = sum(kl(p, q) + kl(q, p) for p in lprobs for q in lprobs)  # equation (14)
    torch.testing.assert_close(x_divergence(lprobs), jeffrey / (2 * K**2))
    assert (x_divergence(lprobs) <= jeffrey / K**2).all()


def test_equal_passes_have_no_divergence():
    lprobs = random_lprobs(1).expand(4, -1, -1)
    for divergence in (*DEFINED, mse_divergence):
        assert divergence(lprobs).abs().max() < 1e-15


def test_probabilities_that_underflow_stay_finite():
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], requires_grad=True)
    for divergence in DEFINED:
        value = divergence(logits.log_softmax(-1))
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.isfinite() and gradient.isfinite().all()
    assert x_divergence(logits.log_softmax(-1)) > 1e3


def test_mse_follows_equation_9():
    outputs = torch.tensor([[1.0, 0.0], [3.0, 0.0], [8.0, 3.0]])  # means 4 and 1
    expected = torch.tensor([(9 + 1 + 16) / 3, (1 + 1 + 4) / 3])
    torch.testing.assert_close(mse_divergence(outputs), expected)
