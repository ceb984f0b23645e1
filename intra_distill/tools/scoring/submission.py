"""Predictions in the form that the server of GLUE takes: a zip with a file for each test set."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ...files import written_whole
from ..corpora.glue.reading import GREATEST_SCORE, LEAST_SCORE
from ..corpora.glue.tasks import TASKS
from ..labelled import open_labelled
from .evaluator import Inference, OpenCheckpoint
from .sentences import Sentences

HEADER = "index\tprediction"
NO_DATE = (1980, 1, 1, 0, 0, 0)  # the same predictions make the same zip at any time


@dataclass(frozen=True)
class TestFile:
    """A file of a submission."""

    name: str  # without .tsv
    task: str | None  # of :data:`TASKS`; None for WNLI, which no system here is trained on
    subset: str
    sentences: int


FILES = (
    TestFile("CoLA", "cola", "test", 1063),
    TestFile("SST-2", "sst-2", "test", 1821),
    TestFile("MRPC", "mrpc", "test", 1725),
    TestFile("STS-B", "sts-b", "test", 1379),
    TestFile("MNLI-m", "mnli", "test", 9796),
    TestFile("MNLI-mm", "mnli", "test1", 9847),
    TestFile("QNLI", "qnli", "test", 5463),
    TestFile("QQP", "qqp", "test", 390_965),
    TestFile("RTE", "rte", "test", 3000),
    TestFile("WNLI", None, "test", 146),
    TestFile("AX", "mnli", "test2", 1104),
)


@dataclass(frozen=True)
class Predictor:
    """A task's data directory and the checkpoint that predicts its labels."""

    evaluator: Sentences
    checkpoint: OpenCheckpoint


def open_predictors(
    data: dict[str, Path], checkpoints: dict[str, Path], inference: Inference
) -> dict[str, Predictor]:
    """Check the data and the checkpoint of each task, before any of them predicts.

    Raises:
        UserError: a task lacks one of the two, the data are of another task or not the whole of
            GLUE's, or the checkpoint does not fit
    """
    for task in [*data, *checkpoints]:
        if task not in checkpoints:
            raise UserError(f"--data {task} has no --path {task}=…: give both")
        if task not in data:
            raise UserError(f"--path {task} has no --data {task}=…: give both")
    predictors = {}
    for task, folder in data.items():
        labelled = open_labelled(folder)
        ours = labelled.form, labelled.dataset, labelled.classes
        if ours != ("sentences", task, TASKS[task].classes):
            raise UserError(f"--data {task}={folder} is of {labelled.dataset}")
        evaluator = Sentences(labelled, inference)
        checkpoint = evaluator.open(checkpoints[task])
        for file in (file for file in FILES if file.task == task):
            evaluator.open_test_set(file.subset)
            evaluator.refuse_misfit(checkpoint, file.subset)
            number = labelled.splits[file.subset].sentences
            if number != file.sentences:
                raise UserError(
                    f"--data {task}={folder}: {file.subset} has {number} sentences, GLUE's "
                    f"{file.name} has {file.sentences}"
                )
        predictors[task] = Predictor(evaluator, checkpoint)
    return predictors


def predictions_of(file: TestFile, predictors: dict[str, Predictor]) -> list[str]:
    """The lines of a file; a task without a predictor gets its first class everywhere."""
    if file.task not in predictors:
        return [first_label(file)] * file.sentences
    predictor = predictors[file.task]
    lines = predictor.evaluator.run(predictor.checkpoint, file.subset).lines
    return lines if TASKS[file.task].classes else [score_text(float(line)) for line in lines]


def first_label(file: TestFile) -> str:
    if file.task is None:
        return "0"
    classes = TASKS[file.task].classes
    return classes[0] if classes else score_text(LEAST_SCORE)


def score_text(score: float) -> str:
    """A score of STS-B as the server takes it: from 0 to 5, with three decimals."""
    return f"{min(max(score, LEAST_SCORE), GREATEST_SCORE):.3f}"


def write_submission(path: Path, files: Iterable[tuple[TestFile, list[str]]]) -> None:
    """Write the zip; the same predictions make the same bytes.

    Raises:
        UserError: it cannot be written, as on a full disk
    """
    with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for file, predictions in files:
            rows = [HEADER, *(f"{index}\t{label}" for index, label in enumerate(predictions))]
            member = zipfile.ZipInfo(f"{file.name}.tsv", NO_DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, "".join(f"{row}\n" for row in rows))
