"""The runs that scripts/gpu/train.py shares a card out among, while there is time."""

import math
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import measure
from logs import last_line

SCRIPTS = Path(__file__).resolve().parents[1]
SYSTEMS = ["transformer", "r_drop", "intra_js", "intra_x"]
PLAIN, OURS = SYSTEMS[0], SYSTEMS[-1]
FOR_START = 20  # seconds until the first update, and of an evaluation until one was measured
FOR_EVALUATION = 40
FOR_STEP_OF_TABLE = 0.7  # of an evaluation
WINDOW = 20  # seconds over which a speed is measured
# of a grid that the user may have in mind beside this one
OF_OTHER_GRIDS = {"AVERAGE", "DATASET", "LAUNCHER", "OVERRIDES", "PREPARE", "SBATCH", "SEED"}


def order(pairs: list[str], seeds: list[int]) -> list[tuple[str, str, int]]:
    """The runs, the most telling first: pair, system and seed of each."""
    first, *others = pairs
    runs = list(product([first], SYSTEMS, seeds[:1]))
    for systems in ([PLAIN, OURS], SYSTEMS[1:-1]):
        runs += product(others, systems, seeds[:1])
    return runs + [(pair, system, s) for s, pair, system in product(seeds[1:], pairs, SYSTEMS)]


def why(log: Path) -> str:
    return last_line(log) or "it left no log"


@dataclass(eq=False)
class Run:
    """One run: its place in the grid, its process while it has one, and how far it is."""

    pair: str
    system: str
    seed: int
    folder: Path
    state: str = "waiting"  # then running, and at last done, stopped, failed or no data
    process: subprocess.Popen | None = None
    began: float = 0.0
    seconds: float | None = None  # that it took
    points: list[tuple[float, int]] = field(default_factory=list)  # (time, updates) of its log

    def __str__(self) -> str:
        return f"{self.pair} {self.system}, seed {self.seed}"

    @property
    def result(self) -> Path:
        return self.folder / "test.json"

    @property
    def updates(self) -> int:
        return self.points[-1][1] if self.points else 0

    def look(self) -> None:
        """Read from the end of its log how far it is."""
        try:
            with open(self.folder / "train.log", "rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 4000))
                found = re.findall(rb"num_updates=(\d+)", log.read())
        except OSError:
            return
        if found and int(found[-1]) != self.updates:
            self.points.append((time.monotonic(), int(found[-1])))

    def speed(self) -> float | None:
        """Updates a second of late; None before there are two lines of the log, or its end."""
        if len(self.points) < 2:
            return self.updates / self.seconds if self.updates and self.seconds else None
        *earlier, (now, updates) = self.points
        recent = [point for point in earlier if point[0] > now - WINDOW] or earlier[-1:]
        then, before = recent[0]
        return (updates - before) / (now - then)


class Grid:
    """Prepares the data and makes the runs, as many at a time as the processor has cores for two.

    Args:
        recipe: whose systems are trained
        runs: each waiting, in the order in which they begin
        folder: of data, and of what the scripts print
        max_update: updates of a run
        jobs: runs at a time
        text: folder of the raw text, or None to download it
        variables: what the scripts of the recipe get, besides those of this grid
    """

    def __init__(
        self,
        recipe: str,
        runs: list[Run],
        folder: Path,
        max_update: int,
        jobs: int,
        text: Path | None,
        variables: dict[str, str],
    ) -> None:
        self.recipe = recipe
        self.runs = runs
        self.first_wave = [run for run in runs if run.pair == runs[0].pair][: len(SYSTEMS)]
        self.folder = folder
        self.max_update = max_update
        self.jobs = jobs
        self.text = text
        inherited = {n: text for n, text in os.environ.items() if n not in OF_OTHER_GRIDS}
        self.environment = {**inherited, "JOBS": str(jobs), **variables}
        self.preparing: dict[str, subprocess.Popen] = {}
        self.prepared: set[str] = set()
        self.failures: list[str] = []
        self.for_evaluation = 0.0  # seconds, the longest so far
        for run in runs:
            if (run.folder / "trained").exists() and run.result.exists():
                run.state = "done"
                run.look()

    def for_table(self) -> float:
        """The seconds that a table takes: a test of each run against the plain one, and itself.

        Each starts a program, as an evaluation does, but nothing is translated.
        """
        tests = sum(run.system != PLAIN and run.result.exists() for run in self.runs)
        return FOR_STEP_OF_TABLE * self.evaluation() * (1 + math.ceil(tests / self.jobs))

    def evaluation(self) -> float:
        """The seconds of an evaluation."""
        return self.for_evaluation or FOR_EVALUATION

    def step(self, left: float) -> bool:
        """Do what there is to do → whether anything goes on.

        Args:
            left: seconds until the table has to be there
        """
        left -= self.for_table()
        self.follow()
        if left > self.evaluation():
            self.prepare()
            self.begin(left)
        else:
            self.stop()
            self.evaluate_stopped()
        return left > 0 and bool(self.running() or self.preparing)

    def script(self, name: str, *arguments: str, log: Path, **variables: str) -> subprocess.Popen:
        """Start a script, which writes to the end of a log."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as file:
            return subprocess.Popen(
                ["bash", str(SCRIPTS / name), *arguments],
                env={**self.environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    # Data

    def prepare(self) -> None:
        """Make the data of the pairs that have runs waiting."""
        waiting = dict.fromkeys(run.pair for run in self.runs if run.state == "waiting")
        for pair in waiting:
            if len(self.preparing) >= self.jobs:
                return
            if pair not in self.prepared and pair not in self.preparing:
                text = [str(self.text)] if self.text else []
                log = self.log_of_data(pair)
                script = f"{self.recipe}/prepare.sh"
                self.preparing[pair] = self.script(script, *text, log=log, DATASET=pair)

    def log_of_data(self, pair: str) -> Path:
        return self.folder / f"{pair}.log"

    def follow_preparation(self) -> None:
        ended = {
            p: each.returncode for p, each in self.preparing.items() if each.poll() is not None
        }
        for pair, status in ended.items():
            del self.preparing[pair]
            if status == 0:
                self.prepared.add(pair)
                continue
            self.failures.append(f"no data of {pair}: {why(self.log_of_data(pair))}")
            for run in self.runs:
                if run.pair == pair and run.state == "waiting":
                    run.state = "no data"

    # Runs

    def running(self) -> list[Run]:
        return [run for run in self.runs if run.process is not None]

    def follow(self) -> None:
        """Note how far the runs are, and which have ended."""
        self.follow_preparation()
        for run in self.running():
            status = run.process.poll()
            if run.state == "running":
                run.look()
            if status is None:
                continue
            run.process = None
            if run.state != "running":  # it was stopped, or evaluated after that
                continue
            run.seconds = time.monotonic() - run.began
            if status == 0:
                run.state = "done"
                trained = run.points[-1][0] if run.points else run.began
                self.for_evaluation = max(self.for_evaluation, time.monotonic() - trained)
            else:
                run.state = "failed"
                self.failures.append(f"{run}: {why(run.folder / 'run.log')}")
            measure.progress(f"{run}: {run.state} after {run.seconds:.0f} s")

    def begin(self, left: float) -> None:
        """Begin each run whose turn it is, if there is room and time for it."""
        for run in self.runs:
            if len(self.running()) >= self.jobs:
                return
            if run.state != "waiting" or run.pair not in self.prepared:
                continue
            if not self.fits(run, left):
                return
            measure.progress(f"{run}: begins, {left:.0f} s are left")
            run.state, run.began = "running", time.monotonic()
            of_run = [self.recipe, run.pair, run.system, str(run.seed)]
            run.process = self.script("run_system.sh", *of_run, log=self.folder / "runs.log")

    def fits(self, run: Run, left: float) -> bool:
        """Whether it and those that run end in time, should the card have no room to spare.

        The first wave begins unmeasured, and so does a run alone: others are judged by these.
        """
        running = [each for each in self.running() if each.updates < self.max_update]
        speeds = [each.speed() for each in running]
        measured = {each: each.speed() for each in self.runs if each.speed()}
        if run in self.first_wave or not (running or measured):
            return True
        if None in speeds:
            return False
        known = [s for each, s in measured.items() if each.system == run.system]
        known = known or [*measured.values()]
        slower = (len(running) + 1) / max(1, len(running))
        ends = [FOR_START + self.max_update / min(known)]
        ends += [(self.max_update - r.updates) / speed for r, speed in zip(running, speeds)]
        return slower * max(ends) + self.evaluation() < left

    def stop(self) -> None:
        """Stop what prepares and trains; a training saves. What is being evaluated goes on."""
        for process in self.preparing.values():
            process.terminate()
        for run in self.running():
            if run.state == "running" and run.updates < self.max_update:
                measure.progress(f"{run}: is stopped after {run.updates} updates")
                run.state, run.seconds = "stopped", time.monotonic() - run.began
                run.process.terminate()

    def evaluate_stopped(self) -> None:
        """Evaluate the first wave as far as it is, so that it has a table."""
        for run in self.first_wave:
            saved = (run.folder / "checkpoint_best.pt").exists()
            if run.state == "stopped" and run.process is None and saved:
                run.state = "stopped, evaluated"
                run.process = self.script(
                    *("evaluate.sh", self.recipe, run.system),
                    log=run.folder / "run.log",
                    DATASET=run.pair,
                    SEED=str(run.seed),
                )

    def end(self) -> None:
        """End all that still goes on."""
        processes = [run.process for run in self.running()] + [*self.preparing.values()]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
