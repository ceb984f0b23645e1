"""The loss on a GPU: its three codes against the products, against a copy, and by chunk size."""

import part

# isort: split
import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import loss
import measure

K3 = [(3, 512, 12_000), (3, 1024, 32_000)]  # those with a target
CASES = [*K3, (1, 512, 12_000), (3, 512, 32_000), (3, 512, 6_000), (3, 512, 64_000)]
FULL, TINY = (4096, 7), (2, 1)  # N, rounds
LEAST_SECONDS = 4  # for a case: Triton compiles the kernel for each K, V and type
LEAST_COMPILING = 20  # for one with torch.compile, which nothing cuts off
CHUNKS = tuple(2**exponent for exponent in range(23, 30))  # logits
TARGETS = {K3[0]: 1.4, K3[1]: 1.2}  # × the products
TRITON_TARGET = 2  # × as fast as torch's code
HALF = "float16"
CASE = (3, 16, 64)  # tiny


def label(case: loss.Case, dtype: str) -> str:
    K, d, V = case
    return f"{part.SHORT[dtype]}, K = {K}, width {d:,}, V = {V:,}"


@dataclass(frozen=True)
class Work:
    """One case to measure: by code between the products, or by the size of chunks."""

    dtype: str
    case: loss.Case
    codes: tuple[str, ...] = ("triton", "torch")
    chunks: tuple[int, ...] = ()


def plan(tiny: bool, device: str) -> list[Work]:
    """What to measure, the most important first.

    torch.compile comes late: it takes longer than all else.
    """
    if tiny:
        codes = tuple(loss.CODES[device])
        if device == "cpu" and os.environ.get("TRITON_INTERPRET") == "1":
            codes = ("triton", *codes)  # in Triton's interpreter
        return [Work("float32", CASE, codes), Work("float32", CASE, codes, (64, 256))]
    return [
        *(Work(HALF, case) for case in CASES),
        *(Work("bfloat16", case) for case in K3),
        *(Work(HALF, case, chunks=CHUNKS) for case in K3),
        *(Work(HALF, case, ("triton", "torch", "compiled")) for case in K3),
        *(Work("bfloat16", case) for case in CASES[2:]),
        *(Work("float32", case) for case in CASES),
    ]


def describe(figures: dict[str, Any]) -> part.Found:
    cases = figures.get("cases", [])
    tables = [
        part.Table("Time", *loss.time_table(cases)),
        part.Table("Between the products, and memory", *loss.memory_table(cases)),
    ]
    sweeps = figures.get("sweeps", {})
    for name, sizes in sweeps.items():
        columns = ["logits", "× the time of the default"]
        rows = [[f"{size['logits']:,}", measure.cell("{:.2f}", size, "ratio")] for size in sizes]
        tables.append(part.Table(f"Chunks: {name}", columns, rows))
    return part.Found(summary(cases, sweeps), tables if cases else [])


def summary(cases: list[dict[str, Any]], sweeps: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A line for each case with a target, in half precision, and one for the size of chunks."""
    lines = []
    for case in cases:
        key = case["K"], case["d"], case["V"]
        if key in TARGETS and case["dtype"] == HALF:
            triton = case["ways"].get("triton", {})
            of_products = part.verdict(triton.get("ratio"), "× its products", "<=", TARGETS[key])
            speed = measure.ratio(case["times"], "torch", "triton")
            of_torch = part.verdict(speed, "× as fast as in torch", ">=", TRITON_TARGET)
            copies = measure.cell("{:.2f} × a copy", triton, "copies")
            lines.append(f"loss, {label(key, HALF)}: {of_products}; {of_torch}; kernel {copies}")
    best = []
    for name, sizes in sweeps.items():
        timed = [size for size in sizes if "ratio" in size]
        if timed:
            fastest = min(timed, key=lambda size: size["ratio"])
            best.append(f"{fastest['logits']:,} ({fastest['ratio']:.2f} × the default) at {name}")
    return [*lines, *([f"fastest chunks, logits: {'; '.join(best)}"] if best else [])]


def main() -> None:
    args = part.parse(__doc__)
    this = part.Part("loss", args, describe)
    for work in plan(args.tiny, args.device):
        name = label(work.case, work.dtype)
        measure.progress(f"{name}: {this.left():.0f} s left")
        if this.left() > (LEAST_COMPILING if "compiled" in work.codes else LEAST_SECONDS):
            with this.case(name):
                measure_one(this, work, *(TINY if args.tiny else FULL))
    raise SystemExit(this.status())


def measure_one(this: part.Part, work: Work, N: int, rounds: int) -> None:
    """Add the figures of one case to the part's."""
    name = label(work.case, work.dtype)
    setting = loss.Setting(N, this.device, work.dtype, work.codes)
    deadline = time.monotonic() + max(LEAST_SECONDS, this.left() / 3)

    def guard(way: str) -> AbstractContextManager[None]:
        return this.case(f"{name}, {way}")

    if work.chunks:
        found = loss.sweep(work.case, setting, work.chunks, deadline, rounds, guard)
        this.add(sweeps=this.figures.get("sweeps", {}) | {name: found})
        return
    others = [case for case in this.figures.get("cases", []) if not same(case, work)]
    for found in loss.comparison([work.case], setting, deadline, rounds, guard):
        this.add(cases=[*others, *found])


def same(figures: dict[str, Any], work: Work) -> bool:
    """Whether these figures are of the case to measure, with fewer codes."""
    return (figures["dtype"], figures["K"], figures["d"], figures["V"]) == (work.dtype, *work.case)


if __name__ == "__main__":
    main()
