"""A data directory of labelled sentences, as ``intra-distill glue`` makes it.

::

    DIR/input0/{dict.txt,SPLIT.bin,SPLIT.idx}   the sentences, and [SEP] after each
    DIR/input1/{dict.txt,SPLIT.bin,SPLIT.idx}   the second sentences, in tasks on pairs
    DIR/label/{dict.txt,SPLIT.bin,SPLIT.idx}    the classes; SPLIT.label, as text, in regression
    DIR/SPLIT.ref                               the labels as text; of all labelled splits but train
    DIR/labels.json                             the report

Nothing here imports torch or fairseq, so that a command that does without them starts in a fraction
of a second.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import UserError
from .directory import read_finished

REPORT = "labels.json"
FIRST, SECOND, LABEL = "input0", "input1", "label"  # the folders that fairseq reads


@dataclass(frozen=True)
class LabelledSplit:
    """A split of a data directory.

    Attributes:
        dataset: the data set that results on it are of: "mnli-mm" of a split of MNLI.
        sentences: how many there are; a pair counts as one.
        labelled: whether their labels are known.
        truncated: how many were longer than the directory's maximum.
    """

    dataset: str
    sentences: int
    labelled: bool
    truncated: int


@dataclass(frozen=True)
class LabelledData:
    """A finished data directory.

    Attributes:
        classes: in the order of their ids; None if the labels are scores.
        metrics: the names of its metrics in results, the primary one first.
        pairs: whether each input has two sentences.
        splits: by fairseq's name of the split.
    """

    path: Path
    dataset: str
    classes: tuple[str, ...] | None
    metrics: tuple[str, ...]
    pairs: bool
    splits: dict[str, LabelledSplit]


def is_labelled(path: Path) -> bool:
    """Whether a directory is a finished one of labelled sentences."""
    return (path / REPORT).exists()


def reference(split: str) -> str:
    """The name of the labels of a split, as plain text."""
    return f"{split}.ref"


def open_labelled(path: Path) -> LabelledData:
    """Read what a data directory says of itself.

    Raises:
        UserError: ``intra-distill glue`` has not made it, or has not finished it.
    """
    read = partial(read_report, path)
    data = read_finished(path, REPORT, "intra-distill glue", "make it again", read)
    for folder in [FIRST, SECOND] if data.pairs else [FIRST]:
        if not (path / folder / "dict.txt").is_file():
            raise UserError(f"{path} has no {folder}/dict.txt: make it by intra-distill glue")
    return data


def read_report(path: Path, report: dict[str, Any]) -> LabelledData:
    classes = report["classes"]
    return LabelledData(
        path=path,
        dataset=str(report["dataset"]),
        classes=None if classes is None else tuple(map(str, classes)),
        metrics=tuple(map(str, report["metrics"])),
        pairs=bool(report["pairs"]),
        splits={name: read_split(entry) for name, entry in report["splits"].items()},
    )


def read_split(entry: dict[str, Any]) -> LabelledSplit:
    return LabelledSplit(
        dataset=str(entry["dataset"]),
        sentences=int(entry["sentences"]),
        labelled=bool(entry["labelled"]),
        truncated=int(entry["truncated"]),
    )
