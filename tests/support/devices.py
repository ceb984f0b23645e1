"""The devices that a test is for: the CPU, which is always there, and CUDA, marked ``gpu``."""

from functools import partial

import pytest
import torch

from intra_distill.tasks.half_precision import HalfPrecisionTask

GPU = pytest.mark.gpu
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]


def half_precision_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let fairseq train with --fp16 and --amp on a CPU, where it asks CUDA in two places."""
    monkeypatch.setattr(HalfPrecisionTask, "_check_device", lambda self: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: None)  # of --fp16's flat parameters
    monkeypatch.setattr(torch.cuda.amp, "GradScaler", partial(torch.amp.GradScaler, "cpu"))
