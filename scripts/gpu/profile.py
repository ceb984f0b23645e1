"""Where the time of an update goes on a GPU: plain fairseq beside K = 3.

Three measurements of the same updates, after their first ones:
  wall     a few updates in a row, as training makes them
  phases   the stretches of an update, in fairseq's own names: on CUDA the time on the device
           between two events, idle time with it; ``loss`` is what forward takes besides the model,
           ``rest`` is the batch's way to the device, statistics and logging
  profile  torch.profiler's: kernels, launches, waits of the host, the dearest operations
The profiler slows the host, but not a kernel. So idle is the share of the wall time in which the
device, by the profile, runs no kernel and copies nothing. On the CPU there is no device, and the
times of operations are the processor's.
"""

import part

# isort: split
import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest import mock

import measure
import torch
import train_step
from torch.profiler import ProfilerActivity
from train_step import Setting, Variant

VARIANTS = ["fused-3", "plain"]
UPDATES = {"cpu": 1, "cuda": 5}  # of each measurement
FAIRSEQ = ["reduce-grads", "multiply-grads", "clip-grads", "optimizer"]
PHASES = ["forward", "backward", *FAIRSEQ]
SHOWN = ["model", "loss", "backward", *FAIRSEQ, "rest"]
# the host waits for the device in these
WAITS = ["cudaStreamSynchronize", "cudaEventSynchronize", "cudaMemcpy"]
READS = ["aten::item", "aten::_local_scalar_dense"]  # of numbers that tensors hold
LAUNCHES = "cudaLaunchKernel", "cuLaunchKernel"  # beginnings of names
DEAREST = 10
LONGEST_NAME = 80


class Phases:
    """Takes the place of torch's ``record_function``, and times fairseq's phases."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device == "cuda"
        self._marks: list[tuple[str, Any, Any]] = []

    def _mark(self) -> Any:
        if not self._on_gpu:
            return perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    @contextmanager
    def __call__(self, name: str, args: str | None = None) -> Iterator[None]:
        start = self._mark()
        yield
        self._marks.append((name, start, self._mark()))

    def seconds(self) -> dict[str, float]:
        """The time of each phase in all; the device must be done."""
        total: dict[str, float] = defaultdict(float)
        for name, start, end in self._marks:
            total[name] += start.elapsed_time(end) / 1000 if self._on_gpu else end - start
        return dict(total)


def phases(step: Variant, device: str, updates: int) -> dict[str, float]:
    """Measure the phases of an update, in seconds, by the names of SHOWN."""
    timed = Phases(device)
    open_forwards: list[AbstractContextManager[None]] = []

    def begin(*_: Any) -> None:
        open_forwards.append(timed("model"))
        open_forwards[-1].__enter__()

    def end(*_: Any) -> None:
        open_forwards.pop().__exit__(None, None, None)

    hooks = [
        step.trainer.model.register_forward_pre_hook(begin),
        step.trainer.model.register_forward_hook(end),
    ]
    with mock.patch("torch.autograd.profiler.record_function", timed):
        for _ in range(updates):
            with timed("update"):
                step()
    for hook in hooks:
        hook.remove()
    if device == "cuda":
        torch.cuda.synchronize()
    found = {name: seconds / updates for name, seconds in timed.seconds().items()}
    return split(found)


def split(seconds: dict[str, float]) -> dict[str, float]:
    """Divide an update's seconds among the phases of SHOWN, which then add up to the update."""
    known = {name: seconds.get(name, 0.0) for name in ["model", *PHASES]}
    loss = known.pop("forward") - known["model"]
    rest = seconds["update"] - loss - sum(known.values())
    return {name: (known | {"loss": loss, "rest": rest})[name] for name in SHOWN}


@dataclass(frozen=True)
class Event:
    """What the profiler says of one event; times are in seconds."""

    name: str
    on_device: bool
    start: float
    end: float
    annotation: bool = False  # a range that encloses others
    own: float = 0.0  # of an operation: on the device if there is one, without its parts'


def events(profiled: torch.profiler.profile, device: str) -> list[Event]:
    on_cpu = torch.autograd.DeviceType.CPU
    own = f"self_{'device' if device == 'cuda' else 'cpu'}_time_total"
    return [
        Event(
            *(each.name, each.device_type != on_cpu),
            *(each.time_range.start / 1e6, each.time_range.end / 1e6),
            bool(each.is_user_annotation),
            getattr(each, own) / 1e6 if each.device_type == on_cpu else 0.0,
        )
        for each in profiled.events()
    ]


def analysis(events: list[Event], updates: int, wall: float) -> dict[str, Any]:
    """Compute the figures of an update from a profile of several.

    Args:
        events: of the profile
        updates: that it holds
        wall: seconds of an update without the profiler
    """
    annotations = {event.name for event in events if event.annotation}
    work = [event for event in events if event.on_device and event.name not in annotations]
    kernels = [event for event in work if not event.name.startswith(("Memcpy", "Memset"))]
    host = [event for event in events if not event.on_device and not event.annotation]
    launches = [event for event in host if event.name.startswith(LAUNCHES)]
    calls = Counter(event.name for event in host)
    figures: dict[str, Any] = {
        "wall_seconds": wall,
        "reads": {name: calls[name] / updates for name in READS},
        "operations": dearest([(event.name, event.own) for event in host], updates),
    }
    if work:
        device = busy([(event.start, event.end) for event in work]) / updates
        figures |= {
            "device_seconds": device,
            "idle": max(0.0, 1 - device / wall),
            "kernels": len(kernels) / updates,
            "launch_seconds": sum(event.end - event.start for event in launches) / updates,
            "waits": sum(calls[name] for name in WAITS) / updates,
            "copies_to_host": sum(e.name.startswith("Memcpy DtoH") for e in work) / updates,
            "kernels_by_name": dearest([(e.name, e.end - e.start) for e in kernels], updates),
        }
    return figures


def busy(intervals: list[tuple[float, float]]) -> float:
    """The length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def dearest(timed: list[tuple[str, float]], updates: int) -> list[dict[str, Any]]:
    """The names with most seconds in all, with calls and seconds per update."""
    calls: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    for name, taken in timed:
        calls[name] += 1
        seconds[name] += taken
    most = sorted(seconds, key=seconds.get, reverse=True)[:DEAREST]
    return [
        {"name": name, "calls": calls[name] / updates, "seconds": seconds[name] / updates}
        for name in most
        if seconds[name] > 0
    ]


def profiled(function: Callable[[], None], device: str) -> torch.profiler.profile:
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    with torch.profiler.profile(activities=activities) as profile:
        function()
        if device == "cuda":
            torch.cuda.synchronize()
    return profile


def describe(figures: dict[str, Any]) -> part.Found:
    updates = figures.get("updates", {})
    tables = [
        part.Table("An update", ["figure", *updates], sizes(list(updates.values()))),
        part.Table("Its phases, ms", ["phase", *updates], stretches(list(updates.values()))),
        *(
            part.Table(f"The dearest {what} of {name}", [what, "calls", "ms"], listed(found[key]))
            for key, what in {"operations": "operations", "kernels_by_name": "kernels"}.items()
            for name, found in updates.items()
            if found.get(key)
        ),
    ]
    lines = [summary(name, found) for name, found in updates.items()]
    return part.Found(lines, tables if updates else [])


def sizes(updates: list[dict[str, Any]]) -> list[list[str]]:
    """A row for each figure of an update, with a column for each variant."""
    rows = {
        "wall, ms": ("{:.1f}", "wall_seconds", 1000),
        "device busy, ms": ("{:.1f}", "device_seconds", 1000),
        "device idle, %": ("{:.0f}", "idle", 100),
        "kernels": ("{:,.0f}", "kernels", 1),
        "their launches, ms": ("{:.1f}", "launch_seconds", 1000),
        "waits of the host": ("{:.1f}", "waits", 1),
        "copies to the host": ("{:.1f}", "copies_to_host", 1),
    }
    figures = [
        [title, *(scaled(pattern, found.get(key), factor) for found in updates)]
        for title, (pattern, key, factor) in rows.items()
    ]
    reads = [
        [name, *(scaled("{:.1f}", found.get("reads", {}).get(name)) for found in updates)]
        for name in READS
    ]
    return [*figures, *reads]


def scaled(pattern: str, value: float | None, factor: float = 1) -> str:
    return "–" if value is None else pattern.format(factor * value)


def stretches(updates: list[dict[str, Any]]) -> list[list[str]]:
    """A row for each phase, with its time and share for each variant."""
    rows = []
    for name in SHOWN:
        row = [name]
        for found in updates:
            parts = found.get("phases", {})
            share = 100 * parts[name] / sum(parts.values()) if parts else None
            cells = scaled("{:.1f}", parts.get(name), 1000), scaled("{:.0f} %", share)
            row.append(f"{cells[0]} ({cells[1]})")
        rows.append(row)
    return rows


def listed(names: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            f"`{each['name'][:LONGEST_NAME].replace('|', '/')}`",
            f"{each['calls']:.1f}",
            f"{1000 * each['seconds']:.2f}",
        ]
        for each in names
    ]


def summary(name: str, found: dict[str, Any]) -> str:
    """A line for one variant."""
    said = [f"{1000 * found['wall_seconds']:.1f} ms an update"]
    if "idle" in found:
        said.append(f"device idle {100 * found['idle']:.0f} % of it")
        said.append(f"{found['kernels']:,.0f} kernels, the host waits {found['waits']:.0f} times")
    if "phases" in found:
        parts = found["phases"]
        own = sum(parts[each] for each in [*FAIRSEQ, "rest"]) / sum(parts.values())
        said.append(f"{100 * own:.0f} % outside forward and backward")
    return f"{name}: {', '.join(said)}"


def new_file(text: str) -> Path:
    """Parse the path of a file to write."""
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {Path(text).parent}")
    return Path(text)


def main() -> None:
    options = {"metavar": "FILE", "help": f"write a Chrome trace of {VARIANTS[0]}"}
    args = part.parse(
        __doc__, lambda parser: parser.add_argument("--trace", type=new_file, **options)
    )
    this = part.Part("profile", args, describe)
    dtype = "float16" if args.device == "cuda" else "float32"
    setting = Setting("iwslt", 4096, dtype, args.device)
    if args.tiny:
        setting = Setting("tiny", 128, dtype, args.device)
    this.add(setting=vars(setting))
    measure.warm_up(args.device, dtype)
    with TemporaryDirectory() as folder:
        train_step.write_corpus(
            Path(folder), train_step.SHAPES[setting.shape][0], setting.max_tokens
        )
        for name in VARIANTS:
            measure.progress(f"{name}: {this.left():.0f} s left")
            with this.case(name):
                arguments = train_step.arguments_of(name, setting, Path(folder))
                step = train_step.ready(arguments, args.device)
                trace = args.trace if name == VARIANTS[0] else None
                measure_update(this, name, step, trace)
    raise SystemExit(this.status())


def measure_update(this: part.Part, name: str, step: Variant, trace: Path | None) -> None:
    """Add the figures of one variant to the part's, each measurement as it ends."""
    device, updates = this.device, UPDATES[this.device]

    def repeated() -> None:
        for _ in range(updates):
            step()

    def add(**figures: Any) -> None:
        known = this.figures.get("updates", {})
        this.add(updates=known | {name: known.get(name, {}) | figures})

    wall = measure.call_seconds(repeated, device) / updates
    add(wall_seconds=wall)
    add(phases=phases(step, device, updates))
    profile = profiled(repeated, device)
    add(**analysis(events(profile, device), updates, wall))
    if trace:
        profile.export_chrome_trace(str(trace))


if __name__ == "__main__":
    main()
