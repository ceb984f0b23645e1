"""Data directories of labelled sentences, as ``intra-distill glue`` makes them, and models."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from fairseq import options
from fairseq.data import indexed_dataset
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from .sentences import BERT, CRITERION, PLAIN, SIZES, TASK, write_sentences
from .training import USER_DIR, run_training

CLASSES = ("no", "yes")
OURS = [*TASK, *CRITERION, *PLAIN]


def make_labelled(
    folder: Path,
    dataset: str,
    classes: tuple[str, ...] | None,
    metrics: tuple[str, ...],
    copies: dict[str, str] | None = None,
) -> Path:
    """Write a data directory whose test set has no labels.

    Args:
        folder: to write
        dataset: its name
        classes: the names of the classes; None for numbers from 0 to 5
        metrics: the primary one first
        copies: of valid or test, such as valid1, and the name of the data set that each is of
    """
    datasets = {**dict.fromkeys(SIZES, dataset), **(copies or {})}
    write_sentences(folder, "classes" if classes else "numbers", len(classes or ()))
    for copy in copies or ():
        for file in sorted(folder.glob(f"*/{copy.rstrip('0123456789')}.*")):
            shutil.copy(file, file.with_name(copy + file.suffix))
    for path in folder.glob("label/test*"):
        path.unlink()
    if classes:
        (folder / "label" / "dict.txt").write_text("".join(f"{name} 1\n" for name in classes))
    splits = {
        split: {
            "dataset": name,
            "sentences": SIZES.get(split, SIZES["valid"]),
            "labelled": not split.startswith("test"),
        }
        for split, name in datasets.items()
    }
    for split in splits:
        if split.startswith("valid"):
            text = "".join(f"{label}\n" for label in gold_labels(folder, split, classes))
            (folder / f"{split}.ref").write_text(text)
    report = {"form": "sentences", "dataset": dataset, "classes": classes, "metrics": metrics}
    (folder / "labels.json").write_text(json.dumps({**report, "pairs": True, "splits": splits}))
    return folder


def gold_labels(folder: Path, split: str, classes: Sequence[str] | None) -> list[str]:
    """The labels that fairseq reads, as text."""
    path = folder / "label" / split
    if classes is None:
        return path.with_suffix(".label").read_text().split()
    return [classes[int(label[0]) - 4] for label in indexed_dataset.MMapIndexedDataset(str(path))]


def train_predictor(
    data: Path, folder: Path, updates: int, *arguments: str, system: Sequence[str] = OURS
) -> Path:
    """Train a tiny BERT on a data directory → its last checkpoint.

    Later arguments replace earlier ones. ``system`` has the task and the criterion.
    """
    classes = json.loads((data / "labels.json").read_text())["classes"]
    kind = (
        ["--num-classes", str(len(classes))]
        if classes
        else ["--num-classes", "1", "--regression-target"]
    )
    args = options.parse_args_and_arch(
        options.get_training_parser(),
        [
            *(str(data), "--save-dir", str(folder), "--cpu", "--no-progress-bar"),
            *("--user-dir", USER_DIR, *system, *kind, *BERT),
            *("--optimizer", "adam", "--lr", "0.01", "--batch-size", "30"),
            *("--max-update", str(updates), "--no-epoch-checkpoints", "--disable-validation"),
            *("--num-workers", "0", "--required-batch-size-multiple", "1", *arguments),
        ],
    )
    run_training(convert_namespace_to_omegaconf(args))
    return folder / "checkpoint_last.pt"
