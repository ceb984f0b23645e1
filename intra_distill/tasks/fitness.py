"""Whether a checkpoint fits the data of a task: how :func:`..checkpoints.check_fits` tells."""

from pathlib import Path
from typing import Any

from fairseq import utils
from fairseq.data import Dictionary
from fairseq.tasks.sentence_prediction import SentencePredictionTask
from fairseq.tasks.translation import TranslationTask
from torch import Tensor

from ..checkpoints import check_fits, configuration
from ..errors import UserError
from .span_prediction_intra_distillation import SpanPredictionIntraDistillationTask
from .tagging_intra_distillation import TaggingIntraDistillationTask
from .token_prediction import TokenPredictionTask


@check_fits.register
def check_translation_fits(task: TranslationTask, path: Path, state: dict[str, Any]) -> None:
    """Make sure that a checkpoint's model has the languages and the dictionaries of the data.

    A checkpoint has one embedding for each type but not the types' symbols. These are read from
    the data that the model was trained on, where it is still in its place.

    Raises:
        UserError: otherwise, and for what is no translation model
    """
    trained_on = configuration(state, "task")
    if not trained_on or any(
        f"{side}.embed_tokens.weight" not in state["model"] for side in ("encoder", "decoder")
    ):
        raise UserError(f"{path} is not a checkpoint of a translation model")
    for side, lang_key, dictionary in (
        ("encoder", "source_lang", task.source_dictionary),
        ("decoder", "target_lang", task.target_dictionary),
    ):
        embeddings = state["model"][f"{side}.embed_tokens.weight"]
        lang = task.cfg[lang_key]
        their_lang = trained_on.get(lang_key) or lang  # none where fairseq found it by itself
        if their_lang != lang:
            raise UserError(f"{path} is of other data: its {side} knows {their_lang}, not {lang}")
        name = f"{utils.split_paths(task.cfg.data)[0]}/dict.{lang}.txt"
        if rows(embeddings) != len(dictionary):
            raise UserError(
                f"{path} is of other data: its {side} knows {rows(embeddings)} types, "
                f"{name} makes {len(dictionary)}"
            )
        theirs = Path(utils.split_paths(trained_on["data"])[0], f"dict.{lang}.txt")
        if theirs.is_file() and task.load_dictionary(str(theirs)) != dictionary:
            raise UserError(f"{path} is of other data: {theirs} is not {name}")


@check_fits.register
def check_prediction_fits(task: SentencePredictionTask, path: Path, state: dict[str, Any]) -> None:
    """Make sure that a checkpoint's model has the labels and the dictionaries of the data.

    The symbols are read as in :func:`check_translation_fits`.

    Raises:
        UserError: otherwise, and for what is no model of predictions
    """
    trained_on = configuration(state, "task")
    head = f"classification_heads.{trained_on.get('classification_head_name')}.out_proj.weight"
    outputs = outputs_of(head, "labels of sentences", path, state)
    theirs = "numbers" if trained_on.get("regression_target") else f"{outputs} classes"
    cfg = task.cfg
    ours = "numbers" if cfg.regression_target else f"{cfg.num_classes} classes"
    if theirs != ours:
        raise UserError(f"{path} is of other data: it predicts {theirs}, {cfg.data} has {ours}")
    dictionaries = {"input0": task.source_dictionary}
    if not cfg.regression_target:
        dictionaries["label"] = task.label_dictionary
    check_dictionaries(task, dictionaries, path, state)


@check_fits.register
def check_tagging_fits(
    task: TaggingIntraDistillationTask, path: Path, state: dict[str, Any]
) -> None:
    """Make sure that a checkpoint's model has the tags and the dictionaries of the data.

    Raises:
        UserError: otherwise, and for what predicts no tags
    """
    outputs = outputs_of(head_of(task), "tags of words", path, state)
    if outputs != task.num_outputs:
        raise UserError(
            f"{path} is of other data: it predicts {outputs} tags, {task.cfg.data} has "
            f"{task.num_outputs}"
        )
    dictionaries = {"input0": task.source_dictionary, "label": task.label_dictionary}
    check_dictionaries(task, dictionaries, path, state)


@check_fits.register
def check_spans_fit(
    task: SpanPredictionIntraDistillationTask, path: Path, state: dict[str, Any]
) -> None:
    """Make sure that a checkpoint's model predicts spans, with the dictionary of the data.

    Raises:
        UserError: otherwise
    """
    outputs_of(head_of(task), "answers to questions", path, state)
    check_dictionaries(task, {"input0": task.source_dictionary}, path, state)


def head_of(task: TokenPredictionTask) -> str:
    return f"classification_heads.{task.HEAD}.out_proj.weight"


def outputs_of(head: str, what: str, path: Path, state: dict[str, Any]) -> int:
    """The outputs of a model's head; UserError if it has no such head."""
    if head not in state["model"] or embeddings_of(state) is None:
        raise UserError(f"{path} is not a checkpoint of a model that predicts {what}")
    return rows(state["model"][head])


def embeddings_of(state: dict[str, Any]) -> Tensor | None:
    """The embeddings of tokens in a checkpoint with one encoder."""
    model = state["model"]
    return next((model[name] for name in model if name.endswith("embed_tokens.weight")), None)


def check_dictionaries(
    task: Any, dictionaries: dict[str, Dictionary], path: Path, state: dict[str, Any]
) -> None:
    """Make sure that a checkpoint was trained with these dictionaries, by folder of the data."""
    size, data = rows(embeddings_of(state)), task.cfg.data
    if size != len(task.source_dictionary):
        raise UserError(
            f"{path} is of other data: it knows {size} types, {data}/input0/dict.txt makes "
            f"{len(task.source_dictionary)}"
        )
    trained_on = configuration(state, "task").get("data")
    for folder, dictionary in dictionaries.items():
        file = Path(str(trained_on), folder, "dict.txt")
        if file.is_file() and task.load_dictionary(str(file)) != dictionary:
            raise UserError(f"{path} is of other data: {file} is not {data}/{folder}/dict.txt")


def rows(matrix: Tensor) -> int:
    """The rows of what should be a matrix; a checkpoint may have a scalar in its place."""
    return matrix.size(0) if matrix.dim() else 0
