"""The loss of K passes, summed up by hand or by fairseq."""

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss

from intra_distill.core.divergence import js_divergence, x_divergence
from intra_distill.core.loss import intra_distillation_loss, regression_loss


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_without_divergence_it_is_the_mean_of_fairseqs_losses(label_smoothing):
    lprobs = torch.randn(3, 5, 11, dtype=torch.float64).log_softmax(-1)
    target = torch.randint(11, (5,))
    parts = intra_distillation_loss(lprobs, target, 0.0, x_divergence, label_smoothing)
    each = [label_smoothed_nll_loss(one, target, label_smoothing) for one in lprobs]
    torch.testing.assert_close(parts.loss, torch.stack([loss.sum() for loss, _ in each]).mean())
    torch.testing.assert_close(parts.nll, torch.stack([nll.sum() for _, nll in each]).mean())


def test_the_divergence_enters_with_weight_alpha():
    lprobs = torch.randn(3, 5, 11, dtype=torch.float64).log_softmax(-1)
    target = torch.randint(11, (5,))
    without, with_alpha = (
        intra_distillation_loss(lprobs, target, alpha, js_divergence) for alpha in (0.0, 2.5)
    )
    divergence = js_divergence(lprobs).sum()
    torch.testing.assert_close(with_alpha.loss - without.loss, 2.5 * divergence)
    torch.testing.assert_close(with_alpha.divergence, divergence)


def test_a_regression_has_squared_errors_and_the_distance_from_the_mean_output():
    outputs, target = torch.randn(3, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    parts = regression_loss(outputs, target, 2.5)
    errors = sum(torch.nn.functional.mse_loss(each, target) for each in outputs) / 3 * 5
    distance = outputs.var(dim=0, unbiased=False).sum()
    torch.testing.assert_close(parts.loss, errors + 2.5 * distance)
    torch.testing.assert_close((parts.nll, parts.divergence), (errors, distance))
