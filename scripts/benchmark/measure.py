"""What the benchmarks share: alternating timings, peak memory, and the account of a run."""

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
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

import intra_distill
from intra_distill.files import write_json

DTYPES = {name: getattr(torch, name) for name in ("float32", "float16", "bfloat16")}
OUT_OF_MEMORY = 12  # exit status of a process of ours
MIB = 2**20
M_MMAP_THRESHOLD = -3  # of malloc.h


def parser(description: str) -> argparse.ArgumentParser:
    """The options of both benchmarks."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=float, default=570, help="when to stop (%(default)s)")
    parser.add_argument("--rounds", type=int, help="when to stop before (default: no limit)")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all timings to FILE")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Refuse what could only fail after the work is done."""
    args = parser.parse_args()
    if args.json and not args.json.parent.is_dir():
        parser.error(f"--json: there is no folder {args.json.parent}")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no GPU here")
    _silence()
    return args


def _silence() -> None:
    # fairseq and hydra tell of every trainer that is built, and warn of each other's versions
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def rounds(
    functions: dict[str, Callable[[], Any]], device: str, deadline: float
) -> Iterator[dict[str, float]]:
    """Call every function once a round, the first of a round last in the next.

    What disturbs the machine for a while thus falls on all functions alike. No call is begun that
    would end past the deadline, going by the last call of that function.

    Args:
        functions: what is timed, by name
        device: ``cpu`` or ``cuda``, which is waited for
        deadline: in seconds of :func:`time.monotonic`
    Yields:
        seconds by name, of one round; the last one may lack some or all
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
    """Quartiles of a function's seconds, and of its ratios to base taken round by round."""
    ratios = [r[name] / r[base] for r in rounds if name in r and base in r]
    result = {"all_seconds": [r[name] for r in rounds if name in r]}
    for quantity, values in {"seconds": result["all_seconds"], "ratio": ratios}.items():
        if values:
            quartiles = np.percentile(values, [25, 50, 75]).tolist()
            keys = f"{quantity}_low", quantity, f"{quantity}_high"
            result.update(zip(keys, quartiles))
    return result


def memory_growth(function: Callable[[], Any], device: str) -> int:
    """How far memory in use rises above its present level during a call, in bytes.

    On CUDA it is the allocator's count of tensors. On the CPU it is the resident memory that Linux
    keeps for this process (VmHWM): getrusage would start from the memory of the parent process.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)  # or the call could use again, uncounted, what is free now
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _bytes("/proc/self/status", "VmRSS")
    function()
    return _bytes("/proc/self/status", "VmHWM") - before


def available_memory() -> int:
    """Bytes that programs can still have without swapping."""
    return _bytes("/proc/meminfo", "MemAvailable")


def _bytes(path: str, field: str) -> int:
    lines = Path(path).read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def in_own_processes(
    calls: dict[str, Callable[[], int]], deadline: float
) -> dict[str, float | None]:
    """Calls that measure memory, each in a fresh process that imports what this one does.

    Args:
        calls: by name, functions that can be pickled, → bytes
        deadline: in seconds of :func:`time.monotonic`
    Returns:
        MiB by name; None for calls that the deadline cut off; those that ran out of memory are left
        out
    Raises:
        SystemExit: if a call failed; its traceback is on stderr
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
    _silence()
    # By default glibc keeps freed blocks of up to 32 MiB as it sees fit, and the peak of the same
    # step varies by 5 %. With every block above 1 MiB given back it varies by less than 1 %.
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
    """Print a table in Markdown and how it was measured; write that and all results as JSON."""
    processor = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    machine = {
        "processor": processor[0] if processor else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg(),
        "gpu": torch.cuda.get_device_name() if args.device == "cuda" else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "intra_distill": intra_distill.__version__,
    }
    for row in [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]:
        print("| " + " | ".join(row) + " |")
    where = machine["gpu"] or f"{machine['processor']}, {machine['threads']} threads"
    now = datetime.now().astimezone()
    print(f"\n{now:%d %B %Y}, {where}, {args.dtype}, torch {torch.__version__}, {rounds} rounds")
    if args.json:
        run = {
            "date": now.isoformat(timespec="seconds"),
            "machine": machine,
            "options": {option: value for option, value in vars(args).items() if option != "json"},
            "rounds": rounds,
        }
        write_json(args.json, run | results)


def cell(pattern: str, result: dict[str, Any], *keys: str) -> str:
    """A table's cell: a dash where there was no time to measure."""
    values = [result.get(key) for key in keys]
    return "–" if None in values else pattern.format(*values)
