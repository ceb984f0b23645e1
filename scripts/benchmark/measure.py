"""What the benchmarks share: alternating timings, peak memory, and the record of a run."""

import argparse
import ctypes
import gc
import logging
import math
import multiprocessing
import os
import platform
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import numpy as np
import torch

import intra_distill
from intra_distill.errors import one_line
from intra_distill.files import write_json

DTYPES = {name: getattr(torch, name) for name in ("float32", "float16", "bfloat16")}
OUT_OF_MEMORY = 12  # exit status of a measuring process
MIB = 2**20
M_MMAP_THRESHOLD = -3  # from malloc.h
BETWEEN_EVENTS = 0.02  # seconds: CUDA's events resolve half a microsecond
MOST_CALLS = 100  # between two events

T = TypeVar("T")
Guard = Callable[
    [str], AbstractContextManager[Any]
]  # around a named call; may suppress its failure


def parser(description: str) -> argparse.ArgumentParser:
    """Build a parser with the options that both benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=float, default=570, help="time limit (%(default)s)")
    parser.add_argument("--rounds", type=int, default=100, help="limit of rounds (%(default)s)")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all timings to FILE")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the options, and refuse those that would fail only after the measurement."""
    args = parser.parse_args()
    if not 0 < args.seconds < math.inf:
        parser.error("--seconds: a time above 0")
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
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


@contextmanager
def left_out(name: str) -> Iterator[None]:
    """A guard that reports a failure in a line, so that the other calls go on."""
    try:
        yield
    except Exception as error:  # whatever a call raises
        progress(f"{name} is left out: {one_line(f'{type(error).__name__}: {error}')[:200]}")


def call_seconds(function: Callable[[], Any], device: str) -> float:
    """Time one call by the wall clock, from an idle device to an idle device."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - start


def op_seconds(function: Callable[[], Any], device: str) -> float:
    """Time a call among others like it, as inside an update.

    On CUDA it is the time between two events around as many calls as take 20 ms: the processor
    queues the kernels of a call while the device runs those of the call before.
    """
    if device == "cpu":
        return call_seconds(function, device)
    one = max(_between_events(function, 1), BETWEEN_EVENTS / MOST_CALLS)
    return _between_events(function, math.ceil(BETWEEN_EVENTS / one))


def _between_events(function: Callable[[], Any], calls: int) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(calls):
        function()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000 / calls


def rounds(
    functions: dict[str, Callable[[], Any]],
    device: str,
    deadline: float,
    timer: Callable[[Callable[[], Any], str], float] = call_seconds,
    guard: Guard = nullcontext,
) -> Iterator[dict[str, float]]:
    """Time every function once per round; the first of a round is the last in the next.

    A temporary load on the machine thus affects all functions alike. A function is not timed if
    that would end after the deadline, judged by its last time.

    Args:
        functions: to time, by name
        device: ``cpu`` or ``cuda``
        deadline: in seconds of :func:`time.monotonic`
        timer: :func:`call_seconds` or :func:`op_seconds`
        guard: around each call; where it suppresses an exception, the others go on without that one
    Yields:
        the seconds of one round by name; the last round may be incomplete or empty
    """
    names = list(functions)
    last = dict.fromkeys(names, 0.0)
    while names:
        seconds = {}
        for name in names:
            start = time.monotonic()
            if start + last[name] > deadline:
                yield seconds
                return
            with guard(name):
                seconds[name] = timer(functions[name], device)
            last[name] = time.monotonic() - start
        yield seconds
        names = [name for name in names[1:] + names[:1] if name in seconds]


def summary(rounds: list[dict[str, float]], name: str, base: str) -> dict[str, float]:
    """Compute quartiles of a function's seconds, and of its ratios to ``base`` in each round."""
    result = {}
    seconds = [r[name] for r in rounds if name in r]
    for quantity, values in {"seconds": seconds, "ratio": ratios(rounds, name, base)}.items():
        if values:
            quartiles = np.percentile(values, [25, 50, 75]).tolist()
            keys = f"{quantity}_low", quantity, f"{quantity}_high"
            result.update(zip(keys, quartiles))
    return result


def ratios(rounds: list[dict[str, float]], name: str, base: str) -> list[float]:
    """The ratios of two functions' seconds in the rounds that timed both."""
    return [r[name] / r[base] for r in rounds if name in r and base in r]


def ratio(rounds: list[dict[str, float]], name: str, base: str) -> float | None:
    """The median of :func:`ratios`, or None without any."""
    values = ratios(rounds, name, base)
    return float(np.median(values)) if values else None


def complete(rounds: list[dict[str, float]]) -> int:
    """The number of rounds that timed all functions."""
    most = max(map(len, rounds), default=0)
    return sum(0 < len(seconds) == most for seconds in rounds)


def memory_growth(function: Callable[[], Any], device: str) -> int:
    """Measure how far memory rises above its current level during a call, in bytes.

    On CUDA this is the allocator's count of tensors, of which fairseq's trainer forgets the peak
    after every update. On the CPU it is the peak of resident memory (VmHWM) from Linux: getrusage
    would include the peak of the parent process.
    """
    if device == "cuda":
        torch.cuda.init()  # before it there are no statistics to reset
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        with mock.patch("torch.cuda.reset_peak_memory_stats"):
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


def unless_out_of_memory(name: str, call: Callable[[], T]) -> T | None:
    """Call a function → what it returns, or None after it ran out of the device's memory."""
    try:
        return call()
    except torch.OutOfMemoryError:
        pass  # with the exception go the frames that hold the call's tensors
    free()
    progress(f"{name} ran out of memory and is left out")
    return None


def free() -> None:
    """Free the memory of models that nothing uses any more; they have cycles."""
    gc.collect()
    torch.cuda.empty_cache()


def warm_up(device: str, dtype: str) -> None:
    """Have CUDA load what matrix products need, which would count as the first call's memory."""
    if device == "cuda":
        for kind in (torch.float32, DTYPES[dtype]):
            ones = torch.ones(64, 64, dtype=kind, device=device, requires_grad=True)
            torch.nn.functional.linear(ones, ones, ones[0]).sum().backward()


def in_this_process(
    calls: dict[str, Callable[[], int]], deadline: float, guard: Guard = nullcontext
) -> dict[str, float | None]:
    """Run calls that measure memory as :func:`in_own_processes` does, without its processes.

    On CUDA that is as exact, since nothing counts but tensors, and takes no time to start.
    """
    memory: dict[str, float | None] = {}
    for name, call in calls.items():
        if time.monotonic() > deadline:
            memory[name] = None
            continue
        with guard(name):
            growth = unless_out_of_memory(name, call)
            if growth is not None:
                memory[name] = growth / MIB
    return memory


def in_own_processes(
    calls: dict[str, Callable[[], int]], deadline: float, guard: Guard = nullcontext
) -> dict[str, float | None]:
    """Run calls that measure memory, each in a fresh process with the same imports.

    Args:
        calls: picklable functions by name, each returns bytes
        deadline: in seconds of :func:`time.monotonic`
        guard: around the failure of each call, if it is another than running out of memory
    Returns:
        MiB by name; None after the deadline; calls that failed or ran out of memory are missing
    Raises:
        RuntimeError: a call failed; its traceback is on stderr
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
            if process.exitcode in (OUT_OF_MEMORY, -signal.SIGKILL):
                progress(f"{name} ran out of memory and is left out")
            else:
                with guard(name):
                    raise RuntimeError(f"{name} failed in its own process") from None
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


class Record:
    """The JSON file of a run, whole at any moment, and the table at its end."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._now = datetime.now().astimezone()
        self._machine = machine(args.device)

    def write(self, results: dict[str, Any]) -> None:
        """Write the results so far, if the run has --json."""
        options = {option: value for option, value in vars(self._args).items() if option != "json"}
        if self._args.json:
            run = {
                "date": self._now.isoformat(timespec="seconds"),
                "machine": self._machine,
                "options": options,
            }
            write_json(self._args.json, run | results)

    def show(self, columns: list[str], rows: list[list[str]]) -> None:
        """Print a Markdown table."""
        print(f"{markdown(columns, rows)}\n")

    def sign(self, rounds: int) -> None:
        """Print how the tables above were measured."""
        print(f"{self._now:%d %B %Y}, {described(self._machine)}", end=", ")
        print(f"{self._args.dtype}, {rounds} rounds")


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
