"""Whether a checkpoint fits the data of a task: how :func:`..checkpoints.check_fits` tells."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq import utils
from fairseq.data import Dictionary
from fairseq.data.multilingual.multilingual_utils import EncoderLangtok, LangTokStyle
from fairseq.tasks.sentence_prediction import SentencePredictionTask
from fairseq.tasks.translation import TranslationTask
from fairseq.tasks.translation_multi_simple_epoch import TranslationMultiSimpleEpochTask
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
    if not trained_on:
        raise UserError(f"{path} is not a checkpoint of a translation model")
    langs = task.cfg["source_lang"], task.cfg["target_lang"]
    for side, key, lang in zip(("encoder", "decoder"), ("source_lang", "target_lang"), langs):
        their_lang = trained_on.get(key) or lang  # none where fairseq found it by itself
        if their_lang != lang:
            raise UserError(f"{path} is of other data: its {side} knows {their_lang}, not {lang}")
    check_sides(task, path, state, langs, task.cfg.data)


@dataclass(frozen=True)
class LanguageOptions:
    """The languages of a multilingual model, and where the tokens are that name them.

    The values are those of fairseq's options.
    """

    langs: tuple[str, ...]  # the order of their tokens in the dictionary
    lang_pairs: tuple[str, ...]
    encoder_langtok: str | None = None
    decoder_langtok: bool = False
    lang_tok_style: str = LangTokStyle.multilingual.value
    lang_tok_replacing_bos_eos: bool = False

    @property
    def arguments(self) -> list[str]:
        """The part of a command line of fairseq that sets them."""
        flags = ("decoder_langtok", "lang_tok_replacing_bos_eos")
        return [
            *("--langs", ",".join(self.langs)),
            *("--lang-pairs", ",".join(self.lang_pairs)),
            *("--lang-tok-style", self.lang_tok_style),
            *(["--encoder-langtok", self.encoder_langtok] if self.encoder_langtok else []),
            *(f"--{flag.replace('_', '-')}" for flag in flags if getattr(self, flag)),
        ]


def language_options(path: Path, state: dict[str, Any]) -> LanguageOptions:
    """Read the languages of a checkpoint of fairseq's ``translation_multi_simple_epoch``.

    Raises:
        UserError: it is of another task, or has tokens of languages for several kinds of data
    """
    trained_on = configuration(state, "task")
    pairs = trained_on.get("lang_pairs")
    if not isinstance(pairs, list) or not all(
        isinstance(pair, str) and re.fullmatch(r"\w+-\w+", pair) for pair in pairs
    ):
        raise UserError(f"{path} is not a checkpoint of a model of several language pairs")
    langs = trained_on.get("langs") or sorted({lang for pair in pairs for lang in pair.split("-")})
    options = LanguageOptions(
        langs=tuple(map(str, langs)),
        lang_pairs=tuple(pairs),
        encoder_langtok=trained_on.get("encoder_langtok"),
        decoder_langtok=bool(trained_on.get("decoder_langtok")),
        lang_tok_style=str(trained_on.get("lang_tok_style")),
        lang_tok_replacing_bos_eos=bool(trained_on.get("lang_tok_replacing_bos_eos")),
    )
    langtoks = {"main": (options.encoder_langtok, "tgt" if options.decoder_langtok else None)}
    if (
        trained_on.get("lang_dict") is not None
        or (trained_on.get("langtoks") or langtoks) != langtoks
        or options.encoder_langtok not in (None, *(each.value for each in EncoderLangtok))
        or options.lang_tok_style not in [each.value for each in LangTokStyle]
        or not all(re.fullmatch(r"\w+", lang) for lang in options.langs)
    ):
        raise UserError(
            f"{path} cannot be evaluated here: it was trained with --lang-dict or --langtoks. "
            "Use fairseq-generate"
        )
    return options


@check_fits.register
def check_multilingual_fits(
    task: TranslationMultiSimpleEpochTask, path: Path, state: dict[str, Any]
) -> None:
    """Make sure that a checkpoint's model has the dictionaries of the data.

    The symbols are read as in :func:`check_translation_fits`; the tokens of languages are among
    the types that are counted.

    Raises:
        UserError: otherwise, and for what is no multilingual translation model
    """
    language_options(path, state)
    check_sides(task, path, state, (task.args.source_lang, task.args.target_lang), task.args.data)


def check_sides(
    task: Any, path: Path, state: dict[str, Any], langs: tuple[str, str], data: str
) -> None:
    """Make sure that encoder and decoder have the dictionaries of their languages."""
    trained_on = configuration(state, "task")
    dictionaries = {"encoder": task.source_dictionary, "decoder": task.target_dictionary}
    matrices = [state["model"].get(f"{side}.embed_tokens.weight") for side in dictionaries]
    if any(matrix is None for matrix in matrices):
        raise UserError(f"{path} is not a checkpoint of a translation model")
    for (side, dictionary), matrix, lang in zip(dictionaries.items(), matrices, langs, strict=True):
        file = f"dict.{lang}.txt"
        name = f"{utils.split_paths(data)[0]}/{file}"
        if rows(matrix) != len(dictionary):
            raise UserError(
                f"{path} is of other data: its {side} knows {rows(matrix)} types, "
                f"{name} makes {len(dictionary)}"
            )
        theirs = Path(utils.split_paths(str(trained_on["data"]))[0], file)
        if theirs.is_file() and not starts_with(dictionary, task.load_dictionary(str(theirs))):
            raise UserError(f"{path} is of other data: {theirs} is not {name}")


def starts_with(dictionary: Dictionary, other: Dictionary) -> bool:
    """Whether a dictionary has the symbols of another, and perhaps tokens of languages after."""
    return dictionary.symbols[: len(other)] == other.symbols


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
