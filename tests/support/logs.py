"""What fairseq-train writes, in lines that are made up."""

from pathlib import Path

STAMP = "2026-11-22 10:00:00 | INFO"


def valid_line(update: int, loss: float | str, subset: str = "valid") -> str:
    nll_loss = float(loss) - 1
    return (
        f"{STAMP} | {subset} | epoch 001 | valid on '{subset}' subset | loss {loss} "
        f"| nll_loss {nll_loss} | ppl {2**nll_loss:g} | wps 1288.1 | num_updates {update} "
        f"| best_loss {loss}"
    )


def train_line(update: int, top: object = 2e-6, rest: object = 1e-8) -> str:
    return (
        f"{STAMP} | train_inner | epoch 001:    100 / 102 loss=10.112, num_updates={update}, "
        f"lr=0.0006, sensitivity_top={top}, sensitivity_rest={rest}, train_wall=536"
    )


def prediction_line(update: int, loss: float, scores: str = "accuracy 62 | f1 50 | mcc 3") -> str:
    """A validation of labelled sentences; those of regressions have ``pearson 80`` as scores."""
    return (
        f"{STAMP} | valid | epoch 001 | valid on 'valid' subset | loss {loss} | nll_loss {loss} "
        f"| {scores} | wps 0 | wpb 304 | bsz 30 | num_updates {update}"
    )


def prediction_train_line(update: int) -> str:
    return (
        f"{STAMP} | train_inner | epoch 001:      2 / 4 loss=0.9982, nll_loss=0.9982, "
        f"accuracy=53.3333, f1=12.5, mcc=-13.9, bsz=30, num_updates={update}, lr=0.01, "
        "gnorm=0.256, sensitivity_top=1.6e-05, sensitivity_rest=1.1e-07, train_wall=0, wall=2"
    )


def write_log(folder: Path, *lines: str, end: str = "\n") -> Path:
    """Write a log as a recipe keeps it."""
    folder.mkdir(parents=True, exist_ok=True)
    start = f"{STAMP} | fairseq_cli.train | {{'_name': None, 'common': {{'_name': None}}}}"
    path = folder / "train.log"
    path.write_text("\n".join([start, *lines]) + end, encoding="utf-8")
    return path
