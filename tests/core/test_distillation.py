import pytest
import torch

from intra_distill.core.distillation import distillation_loss

# relative to the largest element of what is compared
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 1e-3}


def inputs(shape, V, dtype):
    generator = torch.Generator().manual_seed(sum(shape) + V)
    logits, teacher_logits = torch.randn(2, *shape, V, dtype=torch.float64, generator=generator) * 3
    target = torch.randint(V, shape, generator=generator)
    scored = torch.rand(shape, generator=generator) < 0.7
    return logits.to(dtype).requires_grad_(), teacher_logits.to(dtype), target, scored


def reference(logits, teacher_logits, target, scored, weight, label_smoothing):
    """Equation (3) as it reads, in float64 on exactly the same, possibly rounded, inputs."""
    logits = logits.detach().double().requires_grad_()
    V = logits.size(-1)
    gold = torch.nn.functional.one_hot(target, V).bool()
    y = torch.full_like(logits, label_smoothing / (V - 1)).masked_fill(gold, 1 - label_smoothing)
    p_s = logits.exp() / logits.exp().sum(-1, keepdim=True)
    p_t = teacher_logits.double().exp()
    p_t = p_t / p_t.sum(-1, keepdim=True)
    cross_entropy = -(y * p_s.log()).sum(-1)[scored].sum()
    kl = (p_t * (p_t / p_s).log()).sum(-1)[scored].sum()
    nll = -p_s[gold].log()[scored.flatten()].sum()
    loss = cross_entropy + weight * kl
    return loss, nll, kl, torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("weight", [1.0, 0.3])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape, V, chunk_size", [((3, 4), 23, 5), ((6,), 2, None), ((2, 9), 7, 1)])
def test_values_and_gradient_equal_the_equation(
    dtype, weight, label_smoothing, shape, V, chunk_size
):
    logits, *rest = inputs(shape, V, dtype)
    loss, nll, kl = distillation_loss(logits, *rest, weight, label_smoothing, chunk_size)
    (gradient,) = torch.autograd.grad(2 * loss, logits)
    expected = reference(logits, *rest, weight, label_smoothing)
    tolerance = TOLERANCES[dtype]
    for ours, theirs in zip((loss, nll, kl), expected):
        assert ours.item() == pytest.approx(theirs.item(), rel=min(tolerance, 1e-5))
    assert gradient.dtype == dtype
    scale = expected[-1].abs().max().item()
    torch.testing.assert_close(
        gradient.double(), 2 * expected[-1], rtol=0, atol=2 * tolerance * scale
    )


def test_a_student_that_is_its_teacher_has_no_distance_from_it():
    logits, _, target, scored = inputs((3, 4), 23, torch.float32)
    loss, _, kl = distillation_loss(logits, logits.detach(), target, scored, 5.0)
    without, _, _ = distillation_loss(logits, logits.detach(), target, scored, 0.0)
    assert kl == 0 and loss == without


def test_far_apart_distributions_stay_finite():
    logits = torch.tensor([[300.0, -300.0], [0.0, 0.0]], requires_grad=True)
    target, scored = torch.tensor([1, 0]), torch.tensor([True, True])
    loss, _, kl = distillation_loss(logits, logits.detach().flip(-1), target, scored, 1.0)
    assert loss.isfinite() and kl == 600
    assert torch.autograd.grad(loss, logits)[0].tolist() == [[2.0, -2.0], [-0.5, 0.5]]


def test_nothing_scored_gives_zero_and_a_zero_gradient():
    logits, teacher_logits, target, scored = inputs((3, 4), 5, torch.float32)
    loss, nll, kl = distillation_loss(
        logits, teacher_logits, target, torch.zeros_like(scored), 1.0, 0.1
    )
    assert loss == nll == kl == 0
    assert not torch.autograd.grad(loss, logits)[0].any()


def test_a_loss_scale_keeps_small_fp16_gradients():
    """Unscaled, these gradients lie below the smallest number of fp16."""
    logits = torch.tensor([[20.0, 0.0]], dtype=torch.float16, requires_grad=True)
    target, scored = torch.tensor([0]), torch.tensor([True])
    loss, _, _ = distillation_loss(logits, logits.detach(), target, scored, 1.0)
    (gradient,) = torch.autograd.grad(2.0**15 * loss, logits)
    assert gradient[0, 1].item() == pytest.approx(2.0**15 * 2.06e-9, rel=0.01)
