"""A checkpoint → a folder that translates without fairseq: model, pieces, model card."""

import platform
import shutil
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import fairseq
import torch
from fairseq import utils

from ... import __version__
from ...checkpoints import configuration, read_checkpoint
from ...errors import UserError
from ...files import sha256
from ..directory import Content, Directory
from ..preparation.pieces import MODEL, read_sentencepiece
from ..scoring.evaluator import Inference, OpenCheckpoint
from ..scoring.results import Result, read_result
from ..scoring.search import Search
from ..scoring.translations import PreparedTranslations
from .converted import (
    largest_difference,
    model_files,
    obstacle,
    refuse_difference,
    refuse_without_ctranslate2,
    write_converted,
)
from .model_card import Exported, write_model_card

REPORT, CARD = "export.json", "README.md"
TASKS = ("translation", "translation_intra_distillation")  # of one language pair
OPTIONS = {"quantization": "--quantization", "license": "--license"}  # of a request


@dataclass(frozen=True)
class Export:
    """What to export and how: the options of ``intra-distill export``.

    Attributes:
        checkpoint: the file.
        output_dir: the folder to make.
        data: the data directory; None for that of the training.
        quantization: the type of the parameters, one of :data:`.converted.QUANTIZATIONS`.
        results: of evaluations of the checkpoint, for the model card.
        license: for the model card.
    """

    checkpoint: Path
    output_dir: Path
    data: Path | None = None
    quantization: str = "float32"
    results: tuple[Path, ...] = ()
    license: str | None = None

    @property
    def command(self) -> list[str]:
        """The command line that makes the folder again."""
        return [
            *("intra-distill", "export", str(self.checkpoint), "--output-dir", "."),
            *("--quantization", self.quantization),
            *(["--data", str(self.data)] if self.data else []),
            *(["--result", *map(str, self.results)] if self.results else []),
            *(["--license", self.license] if self.license else []),
        ]


def export(request: Export) -> bool:
    """Make the folder ``request.output_dir``, or complete it, unless it is finished.

    Returns:
        whether there was anything to do
    Raises:
        UserError: CTranslate2 is not installed or has no place for the model; the checkpoint, the
            data and the results do not belong together; the folder holds other files
    """
    if request.license is not None and not request.license.strip():
        raise UserError("--license is blank: leave it out if it is not known")
    state = read_checkpoint(request.checkpoint)
    refuse_other_tasks(request.checkpoint, state)
    data = request.data or data_of_training(request.checkpoint, state)
    translations = PreparedTranslations(data, Search(), Inference(cpu=True), tokenizer=None)
    checkpoint = translations.open(request.checkpoint)
    results = [read_own_result(path, checkpoint) for path in request.results]
    read_sentencepiece(data)
    if reason := obstacle(checkpoint.model):
        raise UserError(f"{request.checkpoint} holds {reason}, which CTranslate2 has no place for")
    content = {
        "checkpoint": checkpoint.sha256,
        "quantization": request.quantization,
        "license": request.license,
        "results": [sha256(path) for path in request.results],
    }
    directory = Directory(
        request.output_dir, REPORT, content, find_difference, option="--output-dir"
    )
    return directory.make(partial(take_steps, request, translations, checkpoint, results))


def refuse_other_tasks(path: Path, state: dict[str, Any]) -> None:
    """Raise UserError for a checkpoint of another task than the translation of one pair."""
    values = configuration(state, "task")
    name = values.get("_name") or values.get("task")
    if name not in TASKS:
        raise UserError(
            f"{path} was trained by --task {name}: an export takes {' and '.join(TASKS)} alone"
        )


def data_of_training(path: Path, state: dict[str, Any]) -> Path:
    """The data directory that a checkpoint was trained on; UserError if it is not there."""
    data = Path(utils.split_paths(str(configuration(state, "task").get("data")))[0])
    if not data.is_dir():
        raise UserError(f"{path} was trained on {data}, which is not there: give --data")
    return data


def read_own_result(path: Path, checkpoint: OpenCheckpoint) -> Result:
    """Read a result; UserError if it is of another checkpoint."""
    result = read_result(path)
    if result.checkpoint.sha256 != checkpoint.sha256:
        raise UserError(
            f"--result {path} is of {result.checkpoint.path} as it was when it was evaluated, not "
            f"of {checkpoint.path}"
        )
    return result


def find_difference(old: Content, new: Content) -> str | None:
    """Name what an earlier request has that changes the files, or None."""
    for name, option in OPTIONS.items():
        if old[name] != new[name]:
            return f"{option} {old[name]}, not {new[name]}"
    if old["checkpoint"] != new["checkpoint"]:
        return "another checkpoint"
    return "other results" if old["results"] != new["results"] else None


def take_steps(
    request: Export,
    translations: PreparedTranslations,
    checkpoint: OpenCheckpoint,
    results: list[Result],
    directory: Directory,
) -> Content:
    """Write all files, and return what the report says of them."""
    refuse_without_ctranslate2()
    names = [CARD, MODEL, *model_files(translations.task)]
    write = partial(write_files, request, translations, checkpoint, results)
    directory.make_files(directory.path, names, write)
    return {"versions": versions()}


def write_files(
    request: Export,
    translations: PreparedTranslations,
    checkpoint: OpenCheckpoint,
    results: list[Result],
    folder: Path,
) -> None:
    """Write the model, compare it with fairseq's, and write what goes with it.

    Raises:
        UserError: the converted model is not the same
    """
    task = translations.task
    write_converted(checkpoint.model, task, request.quantization, folder)
    difference = largest_difference(checkpoint.model, task, request.quantization, folder)
    refuse_difference(difference, request.quantization)
    shutil.copyfile(translations.data / MODEL, folder / MODEL)
    exported = Exported(
        system=results[0].system if results else request.checkpoint.absolute().parent.name,
        prepared=translations.prepared,
        types=len(task.source_dictionary),
        checkpoint=checkpoint.record,
        state=checkpoint.state,
        model=checkpoint.model,
        results=results,
        quantization=request.quantization,
        largest_difference=difference,
        license=request.license,
        versions=versions(),
        command=request.command,
    )
    write_model_card(folder / CARD, exported)


def versions() -> dict[str, str]:
    """The versions of what makes an export."""
    packages = ("ctranslate2", "sentencepiece")
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "fairseq": fairseq.__version__,
        **{name: metadata.version(name) for name in packages},
        "intra_distill": __version__,
    }
