"""The evaluation of a checkpoint: translate, score, compare with a baseline, write the result."""

import platform
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import fairseq
import torch

from ... import __version__
from ...errors import UserError
from ...files import sha256, write_lines
from ..config import System
from ..options import make_directory
from .inputs import inspect_checkpoint, open_test_set
from .metrics import (
    DEFAULT_METRICS,
    Scorer,
    build_scorers,
    compare,
    default_tokenizer,
    scores_of,
    signatures_of,
)
from .results import (
    Result,
    TestSet,
    is_compared,
    read_hypotheses,
    read_result,
    why_incomparable,
    write_result,
)
from .search import Search, generator_arguments, generator_config, translate


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate and how: the options of ``intra-distill evaluate``.

    The first of ``metrics`` is the primary one. The default is the metrics of a stored result that
    is reused, or :data:`~.metrics.DEFAULT_METRICS`. ``tokenizer`` is BLEU's and defaults to that
    of the target language.
    """

    data: Path
    checkpoint: Path
    results_path: Path
    search: Search = Search()
    metrics: tuple[str, ...] = ()
    tokenizer: str | None = None
    baseline: Path | None = None
    name: str | None = None

    @property
    def system(self) -> str:
        """The name of the system: by default the checkpoint's folder."""
        return self.name or self.checkpoint.absolute().parent.name

    def check(self) -> None:
        """Raise UserError for options that can never work."""
        self.search.check()
        if self.name is not None and not self.name.strip():
            raise UserError("--name is blank: leave it out for the name of the checkpoint's folder")
        check_checkpoint(self.checkpoint)


@dataclass(frozen=True)
class Scoring:
    """A test set and the scorers that hold its references."""

    test_set: TestSet
    tokenizer: str  # of BLEU
    scorers: dict[str, Scorer]  # by metric, the primary one first

    @classmethod
    def of(
        cls,
        test_set: TestSet,
        references: list[str],
        metrics: tuple[str, ...] = (),
        tokenizer: str | None = None,
    ) -> "Scoring":
        """Build the scorers; the tokeniser defaults to that of the target language."""
        tokenizer = tokenizer or default_tokenizer(test_set.target_lang)
        text = test_set.text(tokenizer)
        return cls(test_set, tokenizer, build_scorers(metrics or DEFAULT_METRICS, text, references))

    @property
    def signatures(self) -> dict[str, str]:
        return signatures_of(self.scorers)


def evaluate(evaluation: Evaluation) -> Result:
    """Translate, score and, with a baseline, compare; write the result and return it.

    A stored result of the same checkpoint, test set and search is reused: its translations always,
    its scores if the metrics are the same.

    Raises:
        UserError: the options, the data, the checkpoint or the baseline do not fit
    """
    evaluation.check()
    subset = evaluation.search.subset
    test_set, references = open_test_set(evaluation.data, subset)
    result_path = evaluation.results_path / f"{subset}.json"
    stored = read_result(result_path) if result_path.exists() else None
    is_current = (
        stored is not None
        and is_translated(stored, evaluation.results_path, evaluation.search, test_set)
        and stored.checkpoint.sha256 == sha256(evaluation.checkpoint)
    )
    metrics = evaluation.metrics or (tuple(stored.scores) if is_current else ())
    scoring = Scoring.of(test_set, references, metrics, evaluation.tokenizer)
    baseline = evaluation.baseline and read_baseline(evaluation.baseline, scoring)

    if is_current:
        print(f"{result_path} is of this checkpoint and these settings: not translated again")
        result = replace(stored, **named(evaluation.system))
        if list(result.signatures.items()) != list(scoring.signatures.items()):
            result = score_again(result, evaluation.results_path, scoring)
    else:
        result = translate_and_score(
            evaluation.checkpoint,
            evaluation.system,
            evaluation.data,
            evaluation.search,
            scoring,
            evaluation.results_path,
        )
    if baseline and not is_compared(result, baseline):
        hypotheses = read_hypotheses(evaluation.results_path, result)
        other_hypotheses = read_hypotheses(evaluation.baseline.parent, baseline)
        result = replace(
            result,
            significance={
                "baseline": str(evaluation.baseline),
                "baseline_system": baseline.system,
                "baseline_hypotheses_sha256": baseline.hypotheses_sha256,
                "tests": compare(hypotheses, other_hypotheses, scoring.scorers),
            },
        )
    if result != stored:
        write_result(result_path, result)
    return result


def translate_and_score(
    checkpoint: Path, system: str, data: Path, search: Search, scoring: Scoring, results_path: Path
) -> Result:
    """Translate the test set, write the hypotheses to ``results_path`` and score them."""
    test_set = scoring.test_set
    arguments = generator_arguments(search, data, checkpoint, test_set.langs)
    cfg = generator_config(arguments)
    inspected = inspect_checkpoint(checkpoint, cfg, test_set)
    hypotheses_path = results_path / f"{test_set.subset}.hyp.{test_set.target_lang}"
    make_directory(results_path)

    translation = translate(cfg, test_set.sentences, search.has_default_limit)
    write_lines(hypotheses_path, translation.hypotheses)
    return Result(
        **named(system),
        task="translation",
        dataset=test_set.dataset,
        primary_metric=next(iter(scoring.scorers)),
        scores=scores_of(scoring.scorers, translation.hypotheses),
        signatures=scoring.signatures,
        tokenizer=scoring.tokenizer,
        significance=None,
        test_set=test_set,
        checkpoint=inspected,
        beam=search.beam,
        lenpen=search.lenpen,
        max_len_a=search.max_len_a,
        max_len_b=search.max_len_b,
        hypotheses=hypotheses_path.name,
        hypotheses_sha256=sha256(hypotheses_path),
        cut_hypotheses=translation.cut,
        unknown_hypotheses=translation.unknown,
        generator_arguments=arguments,
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "fairseq": fairseq.__version__,
            "sacrebleu": metadata.version("sacrebleu"),
            "sentencepiece": metadata.version("sentencepiece"),
            "intra_distill": __version__,
        },
    )


def score_again(result: Result, results_path: Path, scoring: Scoring) -> Result:
    """Score the stored hypotheses of a result in other metrics."""
    return replace(
        result,
        primary_metric=next(iter(scoring.scorers)),
        scores=scores_of(scoring.scorers, read_hypotheses(results_path, result)),
        signatures=scoring.signatures,
        tokenizer=scoring.tokenizer,
        significance=None,
        versions={**result.versions, "sacrebleu": metadata.version("sacrebleu")},
    )


def named(system: str) -> dict[str, str | list[str]]:
    """The fields of a result that name its system: the name, and the overrides in it."""
    return {"system": system, "overrides": list(System.of(system).overrides)}


def check_checkpoint(path: Path) -> None:
    """Raise UserError unless the file exists."""
    if not path.is_file():
        raise UserError(f"--path {path}: there is no such checkpoint")


def read_baseline(path: Path, scoring: Scoring) -> Result:
    """Read the result of a baseline, and raise UserError if it is not comparable."""
    baseline = read_result(path)
    obstacle = why_incomparable(baseline, scoring.test_set, scoring.signatures)
    if obstacle:
        raise UserError(f"--baseline {path} cannot be compared with: {obstacle}")
    read_hypotheses(path.parent, baseline)
    return baseline


def is_translated(result: Result, results_path: Path, search: Search, test_set: TestSet) -> bool:
    """Whether a result has this search and test set, and its hypotheses are still on disk."""
    hypotheses_path = results_path / result.hypotheses
    return (
        result.test_set == test_set
        and all(
            getattr(result, name) == getattr(search, name)
            for name in ("beam", "lenpen", "max_len_a", "max_len_b")
        )
        and hypotheses_path.is_file()
        and result.hypotheses_sha256 == sha256(hypotheses_path)
    )
