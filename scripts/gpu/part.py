"""What the parts of scripts/gpu.sh share: their options, their time, and their files.

A part is a program of this folder: it measures or tests one thing on a GPU for at most --seconds.
What it has found is on disk at any moment, as DIR/PART.json and DIR/PART.md, so that a part that
is cut off leaves what it had.

A part imports this module first, since it also finds those of scripts/benchmark.
"""

import start

# isort: split
import argparse
import math
import operator
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import measure
import torch

from intra_distill.errors import UserError, one_line
from intra_distill.files import write_json, write_lines

SHORT = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}
SIGNS = {"<": operator.lt, "<=": operator.le, ">=": operator.ge}
SHOWN_FAILURES = 2  # in the summary; the files have all
LONGEST_FAILURE = 160  # characters


@dataclass
class Table:
    """A table of DIR/PART.md. All columns but the first hold numbers."""

    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass
class Found:
    """What a part's figures say: the lines for the user, and the tables for the record."""

    summary: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def verdict(value: float | None, unit: str, sign: str, bound: float) -> str:
    """A figure beside its target, such as ``1.70 × plain (target < 2: reached)``."""
    target = f"target {sign} {bound:.3g}"
    if value is None:
        return f"not measured ({target} {unit})"
    outcome = "reached" if SIGNS[sign](value, bound) else "missed"
    return f"{value:.2f} {unit} ({target}: {outcome})"


def parse(
    description: str, extend: Callable[[argparse.ArgumentParser], object] = lambda parser: None
) -> argparse.Namespace:
    """Parse the options of a part, and refuse those that it cannot keep.

    Args:
        description: of the part, of which help shows the first line
        extend: adds options of its own to the parser
    Returns:
        ``output``, ``seconds``, ``tiny`` and ``device``: the GPU, or the CPU for a tiny run alone
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="for its files")
    parser.add_argument("--seconds", type=float, required=True, metavar="S", help="time limit")
    parser.add_argument("--tiny", action="store_true", help="a tiny size, on any machine")
    extend(parser)
    args = parser.parse_args()
    args.device = "cuda" if torch.cuda.is_available() else "cpu"
    if not 0 < args.seconds < math.inf:
        parser.error("--seconds: a time above 0")
    if args.device == "cpu" and not args.tiny:
        parser.error("torch sees no GPU here; --tiny runs on a CPU")
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--output: cannot make the folder {args.output}: {error.strerror}")
    measure.silence()
    return args


class Part:
    """The figures of one part, written whole to its two files whenever some are added.

    Args:
        name: of the part and its files
        args: of :func:`parse`
        describe: reads the summary and the tables from the figures, of which any may be missing

    The figures are free, but for the keys ``part``, ``date``, ``machine``, ``options``,
    ``summary`` and ``failures``.
    """

    def __init__(
        self, name: str, args: argparse.Namespace, describe: Callable[[dict[str, Any]], Found]
    ) -> None:
        self.name = name
        self.output = args.output
        self.device = args.device
        self.deadline = start.TIME + args.seconds  # of time.monotonic()
        self.figures: dict[str, Any] = {}
        self.failures: list[str] = []
        self._describe = describe
        self._now = datetime.now().astimezone()
        self._machine = measure.machine(args.device)
        self._options = {"seconds": args.seconds, "tiny": args.tiny, "device": args.device}
        self.write()

    def left(self) -> float:
        """The seconds until the deadline, negative after it."""
        return self.deadline - time.monotonic()

    def add(self, **figures: Any) -> None:
        """Add figures, or replace those of the same names, and write the files."""
        self.figures |= figures
        self.write()

    def write(self) -> None:
        """Write both files.

        Raises:
            SystemExit: one of them cannot be written, as on a full disk
        """
        found = self._describe(self.figures)
        hidden = len(self.failures) - SHOWN_FAILURES
        more = [f"and {hidden} more failures: {self.name}.md"] if hidden > 0 else []
        head = {
            "part": self.name,
            "date": self._now.isoformat(timespec="seconds"),
            "machine": self._machine,
            "options": self._options,
            "summary": [*found.summary, *self.failures[:SHOWN_FAILURES], *more],
            "failures": self.failures,
        }
        tables = [f"## {t.title}\n\n{measure.markdown(t.columns, t.rows)}" for t in found.tables]
        where = f"{self._now:%d %B %Y}, {measure.described(self._machine)}"
        lines = "\n".join(f"- {line}" for line in [*found.summary, *self.failures])
        text = "\n\n".join([f"# {self.name}", where, *([lines] if lines else []), *tables])
        try:
            write_lines(self.output / f"{self.name}.md", text.split("\n"))
            write_json(self.output / f"{self.name}.json", head | self.figures)  # last: it has all
        except UserError as error:
            raise SystemExit(f"{self.name}: {error}") from error

    @contextmanager
    def case(self, label: str) -> Iterator[None]:
        """Run a block as one case of many: its failure is a line, and the part goes on.

        Raises:
            RuntimeError: the failure broke CUDA for this process, so that no case can follow
        """
        try:
            yield
        except Exception as error:  # whatever a case raises: it costs no other its figures
            reason = one_line(f"{type(error).__name__}: {error}")[:LONGEST_FAILURE]
            self.failures.append(f"{label}: failed: {reason}")
            measure.progress(self.failures[-1])
            self.write()
            if self.device == "cuda":
                torch.cuda.synchronize()

    def status(self) -> int:
        """The exit status: 1 if a case failed."""
        return 1 if self.failures else 0
