"""A data directory of labelled text: sentences, the words of sentences, or questions.

``intra-distill glue``, ``prepare-tags`` and ``prepare-spans`` make it::

    DIR/input0/{dict.txt,SPLIT.bin,SPLIT.idx}   what the model reads: sentences, [SEP] after each;
                                                questions, each with a window of its passage
    DIR/input1/{dict.txt,SPLIT.bin,SPLIT.idx}   the second sentences, in tasks on pairs
    DIR/label/{dict.txt,SPLIT.bin,SPLIT.idx}    the classes: of a sentence, or of each input symbol
    DIR/label/SPLIT.label                       numbers as text: of a regression one a line, of
                                                windows the first and the last symbol of the answer
    DIR/SPLIT.ref                               the labels as text; of all labelled splits but train
    DIR/SPLIT.questions                         the passages and their windows, for answers
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
# what has labels, and the command that makes such data
FORMS = {
    "sentences": "intra-distill glue",
    "words": "intra-distill prepare-tags",
    "questions": "intra-distill prepare-spans",
}
COMMANDS = f"{', '.join(list(FORMS.values())[:-1])} or {list(FORMS.values())[-1]}"


@dataclass(frozen=True)
class LabelledSplit:
    """A split of a data directory.

    Attributes:
        dataset: the data set that results on it are of: "mnli-mm" of a split of MNLI, "ar" of a
            test set in Arabic.
        sentences: how many there are, or how many questions; a pair counts as one.
        labelled: whether their labels are known.
    """

    dataset: str
    sentences: int
    labelled: bool


@dataclass(frozen=True)
class LabelledData:
    """A finished data directory.

    Attributes:
        form: what has a label, one of :data:`FORMS`.
        classes: in the order of their ids; None if the labels are scores or answers.
        metrics: the names of its metrics in results, the primary one first.
        pairs: whether each input has two sentences.
        splits: by fairseq's name of the split.
    """

    path: Path
    form: str
    dataset: str
    classes: tuple[str, ...] | None
    metrics: tuple[str, ...]
    pairs: bool
    splits: dict[str, LabelledSplit]

    @property
    def counted(self) -> str:
        """What the number of sentences of a split counts, in words."""
        return "questions" if self.form == "questions" else "sentences"

    @property
    def test_sets(self) -> tuple[str, ...]:
        """The splits ``test-LANG``."""
        return tuple(name for name in self.splits if name.startswith("test-"))


def is_labelled(path: Path) -> bool:
    """Whether a directory is a finished one of labelled text."""
    return (path / REPORT).exists()


def reference(split: str) -> str:
    """The name of the labels of a split, as plain text."""
    return f"{split}.ref"


def questions(split: str) -> str:
    """The name of the questions of a split, with their passages."""
    return f"{split}.questions"


def open_labelled(path: Path) -> LabelledData:
    """Read what a data directory says of itself.

    Raises:
        UserError: no command of :data:`FORMS` has made it, or it is not finished.
    """
    read = partial(read_report, path)
    data = read_finished(path, REPORT, COMMANDS, "make it again", read)
    for folder in [FIRST, SECOND] if data.pairs else [FIRST]:
        if not (path / folder / "dict.txt").is_file():
            raise UserError(f"{path} has no {folder}/dict.txt: make it by {FORMS[data.form]}")
    return data


def read_report(path: Path, report: dict[str, Any]) -> LabelledData:
    classes, form = report["classes"], report["form"]
    if form not in FORMS:
        raise ValueError(form)
    return LabelledData(
        path=path,
        form=form,
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
    )
