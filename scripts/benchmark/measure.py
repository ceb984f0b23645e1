"""What the benchmarks share: alternating timings, peak memory, and the report of a run."""

import argparse
import ctypes
import logging
import multiprocessing
import os
import platform
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

import intra_distill
from intra_distill.files import write_json

DTYPES = {name: getattr(torch, name) for name in ("float32", "float16", "bfloat16")}
OUT_OF_MEMORY = 12  # exit status of a measuring process
MIB = 2**20
M_MMAP_THRESHOLD = -3  # from malloc.h


def parser(description: str) -> argparse.ArgumentParser:
    """Build a parser with the options that both benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=float, default=570, help="time limit (%(default)s)")
    parser.add_argument("--rounds", type=int, help="limit of rounds (default: none)")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all timings to FILE")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the options, and refuse those that would fail only after the measurement."""
    args = parser.parse_args()
    if args.json and not args.json.parent.is_dir():
        parser.error(f"--json: there is no folder {args.json.parent}")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no GPU here")
    silence()
    return args


def silence() -> None:
    # fairseq and hydra log every trainer that is built, and warn about each other's versions
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def rounds(
    functions: dict[str, Callable[[], Any]], device: str, deadline: float
) -> Iterator[dict[str, float]]:
    """Time every function once per round; the first of a round is the last in the next.

    A temporary load on the machine thus affects all functions alike. A call does not start if it
    would end after the deadline, judged by the function's last call.

    Args:
        functions: to time, by name
        device: ``cpu`` or ``cuda``, which is synchronised
        deadline: in seconds of :func:`time.monotonic`
    Yields:
        the seconds of one round by name; the last round may be incomplete or empty
    """
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    names = list(functions)
    last = dict.fromkeys(names, 0.0)
    while True:
        seconds = {}
        for name in names:
            if time.monotonic() + last[name] > deadline:
                yield seconds
                return
            wait()
            start = time.perf_counter()
            functions[name]()
            wait()
            seconds[name] = last[name] = time.perf_counter() - start
        yield seconds
        names = [*names[1:], names[0]]


def summary(rounds: list[dict[str, float]], name: str, base: str) -> dict[str, Any]:
    """Compute quartiles of a function's seconds, and of its ratios to ``base`` in each round."""
    ratios = [r[name] / r[base] for r in rounds if name in r and base in r]
    result = {"all_seconds": [r[name] for r in rounds if name in r]}
    for quantity, values in {"seconds": result["all_seconds"], "ratio": ratios}.items():
        if values:
            quartiles = np.percentile(values, [25, 50, 75]).tolist()
            keys = f"{quantity}_low", quantity, f"{quantity}_high"
            result.update(zip(keys, quartiles))
    return result


def memory_growth(function: Callable[[], Any], device: str) -> int:
    """Measure how far memory rises above its current level during a call, in bytes.

    On CUDA this is the allocator's count of tensors. On the CPU it is the peak of resident memory
    (VmHWM) from Linux: getrusage would include the peak of the parent process.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)  # else the call could reuse free memory, which is not counted
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _bytes("/proc/self/status", "VmRSS")
    function()
    return _bytes("/proc/self/status", "VmHWM") - before


def available_memory() -> int:
    """The bytes that programs can still use without swapping."""
    return _bytes("/proc/meminfo", "MemAvailable")


def _bytes(path: str, field: str) -> int:
    lines = Path(path).read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def in_own_processes(
    calls: dict[str, Callable[[], int]], deadline: float
) -> dict[str, float | None]:
    """Run calls that measure memory, each in a fresh process with the same imports.

    Args:
        calls: picklable functions by name, each returns bytes
        deadline: in seconds of :func:`time.monotonic`
    Returns:
        MiB by name; None after the deadline; calls that ran out of memory are missing
    Raises:
        SystemExit: a call failed; its traceback is on stderr
    """
    context = multiprocessing.get_context("spawn")
    memory = {}
    for name, call in calls.items():
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(sender, call), daemon=True)
        process.start()
        sender.close()
        try:
            in_time = receiver.poll(max(0.0, deadline - time.monotonic()))
            memory[name] = receiver.recv() / MIB if in_time else None
            progress(f"{name}: {memory[name]:,.1f} MiB" if in_time else f"{name}: no time")
        except EOFError:
            process.join()
            if process.exitcode not in (OUT_OF_MEMORY, -signal.SIGKILL):
                raise SystemExit(f"{name} failed") from None
            progress(f"{name} ran out of memory and is left out")
        finally:
            process.kill()
            process.join()
    return memory


def _send(sender: Connection, call: Callable[[], int]) -> None:
    silence()
    # By default glibc may keep freed blocks of up to 32 MiB, and the peak of the same step varies
    # by 5 %. If every block above 1 MiB is returned at once, it varies by less than 1 %.
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MIB)
    try:
        sender.send(call())
    except torch.OutOfMemoryError:
        sys.exit(OUT_OF_MEMORY)


def report(
    args: argparse.Namespace,
    rounds: int,
    results: dict[str, Any],
    columns: list[str],
    rows: list[list[str]],
) -> None:
    """Print a Markdown table and how it was measured, and write both with all results as JSON."""
    here = machine(args.device)
    now = datetime.now().astimezone()
    print(f"{markdown(columns, rows)}\n\n{now:%d %B %Y}, {described(here)}", end=", ")
    print(f"{args.dtype}, {rounds} rounds")
    if args.json:
        run = {
            "date": now.isoformat(timespec="seconds"),
            "machine": here,
            "options": {option: value for option, value in vars(args).items() if option != "json"},
            "rounds": rounds,
        }
        write_json(args.json, run | results)


def machine(device: str) -> dict[str, Any]:
    """Describe the machine and the versions that a run is measured with."""
    processor = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    card = torch.cuda.get_device_properties(0) if device == "cuda" else None
    return {
        "processor": processor[0] if processor else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg(),
        "gpu": card and card.name,
        "gpu_memory_mib": card and round(card.total_memory / MIB),
        "gpu_capability": card and f"{card.major}.{card.minor}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "triton": version("triton"),
        "intra_distill": intra_distill.__version__,
    }


def version(package: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def described(machine: dict[str, Any]) -> str:
    """The card or the processor, and the versions that matter there, for the foot of a table."""
    if not machine["gpu"]:
        where = f"{machine['processor']}, {machine['threads']} threads"
        return f"{where}, torch {machine['torch']}"
    versions = f"torch {machine['torch']}, CUDA {machine['cuda']}, Triton {machine['triton']}"
    return f"{machine['gpu']}, {versions}"


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first hold numbers."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(pattern: str, result: dict[str, Any], *keys: str) -> str:
    """Format a cell of a table, with a dash for what there was no time to measure."""
    values = [result.get(key) for key in keys]
    return "–" if None in values else pattern.format(*values)
