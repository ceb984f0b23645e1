"""The kernel compiles for GPUs, as any machine with Triton shows (`pip install triton`; Linux)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.training import USER_DIR

pytest.importorskip("triton", reason="needs Triton: pip install triton")
REGISTERS = 2**16  # of a multiprocessor of an A100 or H100
THREADS = 8 * 32  # of a program of the kernel


def test_three_passes_compile_for_an_h100_and_fit_its_registers(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    compiled = subprocess.run(
        [sys.executable, "-m", "tests.support.compiled_kernel", "3", "12001", "90"],
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path)},
        cwd=Path(USER_DIR).parent,
        capture_output=True,
        text=True,
    )
    assert compiled.returncode == 0, compiled.stderr
    taken = json.loads(compiled.stdout)
    assert len(taken) == 9
    for kernel in taken.values():
        assert 2 * THREADS * kernel["registers"] <= REGISTERS  # two programs run side by side
        assert kernel["stack"] <= 16  # bytes of a thread that spill: a few do no harm
