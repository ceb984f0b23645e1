"""The model card of an export: its ``README.md``, in the form that Hugging Face's hub reads.

What it says comes from the checkpoint, from the data directory and from the results of
``intra-distill evaluate``; nothing has to be filled in by hand but the licence.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from fairseq.models.transformer import TransformerModel
from fairseq.tasks.translation import TranslationConfig

from ...checkpoints import configuration
from ...tasks.translation_intra_distillation import TranslationIntraDistillationConfig
from ..preparation.normalization import WHITE_SPACE, remaining_white_space
from ..preparation.pieces import MODEL
from ..prepared import PreparedData, TextFormat
from ..reports.markdown import duration, escape, table_text
from ..scoring.results import PIECES, Checkpoint, Result
from ..scoring.search import Search

# the groups of a configuration whose settings a card names, all where there are no names
SETTINGS: dict[str, list[str] | None] = {
    "task": [
        field.name
        for field in fields(TranslationIntraDistillationConfig)
        if not hasattr(TranslationConfig, field.name) and "${" not in str(field.default)
    ],
    "criterion": None,
    "optimizer": None,
    "lr_scheduler": None,
    "optimization": ["lr", "max_update", "max_epoch", "clip_norm", "update_freq"],
    "dataset": ["max_tokens", "batch_size"],
}
USAGE = """\
import re

import ctranslate2
import sentencepiece

pieces = sentencepiece.SentencePieceProcessor(model_file="{model}")
text = [{line} for line in open("text.{source}", encoding="utf-8")]
source = [pieces.id_to_piece(pieces.encode(line)) for line in text]
found = ctranslate2.Translator(".").translate_batch(
    source, max_batch_size=64, {search}
)
print(*("".join(best.hypotheses[0]).replace("▁", " ").strip() for best in found), sep="\\n")
"""


@dataclass(frozen=True)
class Exported:
    """A model that is exported, and what is known of it.

    Attributes:
        system: its name.
        prepared: the data that it was trained on.
        types: in its vocabulary.
        checkpoint: the record of it.
        state: its content.
        results: of evaluations of the checkpoint.
        quantization: the type of the converted parameters.
        largest_difference: of a token's log probability from fairseq's, in nats.
        license: an identifier of Hugging Face's hub, if it is given.
        versions: of the packages that made the export.
        command: that makes it again.
    """

    system: str
    prepared: PreparedData
    types: int
    checkpoint: Checkpoint
    state: dict[str, Any]
    model: TransformerModel
    results: Sequence[Result]
    quantization: str
    largest_difference: float
    license: str | None
    versions: dict[str, str]
    command: Sequence[str]

    @property
    def text_format(self) -> TextFormat:
        return self.prepared.text_format

    @property
    def is_distilled(self) -> bool:
        """Whether it was trained with several passes."""
        return self.checkpoint.num_passes > 1


def model_card(exported: Exported) -> str:
    """The Markdown of a model card, with its front matter in YAML."""
    sections = [
        f"---\n{yaml.safe_dump(front_matter(exported), sort_keys=False, allow_unicode=True)}---",
        *introduction(exported),
        *usage(exported),
        *training(exported),
        *scores(exported.results),
        *commands(exported),
    ]
    return "\n\n".join(sections)


def front_matter(exported: Exported) -> dict[str, Any]:
    """What Hugging Face's hub reads of a card."""
    metrics = dict.fromkeys(metric for result in exported.results for metric in result.scores)
    content = {
        "language": list(exported.text_format.langs),
        "license": exported.license,
        "library_name": "ctranslate2",
        "pipeline_tag": "translation",
        "tags": [
            *("translation", "ctranslate2", "fairseq"),
            *(["intra-distillation"] if exported.is_distilled else []),
        ],
        "metrics": [metric.lower() for metric in metrics],
        "model-index": [
            {"name": exported.system, "results": [*map(index_entry, exported.results)]}
        ],
    }
    if not exported.results:
        del content["metrics"], content["model-index"]
    return {name: value for name, value in content.items() if value is not None}


def index_entry(result: Result) -> dict[str, Any]:
    """The scores of a test set, as the hub's index of models has them."""
    subset = result.test_set.subset
    return {
        "task": {"type": "translation"},
        "dataset": {"name": f"{subset} {result.dataset}", "type": subset},
        "metrics": [
            {"type": name.lower(), "name": name, "value": round(score, 2)}
            for name, score in result.scores.items()
        ],
    }


def introduction(exported: Exported) -> Iterator[str]:
    """What it is, in a heading and a paragraph."""
    source, target = exported.text_format.langs
    method = f"intra-distillation, K = {exported.checkpoint.num_passes}" * exported.is_distilled
    yield f"# {escape(exported.system)}: {source} → {target}"
    yield (
        f"A transformer that translates {source} into {target}, trained by fairseq"
        f"{method and f' with {method}'}, and converted to CTranslate2 ({exported.quantization}). "
        "The log probabilities of its tokens are up to "
        f"{exported.largest_difference:.2g} nats from fairseq's."
    )


def usage(exported: Exported) -> Iterator[str]:
    """The program that translates, with the text treated as in the training."""
    yield "## Translate"
    yield "In this folder, after `pip install ctranslate2 sentencepiece`:"
    yield f"```python\n{usage_code(exported.text_format, exported.results)}```"
    if exported.text_format.lowercase:
        yield "The model knows lower-cased text alone: its translations are lower-cased as well."


def usage_code(text_format: TextFormat, results: Sequence[Result]) -> str:
    """Python that prints the translation of each line of a file, by the search of the results."""
    search = results[0].search if results else None
    beam, lenpen = (search or Search).beam, (search or Search).lenpen
    longest = PIECES if search is None or search.max_len_b is None else search.max_len_b
    # what SentencePiece's rule leaves of white space, where fairseq splits a line
    is_left = remaining_white_space(text_format.normalization).match
    space = ascii(f"[{''.join(filter(is_left, WHITE_SPACE))}]").replace("'", '"')
    line = f're.sub({space}, " ", line)' + ".lower()" * text_format.lowercase
    penalty = "" if lenpen == 1 else f", length_penalty={lenpen:g}"
    return USAGE.format(
        model=MODEL,
        source=text_format.source_lang,
        line=line,
        search=f"beam_size={beam}{penalty}, max_decoding_length={longest}",
    )


def training(exported: Exported) -> Iterator[str]:
    """How it was trained, in a table."""
    yield "## Training"
    rows = [(name, escape(value)) for name, value in training_facts(exported) if value]
    yield table_text([("what", "value"), *rows]).replace("---:", "---")


def training_facts(exported: Exported) -> Iterator[tuple[str, str]]:
    """What is known of the training, by name; empty where nothing is."""
    checkpoint, text_format = exported.checkpoint, exported.text_format
    yield "system", exported.system
    yield "overrides", ", ".join(exported.results[0].overrides if exported.results else [])
    yield "architecture", architecture(exported.model)
    yield "parameters", f"{checkpoint.parameters:,}"
    yield "passes", f"K = {checkpoint.num_passes}"
    yield from settings(exported.state)
    yield "updates", f"{checkpoint.updates:,}"
    yield "seed", str(checkpoint.seed)
    seconds = checkpoint.training_seconds
    yield "training time", "" if seconds is None else duration(seconds)
    yield "case", "lower-cased" if text_format.lowercase else "as in the text"
    yield "normalisation", text_format.normalization
    learnt_from = exported.prepared.sentencepiece_text
    yield (
        "vocabulary",
        f"{exported.types:,} types, SentencePiece, learnt from {learnt_from} text, both languages",
    )
    for lang in text_format.langs:
        sha256 = exported.prepared.inputs.get(f"train.{lang}", "")
        yield f"training text, {lang}", sha256 and f"SHA-256 {sha256}"


def architecture(model: TransformerModel) -> str:
    """The size of a transformer, in words."""
    cfg = model.cfg
    parts = [
        f"{len(model.encoder.layers)} + {len(model.decoder.layers)} layers",
        f"width {cfg.encoder.embed_dim}",
        f"FFN {cfg.encoder.ffn_embed_dim}",
        f"{cfg.encoder.attention_heads} heads",
        f"dropout {cfg.dropout:g}",
        f"attention dropout {cfg.attention_dropout:g}",
        f"activation dropout {cfg.activation_dropout:g}",
        f"normalisation {'before' if cfg.encoder.normalize_before else 'after'} each sublayer",
    ]
    return "transformer: " + ", ".join(parts)


def settings(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The settings of a training that are not off, a group in each row."""
    for group, names in SETTINGS.items():
        values = configuration(state, group)
        component = [str(values["_name"])] if values.get("_name") else []
        names = values.keys() - {"_name", "lr"} if names is None else names
        chosen = (name for name in values if name in names and values[name])
        words = [*component, *(f"{name} {as_word(values[name])}" for name in chosen)]
        yield group.replace("_", " "), ", ".join(words)


def as_word(value: Any) -> str:
    """A setting in a line; of a list with one number that number."""
    return as_word(value[0]) if isinstance(value, list) and len(value) == 1 else str(value)


def scores(results: Sequence[Result]) -> Iterator[str]:
    """The scores with their signatures, and what they were compared with."""
    if not results:
        return
    yield "## Scores"
    yield (
        "Of fairseq's model, before it was converted, by beam search with "
        f"{' or '.join(dict.fromkeys(str(result.search) for result in results))}; p is the paired "
        "bootstrap against the baseline."
    )
    header = ("test set", "sentences", "metric", "score", "baseline", "p")
    yield table_text([header, *(row for result in results for row in score_rows(result))])
    signatures = dict.fromkeys(
        f"- {metric}: `{signature}`"
        for result in results
        for metric, signature in result.signatures.items()
    )
    yield "\n".join(signatures)


def score_rows(result: Result) -> Iterator[Sequence[str]]:
    """The row of each score of a result."""
    significance = result.significance or {"tests": {}}
    for metric, score in result.scores.items():
        test = significance["tests"].get(metric, {})
        p_value, baseline = test.get("p_value"), test.get("baseline")
        yield (
            escape(f"{result.test_set.subset} {result.dataset}"),
            str(result.test_set.sentences),
            result.measure(metric).heading,
            f"{score:.2f}",
            f"{baseline['mean']:.2f} ({escape(significance['baseline_system'])})"
            if baseline
            else "",
            "" if p_value is None else f"{p_value:.3f}",
        )


def commands(exported: Exported) -> Iterator[str]:
    """What made the scores and the export, and the versions."""
    lines = map(shlex.join, [*map(evaluation, exported.results), exported.command])
    versions: dict[str, str] = {}
    for each in [*(result.versions for result in exported.results), exported.versions]:
        versions |= each
    yield "## Commands and versions"
    yield "\n".join(["```bash", *lines, "```"])
    yield ", ".join(f"{name} {version}" for name, version in versions.items())


def evaluation(result: Result) -> list[str]:
    """The command line that makes the scores of a result again."""
    search = {
        f"--{option.replace('_', '-')}": getattr(result.search, option)
        for option in ("beam", "lenpen", "max_len_a", "max_len_b")
    }
    options = [(name, value) for name, value in search.items() if value is not None]
    return [
        *("intra-distill", "evaluate", result.test_set.data, "--path", result.checkpoint.path),
        *("--gen-subset", result.test_set.subset, "--results-path", "results"),
        *(f"{name}={value:g}" for name, value in options),
        *("--metrics", *result.metrics, "--tokenize", result.tokenizer),
    ]


def write_model_card(path: Path, exported: Exported) -> None:
    """Write a model card as UTF-8."""
    path.write_text(model_card(exported) + "\n", encoding="utf-8")
