"""Whether a checkpoint fits the data of a task: how :func:`..checkpoints.check_fits` tells."""

from pathlib import Path
from typing import Any

from fairseq import utils
from fairseq.tasks.sentence_prediction import SentencePredictionTask
from fairseq.tasks.translation import TranslationTask
from torch import Tensor

from ..checkpoints import check_fits, configuration
from ..errors import UserError


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
    embeddings = next(
        (state["model"][name] for name in state["model"] if name.endswith("embed_tokens.weight")),
        None,
    )
    if head not in state["model"] or embeddings is None:
        raise UserError(f"{path} is not a checkpoint of a model that predicts labels of sentences")
    is_regression, outputs = bool(trained_on.get("regression_target")), rows(state["model"][head])
    theirs = "numbers" if is_regression else f"{outputs} classes"
    cfg = task.cfg
    ours = "numbers" if cfg.regression_target else f"{cfg.num_classes} classes"
    if theirs != ours:
        raise UserError(f"{path} is of other data: it predicts {theirs}, {cfg.data} has {ours}")
    if rows(embeddings) != len(task.source_dictionary):
        raise UserError(
            f"{path} is of other data: it knows {rows(embeddings)} types, "
            f"{cfg.data}/input0/dict.txt makes {len(task.source_dictionary)}"
        )
    dictionaries = {"input0": task.source_dictionary}
    if not cfg.regression_target:
        dictionaries["label"] = task.label_dictionary
    for folder, dictionary in dictionaries.items():
        file = Path(str(trained_on.get("data")), folder, "dict.txt")
        if file.is_file() and task.load_dictionary(str(file)) != dictionary:
            raise UserError(f"{path} is of other data: {file} is not {cfg.data}/{folder}/dict.txt")


def rows(matrix: Tensor) -> int:
    """The rows of what should be a matrix; a checkpoint may have a scalar in its place."""
    return matrix.size(0) if matrix.dim() else 0
