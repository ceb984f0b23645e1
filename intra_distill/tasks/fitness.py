"""Whether a checkpoint fits the data of a task: how :func:`..checkpoints.check_fits` tells."""

from pathlib import Path
from typing import Any

from fairseq import utils
from fairseq.tasks.translation import TranslationTask

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
    for side, lang_key, dictionary in (
        ("encoder", "source_lang", task.source_dictionary),
        ("decoder", "target_lang", task.target_dictionary),
    ):
        embeddings = state["model"].get(f"{side}.embed_tokens.weight")
        if embeddings is None or not trained_on:
            raise UserError(f"{path} is not a checkpoint of a translation model")
        lang = task.cfg[lang_key]
        their_lang = trained_on.get(lang_key) or lang  # none where fairseq found it by itself
        if their_lang != lang:
            raise UserError(f"{path} is of other data: its {side} knows {their_lang}, not {lang}")
        name = f"{utils.split_paths(task.cfg.data)[0]}/dict.{lang}.txt"
        if len(embeddings) != len(dictionary):
            raise UserError(
                f"{path} is of other data: its {side} knows {len(embeddings)} types, "
                f"{name} makes {len(dictionary)}"
            )
        theirs = Path(utils.split_paths(trained_on["data"])[0], f"dict.{lang}.txt")
        if theirs.is_file() and task.load_dictionary(str(theirs)) != dictionary:
            raise UserError(f"{path} is of other data: {theirs} is not {name}")
