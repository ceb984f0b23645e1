"""The devices that a test is for: the CPU, which is always there, and CUDA, marked ``gpu``."""

import pytest

GPU = pytest.mark.gpu
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]
