"""The evaluation of a checkpoint: its output, the scores, the comparison with a baseline."""

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import fairseq
import torch

from ... import __version__
from ...errors import UserError
from ...files import sha256, write_lines, written_whole
from ..config import System
from ..labelled import is_labelled, open_labelled
from ..options import make_directory
from ..prepared import is_multilingual
from .comparison import significance
from .evaluator import Evaluator, Inference, OpenModel, Output
from .metrics import Scorer, build_scorers, scores_of, signatures_of
from .multilingual import MultilingualTranslations
from .predictions import Predictions
from .preprocessed import GivenText, PreprocessedTranslations
from .questions import Questions
from .results import (
    Result,
    TestSet,
    is_compared,
    read_output,
    read_result,
    why_incomparable,
    write_result,
)
from .search import Search
from .segment_scores import (
    GivenScores,
    ReadScores,
    segment_signatures,
    with_kept_scores,
    with_scores,
)
from .sentences import Sentences
from .translations import PreparedTranslations
from .words import Words

OF_FORM: dict[str, type[Predictions]] = {
    "sentences": Sentences,
    "words": Words,
    "questions": Questions,
}


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate and how: the options of ``intra-distill evaluate``.

    ``subsets`` defaults to those that the kind of data has for it. The first of ``metrics`` is
    the primary one. The default is the metrics of a stored result that is reused, or those of the
    data. ``search``, ``tokenizer``, which is BLEU's, and ``scores`` of other programs are of
    translation alone, ``given_text`` of data that fairseq-preprocess made. ``baseline`` is a
    result, or the folder with one for each subset.
    """

    data: Path
    checkpoint: Path
    results_path: Path
    subsets: tuple[str, ...] = ()
    search: Search | None = None
    inference: Inference = Inference()
    metrics: tuple[str, ...] = ()
    tokenizer: str | None = None
    scores: tuple[GivenScores, ...] = ()
    given_text: GivenText | None = None
    baseline: Path | None = None
    name: str | None = None
    ensemble: tuple[Path, ...] = ()  # the other checkpoints that translate with the first

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        return (self.checkpoint, *self.ensemble)

    @property
    def system(self) -> str:
        """The name of the system: by default the checkpoints' folders."""
        return self.name or " & ".join(path.absolute().parent.name for path in self.checkpoints)

    def check(self) -> None:
        """Raise UserError for options that can never work."""
        if self.name is not None and not self.name.strip():
            raise UserError("--name is blank: leave it out for the name of the checkpoint's folder")
        for path in self.checkpoints:
            check_checkpoint(path)
        for given in self.scores:
            given.check()


@dataclass(frozen=True)
class Scoring:
    """A test set and the scorers that hold its references."""

    test_set: TestSet
    tokenizer: str | None  # BLEU's, for a translation
    scorers: dict[str, Scorer]  # by metric, the primary one first

    @property
    def signatures(self) -> dict[str, str]:
        return signatures_of(self.scorers)


def open_evaluator(
    data: Path,
    inference: Inference,
    search: Search | None = None,
    tokenizer: str | None = None,
    given_text: GivenText | None = None,
) -> Evaluator:
    """Open a data directory of any kind.

    Args:
        data: the directory
        inference: how models are run
        search: of translation; None for the default
        tokenizer: BLEU's, of translation; None for that of the target language
        given_text: of data that fairseq-preprocess made
    Raises:
        UserError: an option is out of range, the directory is of no kind, or it has labelled
            text and options are of translation
    """
    inference.check()
    if search:
        search.check()
    if given_text:
        return PreprocessedTranslations(data, search or Search(), inference, tokenizer, given_text)
    if is_multilingual(data):
        return MultilingualTranslations(data, search or Search(), inference, tokenizer)
    if not is_labelled(data):
        return PreparedTranslations(data, search or Search(), inference, tokenizer)
    if search or tokenizer:
        raise UserError(
            f"{data} has labelled text, which no search translates: leave out --beam, "
            "--lenpen, --max-len-a, --max-len-b, --nbest and --tokenize"
        )
    labelled = open_labelled(data)
    return OF_FORM[labelled.form](labelled, inference)


def open_scoring(evaluator: Evaluator, subset: str, metrics: tuple[str, ...]) -> Scoring:
    """Build the scorers of a subset, by default in the metrics of the data.

    Raises:
        UserError: there is no such subset, it has no labels, or a metric is not of their kind
    """
    opened = evaluator.open_test_set(subset)
    if opened is None:
        raise UserError(f"{evaluator.data}: {subset} has no labels to score")
    return scoring_of(evaluator, *opened, metrics)


def scoring_of(
    evaluator: Evaluator, test_set: TestSet, references: list[str], metrics: tuple[str, ...]
) -> Scoring:
    tokenizer = evaluator.tokenizer_of(test_set)
    kind = test_set.kind(evaluator.TASK, tokenizer)
    scorers = build_scorers(metrics or evaluator.default_metrics, kind, references)
    return Scoring(test_set, tokenizer, scorers)


# The evaluation


def evaluate(
    evaluation: Evaluation, report: Callable[[Result], None] = lambda _: None
) -> list[Result]:
    """Run a checkpoint on subsets, score and compare; write the results and return them.

    All subsets are checked before the first is run. A result is written as soon as it is there, so
    that an evaluation which is stopped goes on from there: a stored result of the same checkpoint,
    test set and search is reused, its output always, its scores if the metrics are the same. Of a
    subset without labels the predictions are written, and there is no result.

    Args:
        evaluation: what is asked for
        report: is called with each result once it is written
    Raises:
        UserError: the options, the data, the checkpoint or the baseline do not fit
    """
    evaluation.check()
    evaluator = open_evaluator(
        evaluation.data,
        evaluation.inference,
        evaluation.search,
        evaluation.tokenizer,
        evaluation.given_text,
    )
    subsets = tuple(dict.fromkeys(evaluation.subsets)) or evaluator.default_subsets
    if len(subsets) > 1 and evaluation.baseline and evaluation.baseline.is_file():
        raise UserError(
            f"--baseline {evaluation.baseline} is of one of the subsets {', '.join(subsets)}: give "
            "the folder that has a result of each"
        )
    for option, given in (("--score", evaluation.scores), ("--references", evaluation.given_text)):
        if len(subsets) > 1 and given:
            raise UserError(f"{option} is of one of the subsets {', '.join(subsets)}: name it")
    checkpoint = evaluator.open(*evaluation.checkpoints)
    steps = [plan(evaluation, evaluator, checkpoint, subset) for subset in subsets]
    for step in steps:
        step.check()
    results = []
    for step in steps:
        if result := step.take():
            report(result)
            results.append(result)
    return results


def plan(
    evaluation: Evaluation,
    evaluator: Evaluator,
    checkpoint: OpenModel,
    subset: str,
) -> "Scored | Unscored":
    """Accept the evaluation of a subset, or raise UserError where files or options do not fit.

    The checkpoint is hashed at most, not read.
    """
    opened = evaluator.open_test_set(subset)
    if evaluation.scores and not (opened and opened[0].text):
        raise UserError(f"--score: {evaluator.data} has no translations: leave it out")
    if opened is None:
        return Unscored(evaluator, checkpoint, subset, evaluation.results_path)
    path = evaluation.results_path / f"{subset}.json"
    stored = read_result(path) if path.exists() else None
    is_current = (
        stored is not None
        and is_output_of(stored, evaluation.results_path, evaluator, opened[0])
        and stored.checkpoint.sha256 == checkpoint.sha256
    )
    metrics = evaluation.metrics or (stored.metrics if is_current else ())
    scoring = scoring_of(evaluator, *opened, metrics)
    if evaluation.scores and not is_current:
        raise UserError(
            f"--score is of translations that are not there: evaluate without it, score "
            f"{evaluation.results_path / evaluator.output_name(subset)}, then give the scores"
        )
    given = [scores.read(stored, evaluation.results_path) for scores in evaluation.scores]
    signatures = {
        **scoring.signatures,
        **(segment_signatures(stored) if is_current else {}),
        **{scores.name: scores.signature for scores in given},
    }
    baseline_path = evaluation.baseline
    if baseline_path and baseline_path.is_dir():
        baseline_path /= f"{subset}.json"
    return Scored(
        evaluator=evaluator,
        system=evaluation.system,
        scoring=scoring,
        path=path,
        stored=stored,
        baseline_path=baseline_path,
        given=given,
        baseline=baseline_path and read_baseline(baseline_path, scoring.test_set, signatures),
        checkpoint=None if is_current else checkpoint,
    )


@dataclass(frozen=True)
class Unscored:
    """The evaluation of a subset without labels: its predictions alone."""

    evaluator: Evaluator
    checkpoint: OpenModel
    subset: str
    results_path: Path

    def check(self) -> None:
        """Raise UserError if the checkpoint cannot be run on the subset."""
        refuse_misfits(self.evaluator, self.checkpoint, self.subset)

    def take(self) -> None:
        """Run the model, and write its output."""
        _, path = write_output(self.evaluator, self.checkpoint, self.subset, self.results_path)
        print(f"{path}: {self.subset} has no labels, so there are no scores")


@dataclass(frozen=True)
class Scored:
    """The evaluation of a subset with references."""

    evaluator: Evaluator
    system: str
    scoring: Scoring
    path: Path  # of the result
    stored: Result | None  # what is there
    given: list[ReadScores]  # for the translations that are there
    baseline_path: Path | None
    baseline: Result | None
    checkpoint: OpenModel | None  # to run; None if the stored result's output is reused

    def check(self) -> None:
        """Raise UserError if the checkpoint is to run on the subset, and cannot be."""
        if self.checkpoint:
            refuse_misfits(self.evaluator, self.checkpoint, self.scoring.test_set.subset)

    def take(self) -> Result:
        """Run the model unless its output is stored, score, compare and write."""
        result = self._run() if self.checkpoint else self._reuse()
        result = self._with_scores(result)
        if self.baseline and not is_compared(result, self.baseline):
            result = self._compare(result)
        if result != self.stored:
            write_result(self.path, result)
        return result

    def _run(self) -> Result:
        return make_result(
            self.checkpoint, self.system, self.evaluator, self.scoring, self.path.parent
        )

    def _reuse(self) -> Result:
        done = self.evaluator.DONE
        print(f"{self.path} is of this checkpoint and these settings: not {done} again")
        put_text(self.evaluator, self.scoring.test_set, self.path.parent)
        result = replace(self.stored, **named(self.system))
        signatures = {metric: result.signatures[metric] for metric in result.metrics}
        if list(signatures.items()) != list(self.scoring.signatures.items()):
            result = score_again(result, self.path.parent, self.scoring)
        return result

    def _with_scores(self, result: Result) -> Result:
        """Add segment scores: those of the same translations that were there, and the given."""
        if self.stored and self.stored.segment_scores:
            if result.output_sha256 == self.stored.output_sha256:
                result = with_kept_scores(result, self.stored)
            else:
                names = ", ".join(self.stored.segment_scores)
                print(f"{names} is left out, which is of other translations: score these")
        for scores in self.given:
            result = with_scores(result, scores, self.path.parent)
        return result

    def _compare(self, result: Result) -> Result:
        compared = significance(
            self.path, result, self.baseline_path, self.baseline, self.scoring.scorers
        )
        return replace(result, significance=compared)


def refuse_misfits(evaluator: Evaluator, checkpoint: OpenModel, subset: str) -> None:
    """Raise UserError if a model of an ensemble cannot be run on a subset."""
    for member in checkpoint.members:
        evaluator.refuse_misfit(member, subset)


def write_output(
    evaluator: Evaluator,
    checkpoint: OpenModel,
    subset: str,
    results_path: Path,
) -> tuple[Output, Path]:
    """Run a model on a subset, and write its output to a file, which is returned as well."""
    make_directory(results_path)
    output = evaluator.run(checkpoint, subset)
    path = results_path / evaluator.output_name(subset)
    write_lines(path, output.lines)
    if name := evaluator.nbest_name(subset):
        (results_path / name).unlink(missing_ok=True)  # of an earlier output
        if output.nbest:
            write_lines(results_path / name, output.nbest)
    return output, path


def put_text(evaluator: Evaluator, test_set: TestSet, results_path: Path) -> None:
    """Put the text of a test set beside its result, unless it is there."""
    for name, source in evaluator.text_files(test_set).items():
        copy = results_path / name
        if not copy.is_file() or sha256(copy) != sha256(source):
            with written_whole(copy) as temporary:
                shutil.copyfile(source, temporary)


def make_result(
    checkpoint: OpenModel,
    system: str,
    evaluator: Evaluator,
    scoring: Scoring,
    results_path: Path,
) -> Result:
    """Run a model on a test set, score it, and write output and text to ``results_path``."""
    test_set = scoring.test_set
    members = tuple(member.record for member in checkpoint.members)
    output, path = write_output(evaluator, checkpoint, test_set.subset, results_path)
    put_text(evaluator, test_set, results_path)
    return Result(
        **named(system),
        task=evaluator.TASK,
        primary_metric=next(iter(scoring.scorers)),
        scores=scores_of(scoring.scorers, output.lines),
        signatures=scoring.signatures,
        tokenizer=scoring.tokenizer,
        significance=None,
        test_set=test_set,
        checkpoint=checkpoint.record,
        members=members if len(members) > 1 else (),
        output=path.name,
        output_sha256=sha256(path),
        search=output.search,
        segment_scores={},
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "fairseq": fairseq.__version__,
            **{name: metadata.version(name) for name in evaluator.PACKAGES},
            "intra_distill": __version__,
        },
    )


def score_again(result: Result, results_path: Path, scoring: Scoring) -> Result:
    """Score the stored output of a result in other metrics."""
    return replace(
        result,
        primary_metric=next(iter(scoring.scorers)),
        scores=scores_of(scoring.scorers, read_output(results_path, result)),
        signatures=scoring.signatures,
        tokenizer=scoring.tokenizer,
        significance=None,
        segment_scores={},
        versions={**result.versions, "sacrebleu": metadata.version("sacrebleu")},
    )


def named(system: str) -> dict[str, str | list[str]]:
    """The fields of a result that name its system: the name, and the overrides in it."""
    return {"system": system, "overrides": list(System.of(system).overrides)}


def check_checkpoint(path: Path) -> None:
    """Raise UserError unless the file exists."""
    if not path.is_file():
        raise UserError(f"--path {path}: there is no such checkpoint")


def read_baseline(path: Path, test_set: TestSet, signatures: dict[str, str]) -> Result:
    """Read the result of a baseline, and raise UserError if it is not comparable."""
    baseline = read_result(path)
    obstacle = why_incomparable(baseline, test_set, signatures)
    if obstacle:
        raise UserError(f"--baseline {path} cannot be compared with: {obstacle}")
    read_output(path.parent, baseline)
    return baseline


def is_output_of(
    result: Result, results_path: Path, evaluator: Evaluator, test_set: TestSet
) -> bool:
    """Whether a result is of this test set and these options, and its output is still on disk."""
    path = results_path / result.output
    return (
        result.test_set == test_set
        and evaluator.has_made(result, results_path)
        and path.is_file()
        and result.output_sha256 == sha256(path)
    )
