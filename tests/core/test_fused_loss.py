import errno
import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from intra_distill import core
from intra_distill.core import fused_loss
from intra_distill.core.divergence import DIVERGENCES, OF_DISTRIBUTIONS
from intra_distill.core.fused_loss import (
    FP16_HEADROOM,
    default_chunk_size,
    fused_intra_distillation_loss,
    loss_and_gradient_,
)
from intra_distill.core.loss import intra_distillation_loss

from ..support.devices import DEVICES

# relative to the largest element of what is compared
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 4e-2, torch.float16: 3e-3}


def inputs(K, N, d, V, dtype, bias, device="cpu"):
    generator = torch.Generator().manual_seed(K + 10 * N + 100 * V)
    features = torch.randn(K, N, d, dtype=torch.float64, generator=generator)
    weight = torch.randn(V, d, dtype=torch.float64, generator=generator) / d**0.5
    offset = torch.randn(V, dtype=torch.float64, generator=generator) if bias else None
    target = torch.randint(V, (N,), generator=generator)
    leaves = [x for x in (features, weight, offset) if x is not None]
    return [x.to(device, dtype).requires_grad_() for x in leaves], target.to(device)


def reference(leaves, target, alpha, divergence, label_smoothing, supervised_passes=None):
    """The definition in float64 on exactly the same, possibly rounded, inputs."""
    leaves = [leaf.detach().double().requires_grad_() for leaf in leaves]
    logits = torch.nn.functional.linear(*leaves)
    parts = intra_distillation_loss(
        *(logits.log_softmax(-1), target, alpha, DIVERGENCES[divergence]),
        *(label_smoothing, supervised_passes),
    )
    return parts, torch.autograd.grad(parts.loss, leaves)


def assert_near(actual, expected, tolerance):
    scale = expected.abs().max().item() if expected.numel() else 0.0
    torch.testing.assert_close(
        actual.double(), expected.double(), rtol=0, atol=tolerance * scale + 1e-300
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
@pytest.mark.parametrize("K", range(1, 7))
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("N, V, chunk_size", [(9, 23, 4), (5, 2, None), (1, 57, 1)])
def test_values_and_gradients_equal_the_reference(
    device, dtype, divergence, K, bias, N, V, chunk_size
):
    leaves, target = inputs(K, N, 8, V, dtype, bias, device)
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


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
@pytest.mark.parametrize("K, S", [(2, 1), (4, 1), (4, 3)])
def test_only_the_first_passes_may_learn_from_the_target(device, dtype, divergence, K, S):
    leaves, target = inputs(K, 9, 8, 23, dtype, False, device)
    parts = fused_intra_distillation_loss(
        *leaves, None, target, 3.0, divergence, 0.1, chunk_size=4, supervised_passes=S
    )
    gradients = torch.autograd.grad(parts.loss, leaves)
    expected, expected_gradients = reference(leaves, target, 3.0, divergence, 0.1, S)
    for ours, theirs in zip((*parts[:2], *gradients), (*expected[:2], *expected_gradients)):
        assert_near(ours, theirs, TOLERANCES[dtype])


ON_CUDA = [(1, 1, 64, 32000), (2, 300, 128, 6001), (3, 257, 512, 12001), (6, 65, 64, 10000)]
SHAPES = [("cpu", (3, 33, 16, 301))]
SHAPES += [pytest.param("cuda", shape, marks=pytest.mark.gpu) for shape in ON_CUDA]


@pytest.mark.parametrize("device, shape", SHAPES)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_sizes_of_real_models(device, shape, dtype, divergence, label_smoothing):
    """With the chunk that each device has by default."""
    leaves, target = inputs(*shape, dtype, True, device)
    parts = fused_intra_distillation_loss(*leaves, target, 3.0, divergence, label_smoothing)
    gradients = torch.autograd.grad(parts.loss, leaves)
    expected, expected_gradients = reference(leaves, target, 3.0, divergence, label_smoothing)
    for ours, theirs in zip((*parts[:2], *gradients), (*expected[:2], *expected_gradients)):
        assert_near(ours, theirs, TOLERANCES[dtype])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
def test_nothing_comes_from_memory_that_was_not_written(device, dtype, divergence, poisoned):
    leaves, target = inputs(3, 9, 8, 57, dtype, True, device)
    parts = fused_intra_distillation_loss(*leaves, target, 3.0, divergence, 0.1, 4)
    gradients = torch.autograd.grad(parts.loss, leaves)
    assert all(each.isfinite().all() for each in (*parts, *gradients))


@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_gradcheck(divergence, K, label_smoothing):
    leaves, target = inputs(K, 4, 5, 6, torch.float64, True)
    assert torch.autograd.gradcheck(
        lambda *leaves: fused_intra_distillation_loss(
            *leaves, target, 2.0, divergence, label_smoothing, chunk_size=3
        )[0],
        leaves,
    )


@pytest.mark.parametrize("device", DEVICES)
def test_no_position_gives_zero_and_zero_gradients(device):
    leaves, target = inputs(3, 0, 4, 5, torch.float32, True, device)
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


def test_the_loss_may_be_scaled_in_place():
    leaves, target = inputs(2, 3, 4, 5, torch.float32, True)
    loss = fused_intra_distillation_loss(*leaves, target, 1.0, "x").loss
    loss *= 0
    assert not any(gradient.any() for gradient in torch.autograd.grad(loss, leaves))


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


class LargestTensor(TorchDispatchMode):
    """Elements of the largest tensor that any operation makes, backward included."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
def test_no_tensor_is_larger_than_a_chunk_of_logits(dtype, divergence):
    K, N, d, V, chunk_size = 3, 40, 4, 30, 7
    leaves, target = inputs(K, N, d, V, dtype, True)
    with LargestTensor() as largest:
        parts = fused_intra_distillation_loss(
            *leaves, target, 1.0, divergence, 0.1, chunk_size=chunk_size
        )
        torch.autograd.grad(parts.loss, leaves)
    assert largest.elements == K * chunk_size * V > max(leaf.numel() for leaf in leaves)


@pytest.mark.parametrize("K", [1, 6])
def test_the_default_chunk_does_not_grow_with_the_positions(monkeypatch, K):
    monkeypatch.setattr("intra_distill.core.fused_loss.CHUNK_ELEMENTS", 1000)
    (features, weight), target = inputs(K, 200, 4, 50, torch.float32, False)
    with LargestTensor() as largest:
        fused_intra_distillation_loss(features, weight, None, target, 1.0, "x")
    assert largest.elements <= max(1000, features.numel())


@pytest.mark.parametrize("K, V", [(1, 12_001), (3, 12_001), (6, 64_000), (3, 2**28)])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("N", [0, 1, 85, 86, 4_096, 100_000])
def test_default_chunks_are_of_one_size(K, N, V, device):
    size = default_chunk_size(K, N, V, device)
    chunks = max(1, -(-N // size))
    elements = {"cpu": 2**23, "cuda": 2**27}[device]
    assert 1 <= size <= max(1, N) and (size == 1 or K * V * size <= elements)
    assert chunks * size - max(1, N) < chunks  # none lacks more than a position


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_extreme_logits_stay_right(device, divergence, dtype):
    features = torch.tensor([[[1e4], [0.0]], [[-1e4], [1e4]]], device=device, dtype=dtype)
    weight = torch.tensor([[1.0], [-1.0], [0.5]], device=device, dtype=dtype)
    leaves = [features.requires_grad_(), weight.requires_grad_()]
    target = torch.tensor([0, 1], device=device)
    parts = fused_intra_distillation_loss(*leaves, None, target, 0.01, divergence, 0.1)
    expected, expected_gradients = reference(leaves, target, 0.01, divergence, 0.1)
    assert_near(parts.loss, expected.loss, TOLERANCES[dtype])
    for ours, theirs in zip(torch.autograd.grad(parts.loss, leaves), expected_gradients):
        assert_near(ours, theirs, TOLERANCES[dtype])


@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
def test_types_improbable_in_every_pass_count(divergence):
    (features, weight), target = inputs(3, 4, 8, 50, torch.float64, False)
    leaves = [(features * 8).detach().requires_grad_(), weight]
    parts = fused_intra_distillation_loss(*leaves, None, target, 3.0, divergence)
    expected, expected_gradients = reference(leaves, target, 3.0, divergence, 0.0)
    assert_near(parts.divergence, expected.divergence, 1e-12)
    for ours, theirs in zip(torch.autograd.grad(parts.loss, leaves), expected_gradients):
        assert_near(ours, theirs, 1e-12)


def test_improbable_types_keep_their_gradient_in_fp16():
    """A probability of e⁻¹⁸ is 0 in fp16."""
    z = torch.zeros(1, 1, 50, dtype=torch.float16)
    z[0, 0, 0] = 18
    scale = 1.0 * FP16_HEADROOM
    _, gradient = loss_and_gradient_(z, torch.tensor([0]), 0.0, "x", 0.0, 1, scale)
    torch.testing.assert_close(
        gradient[0, 0, 1:].float() / scale, torch.full((49,), -18.0).exp(), rtol=1e-2, atol=0
    )


def test_a_gradient_beyond_fp16_ends_at_its_largest_number():
    z = torch.tensor([[[4.0, 0.0]], [[-1e4, 1e4]]], dtype=torch.float16)
    _, gradient = loss_and_gradient_(z, torch.tensor([0]), 5.0, "x", 0.0, 2, 2.0 * FP16_HEADROOM)
    assert gradient.abs().max() == torch.finfo(torch.float16).max


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_whether_torch_adds_products_to_single_precision_is_tried(device, dtype):
    """No version number says so: some have the option and refuse it."""
    adds = fused_loss._adds_to_fp32.__wrapped__(dtype, device)
    total, factor = torch.ones(2, 2, device=device), torch.ones(2, 3, device=device, dtype=dtype)
    fused_loss._add_product_(total, factor, factor.t())
    assert total.eq(4).all()
    assert not adds or device == "cuda"


# Where Triton does not work


@pytest.fixture
def with_triton(monkeypatch, caplog):
    """Compute as on a GPU, with a given module in place of the kernel's → loss and gradients."""
    monkeypatch.setattr(
        fused_loss, "_loss_and_gradient_on", lambda _: fused_loss.loss_and_gradient_with_triton_
    )
    monkeypatch.setattr(fused_loss, "_triton_works", True)
    caplog.set_level("WARNING")
    leaves, target = inputs(3, 9, 8, 23, torch.float32, False)
    expected = reference(leaves, target, 3.0, "x", 0.1)

    def compute() -> None:
        """In three chunks, as the definition has it."""
        features, weight = leaves
        parts = fused_intra_distillation_loss(features, weight, None, target, 3.0, "x", 0.1, 3)
        gradients = torch.autograd.grad(parts.loss, leaves)
        for ours, theirs in zip([parts.loss, *gradients], [expected[0].loss, *expected[1]]):
            assert_near(ours, theirs, TOLERANCES[torch.float32])

    return compute


class Kernel:
    """Stands for the module of the kernel, which fails at a call of the first chunks or later."""

    def __init__(self, monkeypatch, error: Exception, at_call: int = 0) -> None:
        self.error, self.at_call, self.calls = error, at_call, 0
        monkeypatch.setattr(core, "fused_loss_triton", self, raising=False)

    def loss_and_gradient_(self, *arguments):
        self.calls += 1
        if self.calls > self.at_call:
            raise self.error
        return loss_and_gradient_(*arguments)


TRITON_FAILS = {
    "RuntimeError: Failed to find C compiler. Please specify": RuntimeError(
        "Failed to find C compiler.\nPlease specify via CC environment variable."
    ),
    "CalledProcessError: Command '['gcc', 'cuda_utils.c']' returned": subprocess.CalledProcessError(
        1, ["gcc", "cuda_utils.c"]
    ),
    "PermissionError: [Errno 13] Permission denied: '/root/.triton'": PermissionError(
        errno.EACCES, "Permission denied", "/root/.triton"
    ),
    "OSError: [Errno 28] No space left on device": OSError(errno.ENOSPC, "No space left on device"),
}


@pytest.mark.parametrize("at_call", [0, 1, 4])
@pytest.mark.parametrize("cause", TRITON_FAILS)
def test_where_the_kernel_fails_torch_goes_on(cause, at_call, with_triton, monkeypatch, caplog):
    kernel = Kernel(monkeypatch, TRITON_FAILS[cause], at_call)
    for _ in range(3):
        with_triton()
    assert kernel.calls == at_call + 1
    (record,) = caplog.records
    assert record.name == "intra_distill.core.fused_loss" and record.levelname == "WARNING"
    assert f"because Triton failed ({cause}" in record.message and "\n" not in record.message


@pytest.mark.parametrize("error", [ImportError, OSError])
def test_where_triton_cannot_be_imported_torch_goes_on(
    error, with_triton, monkeypatch, caplog, tmp_path
):
    (tmp_path / "triton.py").write_text(f"raise {error.__name__}('libcuda.so.1')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [*sys.modules]:
        if name.split(".")[0] == "triton" or name.endswith(".fused_loss_triton"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(core, "fused_loss_triton", raising=False)
    for _ in range(2):
        with_triton()
    (record,) = caplog.records
    assert f"because Triton failed ({error.__name__}: libcuda.so.1)" in record.message


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("Triton Error [CUDA]: out of memory"),
    ],
)
def test_out_of_memory_is_for_fairseq(error, with_triton, monkeypatch, caplog):
    kernel = Kernel(monkeypatch, error)
    for calls in (1, 2):  # the next batch may fit
        with pytest.raises(type(error), match="out of memory"):
            with_triton()
        assert kernel.calls == calls
    assert not caplog.records


def test_an_unknown_divergence_is_refused():
    leaves, target = inputs(2, 3, 4, 5, torch.float32, False)
    with pytest.raises(ValueError, match="'mse'"):
        fused_intra_distillation_loss(*leaves, None, target, 1.0, "mse")
