"""Whole updates on a GPU: K passes, their rivals and plain fairseq, by shape, type and batch."""

import part

# isort: split
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import measure
import train_step
from train_step import Setting

ALL = [
    *["plain", "fused-3", "textbook-3", "fused-2", "rdrop", "one-pass-3", "fused-6", "one-pass-6"],
    *["fused-1", "plain-3x"],
]
FEW = ["plain", "fused-3", "textbook-3", "fused-2", "rdrop", "one-pass-3"]
FEWEST = ["plain", "fused-3", "one-pass-3"]
ROUNDS = 20
LEAST_SECONDS = 6  # for a comparison


@dataclass(frozen=True)
class Work:
    """One comparison, and its share of the part's time."""

    shape: str
    dtype: str
    max_tokens: int
    variants: list[str]
    share: int

    def __str__(self) -> str:
        return f"{self.shape}, {part.SHORT[self.dtype]}, {self.max_tokens:,} tokens"


PLAN = [  # the most important first
    Work("iwslt", "float16", 4096, ALL, 60),
    Work("iwslt", "bfloat16", 4096, ALL, 30),
    Work("iwslt", "float16", 16_384, ALL, 30),
    Work("wmt", "float16", 4096, FEW, 35),
    Work("wmt", "float16", 16_384, FEW, 35),
    Work("iwslt", "bfloat16", 16_384, FEW, 15),
    Work("wmt", "bfloat16", 4096, FEWEST, 15),
    Work("wmt", "bfloat16", 16_384, FEWEST, 15),
]


def plan(tiny: bool, device: str) -> list[Work]:
    if tiny:
        return [Work("tiny", "float16" if device == "cuda" else "float32", 128, FEW, 1)]
    return PLAN


def describe(figures: dict[str, Any]) -> part.Found:
    comparisons = figures.get("comparisons", {})
    tables = [part.Table(name, *train_step.table(found)) for name, found in comparisons.items()]
    lines = [line for name, found in list(comparisons.items())[:1] for line in targets(name, found)]
    others = [
        f"{name} {found['variants']['fused-3']['ratio']:.2f}"
        for name, found in list(comparisons.items())[1:]
        if "ratio" in found["variants"].get("fused-3", {})
    ]
    return part.Found(
        [*lines, *([f"K = 3 × plain: {'; '.join(others)}"] if others else [])], tables
    )


def targets(name: str, found: dict[str, Any]) -> list[str]:
    """The figures that have a target, of the first comparison."""

    def slower(variant: str, base: str) -> float | None:
        return measure.ratio(found["times"], variant, base)

    def larger(variant: str, base: str) -> float | None:
        peaks = [found["variants"].get(each, {}).get("peak_mib") for each in (variant, base)]
        return None if None in peaks else peaks[0] / peaks[1]

    K3 = part.verdict(slower("fused-3", "plain"), "× plain", "<", 2)
    idle = slower("plain-3x", "plain")
    three_times = f"; plain with 3 × the tokens {idle:.2f} ×" if idle else ""
    textbook = part.verdict(slower("textbook-3", "fused-3"), "× as fast", ">=", 2.5)
    of_textbook = part.verdict(larger("fused-3", "textbook-3"), "× its memory", "<=", 1 / 3)
    of_plain = part.verdict(larger("one-pass-6", "plain"), "× plain's", "<=", 1.1)
    flat = part.verdict(larger("one-pass-6", "one-pass-3"), "× that of K = 3", "<=", 1.05)
    rdrop = part.verdict(slower("rdrop", "fused-2"), "× as fast", ">=", 2)
    return [
        f"{name}: K = 3 takes {K3}{three_times}",
        f"K = 3 against the textbook's loop: {textbook}; {of_textbook}",
        f"memory of K = 6 with one pass: {of_plain}; {flat}",
        f"K = 2 against fairseq's R-Drop: {rdrop}",
    ]


def main() -> None:
    args = part.parse(__doc__)
    this = part.Part("step", args, describe)
    planned = plan(args.tiny, args.device)
    with TemporaryDirectory() as folder:
        while planned and this.left() > min(LEAST_SECONDS, args.seconds / 2):
            share = planned[0].share / sum(work.share for work in planned)
            compare(this, planned.pop(0), share, Path(folder))
    for work in planned:
        measure.progress(f"{work}: no time left")
    raise SystemExit(this.status())


def compare(this: part.Part, work: Work, share: float, folder: Path) -> None:
    """Add the figures of one comparison, in its share of the time that is left."""
    measure.progress(f"{work}: {this.left():.0f} s left")

    def guard(variant: str) -> AbstractContextManager[None]:
        return this.case(f"{work}, {variant}")

    with this.case(str(work)):
        deadline = time.monotonic() + share * this.left()
        setting = Setting(work.shape, work.max_tokens, work.dtype, this.device)
        data = corpus(folder, work)
        for found in train_step.comparison(setting, work.variants, data, deadline, ROUNDS, guard):
            this.add(comparisons=this.figures.get("comparisons", {}) | {str(work): found})


def corpus(folder: Path, work: Work) -> Path:
    """The data for a comparison, which those of the same types and tokens share."""
    types, _ = train_step.SHAPES[work.shape]
    data = folder / f"{types}-{work.max_tokens}"
    if not data.exists():
        data.mkdir()
        train_step.write_corpus(data, types, work.max_tokens)
    return data


if __name__ == "__main__":
    main()
