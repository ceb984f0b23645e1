import pytest
import torch

from intra_distill.core.divergence import DIVERGENCES
from intra_distill.core.fused_loss import fused_intra_distillation_loss
from intra_distill.core.loss import intra_distillation_loss

# relative to the largest element of what is compared
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 4e-2, torch.float16: 3e-3}


def inputs(K, N, d, V, dtype, bias):
    generator = torch.Generator().manual_seed(K + 10 * N + 100 * V)
    features = torch.randn(K, N, d, dtype=torch.float64, generator=generator)
    weight = torch.randn(V, d, dtype=torch.float64, generator=generator) / d**0.5
    offset = torch.randn(V, dtype=torch.float64, generator=generator) if bias else None
    target = torch.randint(V, (N,), generator=generator)
    leaves = [x.to(dtype).requires_grad_() for x in (features, weight, offset) if x is not None]
    return leaves, target


def reference(leaves, target, alpha, divergence, label_smoothing):
    """The definition in float64 on exactly the same, possibly rounded, inputs."""
    leaves = [leaf.detach().double().requires_grad_() for leaf in leaves]
    logits = torch.nn.functional.linear(*leaves)
    parts = intra_distillation_loss(
        logits.log_softmax(-1), target, alpha, DIVERGENCES[divergence], label_smoothing
    )
    return parts, torch.autograd.grad(parts.loss, leaves)


def assert_near(actual, expected, tolerance):
    scale = expected.abs().max().item() if expected.numel() else 0.0
    torch.testing.assert_close(
        actual.double(), expected.double(), rtol=0, atol=tolerance * scale + 1e-300
    )


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("K", range(1, 7))
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("N, V, chunk_size", [(9, 23, 4), (5, 2, None), (1, 57, 1)])
def test_values_and_gradients_equal_the_reference(dtype, divergence, K, bias, N, V, chunk_size):
    leaves, target = inputs(K, N, 8, V, dtype, bias)
    features, weight, offset = *leaves[:2], leaves[2] if bias else None
    parts = fused_intra_distillation_loss(
        features, weight, offset, target, 3.0, divergence, 0.1, chunk_size
    )
    gradients = torch.autograd.grad(parts.loss, leaves)
    expected, expected_gradients = reference(leaves, target, 3.0, divergence, 0.1)
    tolerance = TOLERANCES[dtype]
    for ours, theirs in zip(parts[:2], expected[:2]):
        assert_near(ours, theirs, tolerance)
    # the divergence is a small difference of large numbers: compare it on the loss's scale
    assert abs(parts.divergence - expected.divergence) <= tolerance * abs(expected.loss)
    for leaf, ours, theirs in zip(leaves, gradients, expected_gradients):
        assert ours.dtype == leaf.dtype
        assert_near(ours, theirs, tolerance)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_gradcheck(divergence):
    leaves, target = inputs(3, 4, 5, 6, torch.float64, True)
    assert torch.autograd.gradcheck(
        lambda *leaves: fused_intra_distillation_loss(*leaves, target, 2.0, divergence, 0.1)[0],
        leaves,
    )


def test_no_position_gives_zero_and_zero_gradients():
    leaves, target = inputs(3, 0, 4, 5, torch.float32, True)
    parts = fused_intra_distillation_loss(*leaves, target, 2.0, "x", 0.1)
    assert parts.loss == parts.nll == parts.divergence == 0
    for gradient in torch.autograd.grad(parts.loss, leaves):
        assert not gradient.any()


def test_a_loss_scale_keeps_small_fp16_gradients():
    """Unscaled, these gradients lie below the smallest number of fp16."""
    leaves, target = inputs(2, 3, 4, 50, torch.float16, False)
    features, weight = leaves
    scale = 2.0**-20  # as if each token were one of a million, before the loss scale
    parts = fused_intra_distillation_loss(features, weight, None, target, 1.0, "x")
    (lost,) = torch.autograd.grad(parts.loss.float() * scale**2, features, retain_graph=True)
    (kept,) = torch.autograd.grad(parts.loss.float() * scale**2 * 2.0**40, features)
    assert not lost.any() and kept.ne(0).float().mean() > 0.9


def test_under_autocast_the_weight_keeps_its_precision():
    (features, weight), target = inputs(3, 9, 8, 23, torch.float32, False)
    with torch.autocast("cpu", torch.bfloat16):
        parts = fused_intra_distillation_loss(features, weight, None, target, 3.0, "x", 0.1, 4)
    gradients = torch.autograd.grad(parts.loss, (features, weight))
    rounded = [leaf.detach().bfloat16() for leaf in (features, weight)]
    expected, expected_gradients = reference(rounded, target, 3.0, "x", 0.1)
    assert_near(parts.loss, expected.loss, TOLERANCES[torch.bfloat16])
    for ours, theirs in zip(gradients, expected_gradients):
        assert ours.dtype == torch.float32
        assert_near(ours, theirs, TOLERANCES[torch.bfloat16])


def test_the_logits_of_all_positions_never_exist(monkeypatch):
    leaves, target = inputs(3, 40, 4, 30, torch.float32, False)
    largest = 0
    mm = torch.mm

    def measured_mm(h, weight, out):
        nonlocal largest
        largest = max(largest, out.numel())
        return mm(h, weight, out=out)

    monkeypatch.setattr(torch, "mm", measured_mm)
    fused_intra_distillation_loss(*leaves, None, target, 1.0, "x", chunk_size=7)
    assert largest == 3 * 7 * 30


def test_extreme_logits_stay_finite():
    features = torch.tensor([[[1e4]], [[-1e4]]], requires_grad=True)
    weight = torch.tensor([[1.0], [-1.0], [0.5]], requires_grad=True)
    for divergence in DIVERGENCES:
        parts = fused_intra_distillation_loss(
            features, weight, None, torch.tensor([0]), 5.0, divergence, 0.1
        )
        gradients = torch.autograd.grad(parts.loss, (features, weight))
        assert parts.loss.isfinite() and all(g.isfinite().all() for g in gradients)


def test_an_unknown_divergence_is_refused():
    leaves, target = inputs(2, 3, 4, 5, torch.float32, False)
    with pytest.raises(ValueError, match="'kl'"):
        fused_intra_distillation_loss(*leaves, None, target, 1.0, "kl")
