"""The significance of a difference between two systems over several seeds."""

import functools
import sys

from ...errors import UserError
from ..scoring.comparison import compare_results
from ..scoring.metrics import Kind, Scorer, build_scorers, signatures_of
from ..scoring.results import is_compared, read_references
from .runs import Run


def largest_p_values(runs: list[Run], reference: list[Run], metrics: list[str]) -> dict[str, float]:
    """Compare each seed with the reference's, and return the largest p-value for each metric.

    This is an intersection–union test: a small value means that every seed differs, and needs no
    correction for the number of seeds. It is 1 if the seeds disagree on which system is better. A
    reference with only one seed is compared with all.

    Raises:
        UserError: a seed has no counterpart, or a comparison is not possible
    """
    counterparts = {run.seed: run for run in reference}
    p_values: dict[str, list[float]] = {metric: [] for metric in metrics}
    better: dict[str, set[bool]] = {metric: set() for metric in metrics}
    for run in runs:
        counterpart = reference[0] if len(reference) == 1 else counterparts.get(run.seed)
        if counterpart is None:
            raise UserError(f"the reference has no result on {run.dataset} with seed {run.seed}")
        for metric, p_value in paired_bootstrap(run, counterpart, metrics).items():
            p_values[metric].append(p_value)
            better[metric].add(run.result.scores[metric] > counterpart.result.scores[metric])
    return {m: max(p_values[m]) if len(better[m]) == 1 else 1.0 for m in metrics}


def paired_bootstrap(run: Run, reference: Run, metrics: list[str]) -> dict[str, float]:
    """Take the p-values of a paired bootstrap (Koehn, 2004) from the result, or compute them.

    Raises:
        UserError: the outputs or the references have changed, or are too few
    """
    if is_compared(run.result, reference.result):
        tests = run.result.significance["tests"]
    else:
        test_set = run.result.test_set
        path = run.path.with_name(test_set.references)
        references = tuple(read_references(path, test_set.references_sha256))
        own = tuple(metric for metric in metrics if metric in run.result.metrics)
        scorers = cached_scorers(run.result.kind, references, own)
        for metric, signature in signatures_of(scorers).items():
            if signature != run.result.signatures[metric]:
                raise UserError(
                    f"the installed sacreBLEU is another version: its {metric} is {signature}"
                )
        print(f"comparing {run.path} with {reference.path}", file=sys.stderr)
        tests = compare_results(run.path, run.result, reference.path, reference.result, scorers)
    for metric in metrics:
        if tests[metric]["p_value"] is None:
            raise UserError(f"{run.system} on {run.dataset}: {tests[metric]['why_none']}")
    return {metric: tests[metric]["p_value"] for metric in metrics}


@functools.lru_cache(maxsize=1)  # scorers hold the tokenised references, which the runs share
def cached_scorers(
    kind: Kind, references: tuple[str, ...], metrics: tuple[str, ...]
) -> dict[str, Scorer]:
    return build_scorers(metrics, kind, list(references))
