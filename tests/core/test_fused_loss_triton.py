"""The kernel against the definition: compiled where there is a GPU, else in Triton's interpreter.

The interpreter needs ``pip install triton`` (Linux; torch for CUDA brings it) and no GPU.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from intra_distill.core.divergence import DIVERGENCES, OF_DISTRIBUTIONS
from intra_distill.core.loss import intra_distillation_loss

ON_GPU = torch.cuda.is_available()
if not ON_GPU:
    os.environ["TRITON_INTERPRET"] = "1"  # read once, when triton is imported
pytest.importorskip("triton", reason="needs Triton: pip install triton")

from intra_distill.core import fused_loss_triton  # noqa: E402
from intra_distill.core.fused_loss import fused_intra_distillation_loss  # noqa: E402

from ..support.kernel_call import call_kernel  # noqa: E402

DEVICE = "cuda" if ON_GPU else "cpu"
pytestmark = (
    [pytest.mark.gpu] if ON_GPU else []
)  # of the compiled kernel; the interpreter needs none
BLOCK = fused_loss_triton.TILE_ELEMENTS  # no K takes more of the vocabulary at once
BLOCK_OF_3 = BLOCK // 4  # what K = 3 takes
# of the gradient, relative to its largest element: the interpreter truncates to bf16
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2**-7, torch.float16: 2**-10}


def reference(z, gold, alpha, divergence, label_smoothing, supervised_passes):
    """The definition in float64 → its parts and the gradient, (3,) and (K, n, V)."""
    z = z.detach().double().requires_grad_()
    parts = intra_distillation_loss(
        *(z.log_softmax(-1), gold, alpha, DIVERGENCES[divergence]),
        *(label_smoothing, supervised_passes),
    )
    return torch.stack(parts).detach(), torch.autograd.grad(parts.loss, z)[0]


def assert_equals_the_reference(
    z, gold, alpha, divergence, label_smoothing, scale, tolerance=None, supervised_passes=None
):
    S = supervised_passes or len(z)
    expected_parts, expected = reference(z, gold, alpha, divergence, label_smoothing, S)
    tolerance = tolerance or TOLERANCES[z.dtype]
    parts, gradient = fused_loss_triton.loss_and_gradient_(
        z, gold, alpha, divergence, label_smoothing, S, scale
    )
    assert gradient.data_ptr() == z.data_ptr() and gradient.dtype == z.dtype
    torch.testing.assert_close(
        parts.double(), expected_parts, rtol=0, atol=2e-6 * expected_parts[0].item()
    )
    torch.testing.assert_close(
        gradient.double() / scale, expected, rtol=0, atol=tolerance * expected.abs().max().item()
    )


def logits(K, n, V, dtype, spread=3.0):
    generator = torch.Generator().manual_seed(K + 10 * n + 100 * V)
    shared = spread * torch.randn(1, n, V, generator=generator)
    own = torch.randn(K, n, V, generator=generator)
    gold = torch.randint(V, (n,), generator=generator)
    return (shared + own).to(DEVICE, dtype), gold.to(DEVICE)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
@pytest.mark.parametrize("K", range(1, 7))
@pytest.mark.parametrize("n, V, label_smoothing", [(2, BLOCK + 37, 0.1), (1, 70, 0.0)])
def test_values_and_gradients_equal_the_reference(dtype, divergence, K, n, V, label_smoothing):
    z, gold = logits(K, n, V, dtype)
    assert_equals_the_reference(z, gold, 3.0, divergence, label_smoothing, scale=K)


@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
@pytest.mark.parametrize("K, S", [(2, 1), (5, 1), (5, 3)])
def test_only_the_first_passes_may_learn_from_the_target(divergence, K, S):
    z, gold = logits(K, 2, BLOCK + 37, torch.float32)
    assert_equals_the_reference(z, gold, 3.0, divergence, 0.1, scale=K, supervised_passes=S)


@pytest.mark.parametrize("V", [2, BLOCK_OF_3, BLOCK_OF_3 + 1, 2 * BLOCK_OF_3])
@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
def test_the_vocabulary_may_end_anywhere_in_a_block(V, divergence):
    z, gold = logits(3, 2, V, torch.float32)
    assert_equals_the_reference(z, gold, 3.0, divergence, 0.1, scale=3.0)


@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
def test_the_target_may_be_the_first_or_the_last_type(divergence):
    z, _ = logits(3, 2, BLOCK_OF_3 + 1, torch.float32)
    gold = torch.tensor([0, BLOCK_OF_3], device=DEVICE)
    assert_equals_the_reference(z, gold, 3.0, divergence, 0.1, scale=3.0)


@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
@pytest.mark.parametrize("pitch, touched", [(128, 72), (100, 70)])
def test_rows_may_lie_apart(K, divergence, pitch, touched):
    values, gold = logits(K, 3, 70, torch.float32)
    buffer = torch.full((K, 3, pitch), float("nan"), device=DEVICE)
    z = buffer[..., :70].copy_(values)
    assert_equals_the_reference(z, gold, 3.0, divergence, 0.1, scale=256.0)
    assert buffer[..., touched:].isnan().all()


@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
def test_the_same_logits_in_every_pass_have_no_divergence(divergence):
    z, gold = logits(1, 3, 70, torch.float32)
    parts, _ = fused_loss_triton.loss_and_gradient_(
        z.expand(3, 3, 70).clone(), gold, 5.0, divergence, 0.1, 3, 3.0
    )
    assert abs(parts[2]) < 1e-6


@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_extreme_logits_stay_right(divergence, dtype, label_smoothing):
    z, gold = logits(3, 4, BLOCK_OF_3 + 3, dtype)
    z[:, 0, ::2] += 1e4  # every other type is impossible
    z[:, 0, 1::2] -= 1e4
    z[0, 1] += 1e4  # a pass may add what it likes to all its logits
    z[:, 2, 5] = torch.tensor([1e4, -1e4, 0.0])  # the passes contradict each other
    z[:, 3] = -1e4
    # the next number of fp32 after 1e4 is a thousandth away
    tolerance = max(1e-4, TOLERANCES[dtype])
    assert_equals_the_reference(z, gold, 3.0, divergence, label_smoothing, 3.0, tolerance)


@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
def test_a_target_far_below_the_rest_costs_no_precision(divergence):
    z, gold = logits(3, 1, 70, torch.float32)
    z[..., gold] = -1e4
    assert_equals_the_reference(z, gold, 1.0, divergence, 0.0, scale=3.0)


@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
def test_large_logits_cost_no_precision(divergence):
    z, gold = logits(3, 1, 70, torch.float32)
    z[:, :, ::2] += 1e4
    assert_equals_the_reference(z, gold, 1.0, divergence, 0.0, scale=3.0)


def test_a_gradient_beyond_fp16_ends_at_its_largest_number():
    z = torch.tensor([[[1e4, -1e4]], [[-1e4, 1e4]]], dtype=torch.float16, device=DEVICE)
    z[0] = torch.tensor([4.0, 0.0])  # sure enough, beside a pass that excludes its answer
    gold = torch.zeros(1, dtype=torch.long, device=DEVICE)
    _, gradient = fused_loss_triton.loss_and_gradient_(z, gold, 5.0, "x", 0.0, 2, 2.0 * 256)
    assert gradient.abs().max() == torch.finfo(torch.float16).max


@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
@pytest.mark.parametrize("K, pitch", [(1, 70), (3, 70), (3, 128)])
def test_every_element_of_the_results_is_written(divergence, K, pitch, poisoned):
    values, gold = logits(K, 3, 70, torch.float32)
    z = torch.empty(K, 3, pitch, device=DEVICE)[..., :70].copy_(values)
    assert_equals_the_reference(z, gold, 3.0, divergence, 0.1, scale=K)


def test_the_calls_for_a_memory_checker():
    call_kernel(DEVICE)


@pytest.mark.gpu
def test_the_kernel_stays_within_its_memory():
    checker = shutil.which("compute-sanitizer")
    if not checker:
        pytest.skip("compute-sanitizer is not installed")
    command = [checker, "--tool", "memcheck", "--error-exitcode", "99"]
    command += ["--target-processes", "application-only"]
    try:
        checked = subprocess.run(
            [*command, sys.executable, "-m", "tests.support.kernel_call"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"},
            capture_output=True,
            text=True,
            timeout=40,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("compute-sanitizer takes more than 40 s here")
    if "Device not supported" in checked.stdout:
        pytest.skip("compute-sanitizer does not support this device")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "ERROR SUMMARY: 0 errors" in checked.stdout


def test_nan_is_not_hidden():
    z, gold = logits(2, 1, 70, torch.float16)
    z[0, 0, 3] = float("nan")
    parts, gradient = fused_loss_triton.loss_and_gradient_(z, gold, 5.0, "x", 0.1, 2, 2.0)
    assert parts[0].isnan() and gradient.isnan().any()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_the_fused_loss_takes_the_kernel_on_a_gpu(monkeypatch, dtype):
    calls = []
    kernel = fused_loss_triton.loss_and_gradient_
    monkeypatch.setattr(
        fused_loss_triton,
        "loss_and_gradient_",
        lambda *args: calls.append(args) or kernel(*args),
    )
    features = torch.randn(3, 10, 16, device=DEVICE, dtype=dtype)
    weight = torch.randn(70, 16, device=DEVICE, dtype=dtype)
    target = torch.randint(70, (10,), device=DEVICE)
    fused_intra_distillation_loss(features, weight, None, target, 1.0, "x", 0.1, chunk_size=4)
    assert len(calls) == 3
