"""Is it right on this GPU? The tests of the suite that need CUDA, counted as they end.

Several processes share them out, tests of kernels first, then trainings. A process that hangs or
dies in a test has failed that one, and another process goes on with the rest.
"""

import part

# isort: split
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
FIRST = ("tests/core/", "tests/optim/", "tests/tasks/")  # what takes seconds, before what trains
MARKS_GPU = re.compile(r"\bDEVICES\b|marks=GPU\b|\bmark\.gpu\b")
TINY = ["tests/core/test_passes_in_memory.py", "tests/test_devices.py"]
OF_TINY = "groups_are_passes or loss_scale_settles"
MOST_PROCESSES = 12  # each takes half a GiB of the card by itself
TO_STOP = 3  # seconds
EVERY = 2  # seconds between two records
LEAST_LIMIT = 45  # seconds for a test: of which compute-sanitizer may take 40
LONGEST_FAILURE = 240  # characters


@dataclass
class Process:
    """One of the processes that run tests, and what is known from it."""

    process: subprocess.Popen
    told: IO[str]
    files: dict[str, str] = field(default_factory=dict)  # of the tests that it has taken
    running: str | None = None
    has_found: bool = False

    def events(self) -> list[dict[str, Any]]:
        """What it has told since the last call; a line that it is writing is left for the next."""
        events = []
        while True:
            before = self.told.tell()
            line = self.told.readline()
            if not line.endswith("\n"):
                self.told.seek(before)
                return events
            events.append(json.loads(line))

    def kill(self) -> None:
        """With the ranks that its test may have started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Tests:
    """The tests, the processes that run them, and what has become of each."""

    def __init__(self, arguments: list[str], processes: int, folder: Path, limit: float) -> None:
        self.arguments = arguments
        self.folder = folder
        self.limit = limit
        self.began = time.monotonic()
        self.started = 0
        self.found: list[str] = []
        self.results: dict[str, dict[str, Any]] = {}
        (folder / "taken").mkdir()
        self.processes = [self.start() for _ in range(processes)]

    def start(self) -> Process:
        self.started += 1
        told = self.folder / f"told{self.started}"
        told.touch()
        command = [sys.executable, "-m", "pytest", "-p", "tests.support.sharing", "-q"]
        command += ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
        command += ["--taken", str(self.folder / "taken"), "--told", str(told)]
        command += ["--limit", str(self.limit), *self.arguments]
        return Process(start_process(command), open(told, encoding="utf-8"))

    def follow(self) -> bool:
        """Take down what has happened → whether any test is still running.

        A process that died with tests of its own has a new one in its place.
        """
        any_running = False
        for place, process in enumerate(self.processes):
            ended = process.process.poll() is not None
            for event in process.events():
                self.record(process, event)
            if ended and process.files:
                self.processes[place] = self.replace(process)
            elif ended and not process.has_found:
                why = f"pytest ended with status {process.process.returncode} before any test"
                self.results["pytest"] = {"outcome": "failed", "why": why, "seconds": 0.0}
            any_running = any_running or not ended or process.files != {}
        return any_running

    def record(self, process: Process, event: dict[str, Any]) -> None:
        match event.pop("event"):
            case "found":
                self.found, process.has_found = event["tests"], True
            case "taken":
                process.files[event["test"]] = event["file"]
            case "began":
                process.running = event["test"]
            case "ended":
                test = event.pop("test")
                self.results[test] = event
                process.files.pop(test, None)
                process.running = None

    def replace(self, process: Process) -> Process:
        """The test that a process ran as it died has failed; what else it has taken is free."""
        process.kill()
        if process.running is not None:
            status = process.process.returncode
            why = f"the process ended with status {status}, or took longer than {self.limit:.0f} s"
            self.results[process.running] = {"outcome": "failed", "why": why, "seconds": 0.0}
            process.files.pop(process.running)
        for file in process.files.values():
            Path(file).unlink()
        return self.start()

    def stop(self) -> None:
        for process in self.processes:
            process.kill()


def start_process(command: list[str]) -> subprocess.Popen:
    """In a group of its own, so that it can be ended with the processes that its tests start."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the suite needs none of them
    return subprocess.Popen(command, cwd=ROOT, env=environment, process_group=0)


def files_with_gpu_tests() -> list[str]:
    """The files of tests that mention the marker, in the order in which they are run."""
    paths = (path for path in sorted((ROOT / "tests").rglob("test_*.py")))
    files = [str(p.relative_to(ROOT)) for p in paths if MARKS_GPU.search(p.read_text("utf-8"))]
    return sorted(files, key=lambda file: not file.startswith(FIRST))


def describe(figures: dict[str, Any]) -> part.Found:
    results, found = figures.get("results", {}), figures.get("found", 0)
    if not results:
        return part.Found(["no test has ended"])
    counts = Counter(result["outcome"] for result in results.values())
    not_run = max(0, found - len(results))
    line = f"{counts['passed']} tests passed, {counts['failed']} failed"
    line += f", {counts['skipped']} skipped" if counts["skipped"] else ""
    line += f", {not_run} of {found} not run for want of time" if not_run else ""
    line += f": {figures['seconds']:.0f} s, {figures['processes']} at a time"
    reasons = Counter(r["why"] for r in results.values() if r["outcome"] == "skipped")
    skipped = [f"skipped: {why} ({number})" for why, number in reasons.most_common()]
    files: dict[str, Counter] = {}
    for test, result in results.items():
        files.setdefault(test.partition("::")[0], Counter())[result["outcome"]] += 1
    rows = [
        [file, *(str(of_file[outcome]) for outcome in ("passed", "failed", "skipped"))]
        for file, of_file in files.items()
    ]
    slowest = sorted(results.items(), key=lambda item: -item[1]["seconds"])[:10]
    return part.Found(
        [line, *skipped],
        [
            part.Table("Tests", ["file", "passed", "failed", "skipped"], rows),
            part.Table(
                "The slowest", ["test", "seconds"], [[t, f"{r['seconds']:.1f}"] for t, r in slowest]
            ),
        ],
    )


def main() -> int:
    args = part.parse(__doc__)
    right = part.Part("right", args, describe)
    marker = "gpu" if args.device == "cuda" else "not gpu"
    chosen = [*TINY, "-k", OF_TINY] if args.tiny else files_with_gpu_tests()
    cores = len(os.sched_getaffinity(0))
    number = 1 if args.tiny else max(1, min(MOST_PROCESSES, cores * 3 // 4))
    limit = max(LEAST_LIMIT, args.seconds / 2)
    with TemporaryDirectory() as folder:
        tests = Tests(["-m", marker, *chosen], number, Path(folder), limit)
        recorded = time.monotonic()
        try:
            while tests.follow() and right.left() > TO_STOP:
                if time.monotonic() > recorded + EVERY:
                    record(right, tests)
                    recorded = time.monotonic()
                time.sleep(0.1)
        finally:
            tests.stop()
            record(right, tests)
    return right.status()


def record(right: part.Part, tests: Tests) -> None:
    failed = {t: r["why"] for t, r in tests.results.items() if r["outcome"] == "failed"}
    right.failures = [f"{test}: {why}"[:LONGEST_FAILURE] for test, why in failed.items()]
    right.add(
        results=tests.results,
        found=len(tests.found),
        processes=len(tests.processes),
        seconds=time.monotonic() - tests.began,
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
