from dataclasses import astuple

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intra_distill.core import sensitivity as module
from intra_distill.core.sensitivity import Moments, balance, pool, sensitivity


class Tied(nn.Module):
    """Predicts the next of 7 types; embeddings tied, one parameter not used."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 5)
        self.hidden = nn.Linear(5, 5)
        self.project = nn.Linear(5, 7, bias=False)
        self.project.weight = self.embed.weight
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.project(self.hidden(self.embed(tokens)).tanh())


@pytest.fixture
def model() -> Tied:
    torch.manual_seed(1)
    return Tied()


@pytest.fixture
def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Of different sizes."""
    torch.manual_seed(2)
    return [(torch.randint(7, (n,)), torch.randint(7, (n,))) for n in (3, 11, 6)]


def losses(model, batches):
    for tokens, targets in batches:
        yield F.cross_entropy(model(tokens), targets, reduction="sum"), len(tokens)


def gradients(model, tokens, targets):
    loss = F.cross_entropy(model(tokens), targets)
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return loss, {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for name, parameter, gradient in zip(names, parameters, found, strict=True)
    }


def test_the_gradient_is_that_of_all_batches_as_one(model, batches):
    loss, g = gradients(model, *map(torch.cat, zip(*batches, strict=True)))
    scores, measured = sensitivity(model, losses(model, batches))
    assert measured == pytest.approx(loss.item(), rel=1e-6)
    assert scores.keys() == {"embed.weight", "hidden.weight", "hidden.bias", "unused"}
    assert scores["unused"].eq(0).all()
    for name, parameter in model.named_parameters():
        assert scores[name].dtype == torch.float32 and not scores[name].requires_grad
        torch.testing.assert_close(scores[name], (parameter * g[name]).abs().detach())


def test_the_mean_of_absolutes_weighs_batches_by_their_tokens(model, batches):
    scores, measured = sensitivity(model, losses(model, batches), mean_of_absolute=True)
    total = sum(len(tokens) for tokens, _ in batches)
    expected = dict.fromkeys(scores, 0.0)
    for tokens, targets in batches:
        loss, g = gradients(model, tokens, targets)
        for name, parameter in model.named_parameters():
            expected[name] += (parameter * g[name]).abs().detach() * len(tokens) / total
    for name, score in scores.items():
        torch.testing.assert_close(score, expected[name])
    signed, loss = sensitivity(model, losses(model, batches))
    assert measured == loss
    assert all(bool((scores[name] - signed[name] > -1e-7).all()) for name in scores)
    assert (scores["hidden.weight"] > signed["hidden.weight"] + 1e-3).any()


@pytest.mark.parametrize("mean_of_absolute", [False, True])
def test_the_model_is_left_as_it_was(mean_of_absolute, model, batches):
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    first = sensitivity(model, losses(model, batches), mean_of_absolute).scores
    again = sensitivity(model, losses(model, batches), mean_of_absolute).scores
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) and parameter.grad is None
        assert torch.equal(first[name], again[name])


# Statistics


@pytest.mark.parametrize("block", [7, 2**17])
def test_figures_by_hand(block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    N = 200
    figures = balance(torch.arange(1.0, N + 1), loss=4.0)
    assert figures.parameters == N
    # the variance of 1 … n is (n² − 1)/12
    for moments, n in ((figures.all, 200), (figures.without_top_1_percent, 198)):
        mean, sd = (n + 1) / 2, ((n * n - 1) / 12) ** 0.5
        expected = Moments(mean, sd, mean / 4, sd / 4, sd / mean)
        assert astuple(moments) == pytest.approx(astuple(expected), rel=1e-12)
    assert figures.top_20_percent_mean == (161 + 200) / 2
    assert figures.bottom_80_percent_mean == (1 + 160) / 2
    assert figures.top_to_bottom == pytest.approx(361 / 161, rel=1e-12)
    assert figures.gini == pytest.approx((N - 1) / (3 * N), rel=1e-12)


@pytest.mark.parametrize("N", [1, 5, 1003])
@pytest.mark.parametrize("block", [100, 2**17])
def test_gini_is_half_the_relative_mean_difference(N, block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    torch.manual_seed(N)
    values = torch.randn(N).exp()
    differences = (values.double()[:, None] - values.double()).abs().mean()
    expected = float(differences / 2 / values.double().mean())
    assert balance(pool([values]), loss=1.0).gini == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_gini_of_equal_values_and_of_one_that_has_all():
    assert balance(torch.full((50,), 0.3), loss=1.0).gini == pytest.approx(0, abs=1e-12)
    assert balance(torch.tensor([0.0] * 49 + [7]), loss=1.0).gini == pytest.approx(1 - 1 / 50)


def test_small_values_keep_their_digits():
    values = pool([torch.full((2**20,), 1e-12), torch.full((2**20,), 3e-12)])
    figures = balance(values, loss=1.0)
    assert figures.all.mean == pytest.approx(2e-12, rel=1e-6)
    assert figures.all.sd == pytest.approx(1e-12, rel=1e-6)


def test_what_would_be_zero_by_zero_is_none():
    figures = balance(torch.zeros(4), loss=2.0)  # too few for a top 20 %
    assert figures.all == Moments(0.0, 0.0, 0.0, 0.0, None)
    assert (figures.top_20_percent_mean, figures.bottom_80_percent_mean) == (None, 0.0)
    assert (figures.top_to_bottom, figures.gini) == (None, None)


def test_pool_orders_all_values_and_leaves_the_tensors():
    one, two = torch.tensor([[3.0, 1.0], [2.0, 9.0]]), torch.tensor(2.5, dtype=torch.float64)
    ascending = pool([one.t(), two, torch.empty(0)])
    assert ascending.dtype == torch.float32
    assert ascending.tolist() == [1, 2, 2.5, 3, 9]
    assert one.tolist() == [[3, 1], [2, 9]]
