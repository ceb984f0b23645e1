"""Compiles the kernel of the fused loss for a GPU that need not be there.

    python -m tests.support.compiled_kernel 3 12001 90    # K, V, compute capability

It prints a JSON object: of each dtype and divergence the registers of a thread, and the bytes of
its stack, where registers spill that do not suffice. It is a program because Triton's interpreter
has replaced the compiler in the process of the tests.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from intra_distill.core import fused_loss_triton
from intra_distill.core.divergence import OF_DISTRIBUTIONS
from intra_distill.core.fused_loss_triton import MIN_BLOCK, TILE_ELEMENTS

ALIGNED = ["z_ptr", "gold_ptr", "parts_ptr", "pass_stride", "position_stride"]  # to 16


def compile_kernel(dtype: str, K: int, V: int, divergence: str, capability: int) -> bytes:
    """The machine code of the kernel as its launcher specialises it, for rows that are padded."""
    kernel = fused_loss_triton._loss_and_gradient_kernel
    rows = triton.next_power_of_2(K)
    constants = {
        "V": V,
        "WIDTH": triton.cdiv(V, 8) * 8,
        "K": K,
        "ROWS": rows,
        "BLOCK": max(MIN_BLOCK, TILE_ELEMENTS // rows),
        "SUPERVISED": K,
        "DIVERGENCE": divergence if K > 1 else "none",
    }
    types = {"z_ptr": f"*{dtype}", "gold_ptr": "*i64", "parts_ptr": "*fp32"}
    types |= dict.fromkeys(["pass_stride", "position_stride"], "i32")
    types |= dict.fromkeys(["alpha", "on_target", "smoothing", "factor"], "fp32")
    source = ASTSource(
        kernel,
        types | dict.fromkeys(constants, "constexpr"),
        {(kernel.arg_names.index(name),): value for name, value in constants.items()},
        {(kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in ALIGNED},
    )
    target = GPUTarget("cuda", capability, 32)
    return triton.compile(source, target=target, options={"num_warps": 8}).asm["cubin"]


def resources(machine_code: bytes) -> dict[str, int]:
    """What a thread of it takes: registers, and bytes of stack."""
    programs = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with NamedTemporaryFile(suffix=".cubin") as file:
        file.write(machine_code)
        file.flush()
        command = [programs / "cuobjdump", "--dump-resource-usage", file.name]
        usage = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", usage).groups()
    return {"registers": int(registers), "stack": int(stack)}


if __name__ == "__main__":
    K, V, capability = map(int, sys.argv[1:])
    taken = {
        f"{dtype} {divergence}": resources(compile_kernel(dtype, K, V, divergence, capability))
        for dtype in ("fp16", "bf16", "fp32")
        for divergence in OF_DISTRIBUTIONS
    }
    print(json.dumps(taken))
