"""Real text on this GPU: as many runs of the recipe multi30k_full as fit, with their table.

All systems of De→En come first, side by side on the card; then the plain transformer and
intra-distillation on the other pairs, the other systems there, and further seeds. A run begins if
at the speed that was measured it ends in time. Before the end all trainings stop, those of De→En
are evaluated as far as they are, and the table is made. Run again into the same folder, it goes on
with what is left.
"""

import part

# isort: split
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

from grid import OURS, PLAIN, SCRIPTS, SYSTEMS, Grid, Run, order, why
from omegaconf import OmegaConf

from intra_distill.files import read_json

RECIPE = "multi30k_full"
PAIRS = ["de-en", "fr-en", "cs-en", "en-de", "en-fr", "en-cs"]
SEEDS = [1, 2, 3]
MOST_JOBS = 8
TO_WRITE = 5  # seconds
TINY = [
    f"model.{side}_{size}"
    for side in ("encoder", "decoder")
    for size in ("layers=1", "embed_dim=16", "ffn_embed_dim=32", "attention_heads=2")
]
TINY += ["common.fp16=false", "common.log_interval=1", "dataset.max_tokens=1000"]
TINY += ["dataset.num_workers=0", "dataset.validate_interval_updates=2"]
TINY += ["checkpoint.save_interval_updates=2", "optimization.max_update=4"]
TINY += ["generation.beam=1", "generation.max_len_b=10"]  # such a model ends no sentence by itself
TINY_UPDATES, TINY_PIECES = 4, "--vocab-size 90"


def main() -> int:
    args = part.parse(
        __doc__,
        lambda parser: parser.add_argument(
            "--text", metavar="FOLDER", help="raw text (default: downloaded)"
        ),
    )
    output = args.output / "train"
    output.mkdir(exist_ok=True)
    train = part.Part("train", args, describe)
    grid = make_grid(args.text, output, args.tiny)
    try:
        while grid.step(train.left() - TO_WRITE):
            record(grid, train)
            time.sleep(0.5)
        table = make_table(grid, train.left() - TO_WRITE)
        record(grid, train, **({"table": table} if table else {}))
    finally:
        grid.end()
        record(grid, train)
    return train.status()


def make_grid(text: str | None, output: Path, tiny: bool) -> Grid:
    """All runs; a tiny grid is of one pair and seed, of made-up text unless there is one."""
    cores = len(os.sched_getaffinity(0))
    jobs = max(1, min(MOST_JOBS, cores // 2))
    variables = {"DATA": str(output / "data"), "RUNS": str(output / "runs")}
    variables["OMP_NUM_THREADS"] = str(max(1, cores // jobs))
    config = OmegaConf.load(SCRIPTS.parent / "configs" / RECIPE / f"{PLAIN}.yaml")
    pairs, seeds, max_update = PAIRS, SEEDS, config.optimization.max_update
    if tiny:
        pairs, seeds, max_update = PAIRS[:1], SEEDS[:1], TINY_UPDATES
        variables |= {"OVERRIDES": " ".join(TINY), "PREPARE": TINY_PIECES}
        text = text or str(write_tiny_text(output / "text"))
    runs = [
        Run(pair, system, seed, output / "runs" / pair / system / f"seed{seed}")
        for pair, system, seed in order(pairs, seeds)
    ]
    return Grid(RECIPE, runs, output / "data", max_update, jobs, text and Path(text), variables)


def write_tiny_text(folder: Path) -> Path:
    """Made-up text, under the names of Multi30k's."""
    sizes = ["--train", "200", "--valid", "20", "--test", "20"]
    subprocess.run(
        ["intra-distill", "toy-corpus", "--destdir", str(folder), *sizes],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for name, official in {"valid": "val", "test": "test_2016_flickr"}.items():
        for lang in ("de", "en"):
            shutil.copy(folder / f"{name}.{lang}", folder / f"{official}.{lang}")
    return folder


# What is found


def record(grid: Grid, train: part.Part, **figures: Any) -> None:
    """Write down how the runs stand, if that has changed, and other figures."""
    runs = [
        {
            **{"pair": run.pair, "system": run.system, "seed": run.seed, "state": run.state},
            **{"updates": run.updates, "speed": run.speed(), "seconds": run.seconds},
            "scores": read_json(run.result)["scores"] if run.result.exists() else {},
        }
        for run in grid.runs
        if run.state != "waiting"
    ]
    figures |= {"runs": runs, "max_update": grid.max_update, "at_a_time": grid.jobs}
    if train.figures | figures != train.figures or train.failures != grid.failures:
        train.failures = [*grid.failures]
        train.add(**figures)


def describe(figures: dict[str, Any]) -> part.Found:
    runs = figures.get("runs", [])
    bleu: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        if "BLEU" in run["scores"]:
            of_pair = bleu.setdefault(run["pair"], {})
            of_pair.setdefault(run["system"], []).append(run["scores"]["BLEU"])
    number = sum(len(scores) for of_pair in bleu.values() for scores in of_pair.values())
    on = f", on {', '.join(bleu)}" if bleu else ""
    summary = [f"{number} runs are scored{on}"]
    stopped = [f"{r['system']} {r['updates']}" for r in runs if r["state"] == "stopped, evaluated"]
    if stopped:
        most = figures["max_update"]
        summary.append(f"not comparable, stopped before update {most}: {', '.join(stopped)}")
    means = [{s: mean(scores) for s, scores in of_pair.items()} for of_pair in bleu.values()]
    summary += [f"BLEU on {pair}: {compared(each)}" for pair, each in zip([*bleu][:1], means)]
    both = [each for each in means if each.keys() >= {PLAIN, OURS}]
    if len(both) > 1:
        average = {system: mean(each[system] for each in both) for system in (PLAIN, OURS)}
        summary.append(f"BLEU on average of {len(both)} pairs: {compared(average)}")
    head, *body = figures.get("table", [[]])
    title = "Systems (with the signatures of the scores: train/data/table.md)"
    tables = [part.Table(title, head, body)] if head else []
    return part.Found(summary, [*tables, table_of_runs(runs)] if runs else tables)


def compared(of_systems: dict[str, float]) -> str:
    """BLEU of each system, and how far it is above that of the plain transformer."""
    plain = of_systems.get(PLAIN)
    lines = []
    for system in (each for each in SYSTEMS if each in of_systems):
        above = plain is not None and system != PLAIN
        difference = f" ({of_systems[system] - plain:+.1f})" if above else ""
        lines.append(f"{system} {of_systems[system]:.1f}{difference}")
    return ", ".join(lines)


def table_of_runs(runs: list[dict[str, Any]]) -> part.Table:
    columns = ["run", "state", "updates", "updates a second", "seconds", "BLEU"]
    rows = []
    for run in runs:
        speed, seconds, bleu = run["speed"], run["seconds"], run["scores"].get("BLEU")
        numbers = [(speed, ".1f"), (seconds, ".0f"), (bleu, ".1f")]
        rows.append(
            [
                f"{run['pair']} {run['system']}, seed {run['seed']}",
                *(run["state"], str(run["updates"])),
                *("–" if number is None else format(number, form) for number, form in numbers),
            ]
        )
    return part.Table("Runs", columns, rows)


def make_table(grid: Grid, left: float) -> list[list[str]]:
    """The table of the runs that are scored, in the form of the paper's Table 2: head and rows."""
    scored = [run for run in grid.runs if run.result.exists()]
    if not scored:
        return []
    log = grid.folder / "table.md"
    log.unlink(missing_ok=True)
    of_grid = {
        "SYSTEMS": sorted({run.system for run in scored}, key=SYSTEMS.index),
        "DATASETS": sorted({run.pair for run in scored}, key=PAIRS.index),
        "SEEDS": sorted({str(run.seed) for run in scored}),
    }
    variables = {name: " ".join(values) for name, values in of_grid.items()}
    report = grid.script("report.sh", RECIPE, log=log, **variables)
    try:
        report.wait(max(1.0, left))
    except subprocess.TimeoutExpired:
        report.terminate()
    rows = cells(log.read_text(encoding="utf-8"))
    if not rows:
        grid.failures.append(f"no table: {why(log)}")
    return rows


def cells(text: str) -> list[list[str]]:
    """The rows of a Markdown table, its head first."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line[1:].rstrip().rstrip("|").split("|")] for line in lines]
    return [row for row in rows if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
