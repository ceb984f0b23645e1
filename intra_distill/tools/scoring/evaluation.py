"""An evaluation: translate, score, compare with a baseline, and keep the result."""

import platform
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import fairseq
import torch
from sacrebleu.metrics.base import Metric

from ... import __version__
from ...errors import UserError
from ...files import sha256, write_lines
from ..options import MAX_TOKENS, check_number, make_directory
from .inputs import inspect_checkpoint, open_test_set
from .metrics import build_metrics, compare, default_tokenizer, scores_of, signatures_of
from .results import (
    Result,
    TestSet,
    is_compared,
    read_hypotheses,
    read_result,
    why_incomparable,
    write_result,
)
from .search import MAX_BEAM, MAX_LEN, MAX_LENPEN, generator_arguments, generator_config, translate


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate and how: the options of the command.

    ``max_len_a`` and ``max_len_b`` bound a hypothesis as in fairseq: it has at most a · x + b
    pieces, where x is the number of pieces of the longest source in its batch. Without both it has
    at most the larger of 200 and 2 · x. ``tokenizer`` is BLEU's, by default that of the language.
    ``max_tokens`` bounds a batch, in tokens of its longer side, padding included.
    """

    data: Path
    checkpoint: Path
    results_path: Path
    subset: str = "test"
    beam: int = 5
    lenpen: float = 1.0
    max_len_a: float | None = None
    max_len_b: int | None = None
    tokenizer: str | None = None
    max_tokens: int = 4096
    baseline: Path | None = None
    name: str | None = None
    cpu: bool = False

    @property
    def system(self) -> str:
        """The name of the system: by default the checkpoint's folder."""
        return self.name or self.checkpoint.absolute().parent.name


def evaluate(evaluation: Evaluation) -> Result:
    """Translate, score and, with a baseline, compare; write the result and return it.

    Where ``results_path`` holds a result of the same checkpoint, test set, search and metrics,
    its translations and scores are taken.

    Raises:
        UserError: an option, the data, the checkpoint or the baseline do not fit.
    """
    check_options(evaluation)
    test_set, references = open_test_set(evaluation.data, evaluation.subset)
    evaluation = with_tokenizer(evaluation, test_set)
    metrics = build_metrics(references, evaluation.tokenizer, test_set.lowercase)
    signatures = signatures_of(metrics)
    baseline = evaluation.baseline and read_baseline(evaluation.baseline, test_set, signatures)
    result_path = evaluation.results_path / f"{evaluation.subset}.json"
    stored = read_result(result_path) if result_path.exists() else None

    if (
        stored
        and is_translated(stored, evaluation, test_set)
        and stored.checkpoint.sha256 == sha256(evaluation.checkpoint)
    ):
        print(f"{result_path} is of this checkpoint and these settings: not translated again")
        result = replace(stored, system=evaluation.system)
        if result.signatures != signatures:
            result = score_again(result, evaluation, metrics)
    else:
        result = translate_and_score(evaluation, test_set, metrics)
    if baseline and not is_compared(result, baseline):
        hypotheses = read_hypotheses(evaluation.results_path, result)
        other_hypotheses = read_hypotheses(evaluation.baseline.parent, baseline)
        result = replace(
            result,
            significance={
                "baseline": str(evaluation.baseline),
                "baseline_system": baseline.system,
                "baseline_hypotheses_sha256": baseline.hypotheses_sha256,
                "tests": compare(hypotheses, other_hypotheses, metrics),
            },
        )
    if result != stored:
        write_result(result_path, result)
    return result


def with_tokenizer(evaluation: Evaluation, test_set: TestSet) -> Evaluation:
    """The evaluation with the tokeniser of the language where none is asked for."""
    tokenizer = evaluation.tokenizer or default_tokenizer(test_set.target_lang)
    return replace(evaluation, tokenizer=tokenizer)


def translate_and_score(
    evaluation: Evaluation, test_set: TestSet, metrics: dict[str, Metric]
) -> Result:
    """Translate the test set, write the hypotheses and score them."""
    arguments = generator_arguments(evaluation, test_set)
    cfg = generator_config(arguments)
    checkpoint = inspect_checkpoint(evaluation.checkpoint, cfg, test_set)
    hypotheses_path = evaluation.results_path / f"{test_set.subset}.hyp.{test_set.target_lang}"
    make_directory(evaluation.results_path)

    grows = evaluation.max_len_a is evaluation.max_len_b is None
    translation = translate(cfg, test_set.sentences, grows)
    write_lines(hypotheses_path, translation.hypotheses)
    return Result(
        system=evaluation.system,
        scores=scores_of(metrics, translation.hypotheses),
        signatures=signatures_of(metrics),
        tokenizer=evaluation.tokenizer,
        significance=None,
        test_set=test_set,
        checkpoint=checkpoint,
        beam=evaluation.beam,
        lenpen=evaluation.lenpen,
        max_len_a=evaluation.max_len_a,
        max_len_b=evaluation.max_len_b,
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


def score_again(result: Result, evaluation: Evaluation, metrics: dict[str, Metric]) -> Result:
    """The result in other metrics: its hypotheses are those that were scored before."""
    hypotheses = read_hypotheses(evaluation.results_path, result)
    return replace(
        result,
        scores=scores_of(metrics, hypotheses),
        signatures=signatures_of(metrics),
        tokenizer=evaluation.tokenizer,
        significance=None,
        versions={**result.versions, "sacrebleu": metadata.version("sacrebleu")},
    )


# The options and the data


def check_options(evaluation: Evaluation) -> None:
    """Refuse numbers without meaning, a blank name and a checkpoint that is not there."""
    check_number("--beam", evaluation.beam, 1, MAX_BEAM)
    if not 0 <= evaluation.lenpen <= MAX_LENPEN:
        raise UserError(f"--lenpen must be a number from 0 on, not {evaluation.lenpen}")
    if evaluation.max_len_a is not None:
        check_number("--max-len-a", evaluation.max_len_a, 0, MAX_LEN)
    if evaluation.max_len_b is not None:
        check_number("--max-len-b", evaluation.max_len_b, 1, MAX_LEN)
    check_number("--max-tokens", evaluation.max_tokens, 1, MAX_TOKENS)
    if evaluation.name is not None and not evaluation.name.strip():
        raise UserError("--name is blank: leave it out for the name of the checkpoint's folder")
    if not evaluation.checkpoint.is_file():
        raise UserError(f"--path {evaluation.checkpoint}: there is no such checkpoint")


# The files


def read_baseline(path: Path, test_set: TestSet, signatures: dict[str, str]) -> Result:
    """Read the result to compare with, and make sure that it can be."""
    baseline = read_result(path)
    obstacle = why_incomparable(baseline, test_set, signatures)
    if obstacle:
        raise UserError(f"--baseline {path} cannot be compared with: {obstacle}")
    read_hypotheses(path.parent, baseline)
    return baseline


def is_translated(result: Result, evaluation: Evaluation, test_set: TestSet) -> bool:
    """Whether a result of some model is of this search, with its hypotheses still there."""
    hypotheses_path = evaluation.results_path / result.hypotheses
    return (
        result.test_set == test_set
        and all(
            getattr(result, name) == getattr(evaluation, name)
            for name in ("beam", "lenpen", "max_len_a", "max_len_b")
        )
        and hypotheses_path.is_file()
        and result.hypotheses_sha256 == sha256(hypotheses_path)
    )
