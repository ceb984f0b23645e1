"""The result of an evaluation, which ``intra-distill evaluate`` writes as a JSON file.

Each score has its signature, and the result holds all that is needed to reproduce it. What only
translation has is in records of their own, which are null for predictions.
"""

import sys
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Required, TypedDict, get_args, get_origin, get_type_hints, is_typeddict

from ...errors import UserError
from ...files import read_json, read_lines, sha256, write_json
from .metrics import (
    METRICS,
    TOKENIZERS,
    Answers,
    Classes,
    Kind,
    Measure,
    Numbers,
    OtherMeasure,
    Tags,
    Test,
    Text,
)

# what a result can be of: fairseq's tasks, and whether their labels are classes (None: can be)
HAS_CLASSES = {
    "translation": False,
    "sentence_prediction": None,
    "tagging": True,
    "span_prediction": False,
}

# default limit of a hypothesis: fairseq's 200 pieces or, if that is more, twice the source
PIECES, PIECES_FOR_EACH = 200, 2


@dataclass(frozen=True)
class TextRecord:
    """The text of a test set for translation.

    Its source is beside the result, so that metrics can read it that no library here computes.
    """

    source_lang: str
    target_lang: str
    lowercase: bool
    sentencepiece_text: str | None  # that prepare learnt the pieces from: train or all
    post_process: str  # how pieces become words, as fairseq's --post-process
    detokenizer: str | None  # what makes text of words, with its version; null if they are text
    source: str | None  # file beside the result; null if the source was not given as text
    source_sha256: str | None


@dataclass(frozen=True)
class TestSet:
    """What a model gets as its input, and the references that its output is scored against."""

    data: str
    subset: str
    dataset: str  # the language pair, such as de-en; of labelled text its name, or the language
    sentences: int  # or questions
    input_sha256: dict[str, str]  # of the binarised input, by file in data
    references: str  # file beside the result
    references_sha256: str
    text: TextRecord | None  # of a translation
    classes: tuple[str, ...] | None  # to predict; null for translations, numbers and answers

    def kind(self, task: str, tokenizer: str | None) -> Kind:
        """What is scored, with all that the metrics depend on.

        Args:
            task: as in :class:`Result`
            tokenizer: BLEU's, for a translation
        """
        if self.text:
            return Text(self.text.target_lang, self.text.lowercase, tokenizer)
        if task == "span_prediction":
            return Answers()
        if self.classes is None:
            return Numbers()
        return Tags(self.classes) if task == "tagging" else Classes(self.classes)


@dataclass(frozen=True)
class Checkpoint:
    """The model, and the cost of its training."""

    path: str
    sha256: str
    seed: int
    updates: int
    training_seconds: float | None  # None if the last checkpoint of the training cannot be read
    parameters: int
    num_passes: int  # K of the training; 1 for a task without passes


class Significance(TypedDict, total=False):
    """The tests of the differences from a baseline."""

    baseline: str
    baseline_system: str
    baseline_output_sha256: str
    baseline_scores_sha256: dict[str, str]  # of its segment scores, by metric
    tests: Required[dict[str, Test]]  # by metric


@dataclass(frozen=True)
class SegmentScores:
    """Scores of the single translations, which another program has made."""

    file: str  # beside the result: a number a line
    sha256: str
    higher_is_better: bool


@dataclass(frozen=True)
class SearchRecord:
    """The beam search that made a translation, and what became of its hypotheses."""

    beam: int
    lenpen: float
    max_len_a: float | None
    max_len_b: int | None
    cut_hypotheses: int  # how many reached the limit of length before the model ended them
    unknown_hypotheses: int  # how many have an <unk>
    nbest: int  # how many hypotheses of a sentence are beside the result; 1 for the output alone
    generator_arguments: list[str]

    @property
    def limit_of_length(self) -> str:
        """The length at which hypotheses are cut, in words."""
        if self.max_len_a is self.max_len_b is None:
            return f"{PIECES} pieces, or twice the source"
        a, b = self.max_len_a or 0, PIECES if self.max_len_b is None else self.max_len_b
        return f"{a:g} × source + {b} pieces" if a else f"{b} pieces"

    def __str__(self) -> str:
        return f"beam {self.beam}, length penalty {self.lenpen:g}"


@dataclass(frozen=True)
class Result:
    """The result of an evaluation: the content of its JSON file."""

    system: str
    overrides: list[str]  # of the configuration, in the system's name: GROUP.KEY=VALUE each
    task: str  # one of HAS_CLASSES: fairseq's --task, without _intra_distillation
    primary_metric: str  # the metric that is shown where only one fits
    scores: dict[str, float]  # by metric
    signatures: dict[str, str]  # by metric
    tokenizer: str | None  # BLEU's, as in sacreBLEU's --tokenize; null for predictions
    significance: Significance | None
    test_set: TestSet
    checkpoint: Checkpoint
    members: tuple[Checkpoint, ...]  # of an ensemble, which checkpoint describes as one model
    output: str  # the file beside the JSON file with the translations or the predictions
    output_sha256: str
    search: SearchRecord | None  # of a translation
    segment_scores: dict[str, SegmentScores]  # by metric, of those that are not computed here
    versions: dict[str, str]

    @property
    def dataset(self) -> str:
        return self.test_set.dataset

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are computed here."""
        return tuple(name for name in self.scores if name not in self.segment_scores)

    def measure(self, metric: str) -> Measure:
        """How a score is shown."""
        if metric in self.segment_scores:
            return OtherMeasure(metric, self.segment_scores[metric].higher_is_better)
        return METRICS[metric]

    @property
    def counted(self) -> str:
        """What the number of sentences of its test set counts, in words."""
        return "questions" if self.task == "span_prediction" else "sentences"

    @property
    def kind(self) -> Kind:
        """What is scored, with all that the metrics depend on."""
        return self.test_set.kind(self.task, self.tokenizer)


def read_result(path: Path) -> Result:
    """Read the result of an evaluation.

    Raises:
        UserError: there is no such file, or it differs from what evaluate writes: other fields or
            types, infinite numbers, control characters, several lines, files of other folders
    """
    not_a_result = f"{path} is not a result of intra-distill evaluate"
    if path.exists() and not path.is_file():
        raise UserError(not_a_result)
    try:
        content = read_json(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(not_a_result) from error
    if not fits(content, Result):
        raise UserError(not_a_result)
    result = build(content, Result)
    if contradiction := contradiction_in(result):
        raise UserError(f"{not_a_result}: {contradiction}")
    return result


def contradiction_in(result: Result) -> str:
    """What in a result contradicts the rest of it; empty if nothing does."""
    test_set = result.test_set
    by_metric = [result.signatures]
    if result.significance:
        by_metric.append(result.significance["tests"])
    if any(metrics.keys() != result.scores.keys() for metrics in by_metric):
        return "its scores and signatures are of different metrics"
    if unknown := set(result.metrics) - METRICS.keys():
        return f"{min(unknown)!r} is no metric"
    if wrong := result.segment_scores.keys() - (result.scores.keys() - METRICS.keys()):
        return f"{min(wrong)!r} is no score of another program's"
    if result.primary_metric not in result.metrics:
        return f"it has no {result.primary_metric}, its primary metric"
    text = test_set.text
    if text and test_set.dataset != f"{text.source_lang}-{text.target_lang}":
        return f"its dataset is {test_set.dataset}, not {text.source_lang}-{text.target_lang}"
    is_text = text is not None
    if len({is_text, result.search is not None, result.task == "translation"}) > 1:
        return "it is of a translation in one place and of predictions in another"
    if result.task not in HAS_CLASSES:
        return f"{result.task!r} is no task"
    if HAS_CLASSES[result.task] not in (None, test_set.classes is not None):
        return f"its classes are not those of {result.task}"
    if result.tokenizer not in (TOKENIZERS if is_text else [None]):
        return f"{result.tokenizer!r} is no tokeniser of sacreBLEU"
    if result.segment_scores and not is_text:
        return "it has scores of translations, but none"
    for metric in result.metrics:
        if obstacle := METRICS[metric].obstacle(result.kind):
            return obstacle
    parameters = sum(member.parameters for member in result.members)
    if result.members and (len(result.members) < 2 or parameters != result.checkpoint.parameters):
        return "its ensemble is not of the members that it has"
    if text and (text.source is None) != (text.source_sha256 is None):
        return "it has a source or its SHA-256, not both"
    source = [text.source] if text and text.source is not None else []
    scores = [scores.file for scores in result.segment_scores.values()]
    for name in (result.output, test_set.references, *source, *scores):
        if not name or Path(name).name != name:
            return f"{name!r} is no name of a file"
    return ""


# JSON and types


def fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value has a type, with finite numbers and text printable on one line."""
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind) or is_typeddict(kind):
        kinds = get_type_hints(kind)
        needed = getattr(kind, "__required_keys__", kinds.keys())
        return (
            isinstance(value, dict)
            and needed <= value.keys() <= kinds.keys()
            and all(fits(part, kinds[name]) for name, part in value.items())
        )
    if origin is dict:
        return isinstance(value, dict) and all(
            fits(name, str) and fits(part, parts[1]) for name, part in value.items()
        )
    if origin in (list, tuple):
        return isinstance(value, list) and all(fits(part, parts[0]) for part in value)
    if origin is UnionType:
        return any(fits(value, part) for part in parts)
    if kind is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    return type(value) is kind and (kind is not str or value.isprintable())


def build(value: Any, kind: Any) -> Any:
    """Make the dataclasses and the tuples of a type from a JSON value that fits it."""
    if is_dataclass(kind):
        kinds = get_type_hints(kind)
        return kind(**{name: build(part, kinds[name]) for name, part in value.items()})
    if get_origin(kind) is UnionType:
        return build(value, next(part for part in get_args(kind) if fits(value, part)))
    if get_origin(kind) is tuple:
        return tuple(build(part, get_args(kind)[0]) for part in value)
    if get_origin(kind) is dict:
        return {name: build(part, get_args(kind)[1]) for name, part in value.items()}
    return value


def write_result(path: Path, result: Result) -> None:
    """Write the JSON file of a result."""
    write_json(path, asdict(result))


# Comparable results


def why_incomparable(result: Result, test_set: TestSet, signatures: dict[str, str]) -> str:
    """Why the scores of a result are not comparable with others; empty if they are."""
    return why_other_test_set(result, test_set) or why_other_metrics(result, signatures)


def why_other_test_set(result: Result, test_set: TestSet) -> str:
    theirs = result.test_set
    if theirs.subset != test_set.subset:
        return f"its subset is {theirs.subset}, not {test_set.subset}"
    if theirs.references_sha256 != test_set.references_sha256:
        return f"its references, {theirs.references} of {theirs.data}, are different"
    return ""


def why_other_metrics(result: Result, signatures: dict[str, str]) -> str:
    """Which metric has another signature; empty if none. It may be missing on either side."""
    for metric in result.signatures.keys() & signatures.keys():
        if result.signatures[metric] != signatures[metric]:
            return f"its {metric} is {result.signatures[metric]}, not {signatures[metric]}"
    return ""


def read_references(path: Path, references_sha256: str) -> list[str]:
    """Read the references in a file; UserError if they are missing or changed.

    Args:
        path: the file
        references_sha256: its SHA-256 when it was scored against
    """
    if not path.is_file():
        raise UserError(f"the references {path} are not there")
    if sha256(path) != references_sha256:
        raise UserError(f"the references {path} are no longer what was scored against")
    return list(read_lines(path))


def read_output(directory: Path, result: Result) -> list[str]:
    """Read the output in a result's directory; UserError if it is missing or changed."""
    path = directory / result.output
    if not path.is_file():
        raise UserError(f"{path}, the output of {result.system}, is not there")
    if sha256(path) != result.output_sha256:
        raise UserError(f"{path} is no longer what was scored: evaluate {result.system} again")
    return list(read_lines(path))


def is_compared(result: Result, baseline: Result) -> bool:
    """Whether a result holds the comparison with the same output and scores of the baseline."""
    compared = result.significance or {}
    return compared.get("baseline_output_sha256") == baseline.output_sha256 and compared.get(
        "baseline_scores_sha256", {}
    ) == scores_sha256(baseline)


def scores_sha256(result: Result) -> dict[str, str]:
    """The SHA-256 of the segment scores of a result, by metric."""
    return {name: scores.sha256 for name, scores in result.segment_scores.items()}
