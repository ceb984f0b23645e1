"""The comparison of two results by paired bootstrap resampling, in all scores that both have."""

from pathlib import Path

from .metrics import Scorer, Test, compare
from .results import Result, Significance, read_output, scores_sha256
from .segment_scores import SegmentScorer, kept_scores


def compare_results(
    path: Path,
    result: Result,
    baseline_path: Path,
    baseline: Result,
    scorers: dict[str, Scorer],
) -> dict[str, Test]:
    """Test the difference of a result from a baseline, see :func:`.metrics.compare`.

    Args:
        path: of the result, with its output beside it; ``baseline_path`` likewise
        scorers: of the metrics to test that are computed here
    Returns:
        by metric, the tests of these and of all segment scores
    Raises:
        UserError: an output or the segment scores are missing or changed
    """
    output, other_output = (
        read_output(path.parent, result),
        read_output(baseline_path.parent, baseline),
    )
    tests = compare(output, other_output, scorers)
    for name in result.segment_scores:
        if name not in baseline.segment_scores:
            tests[name] = {"p_value": None, "why_none": f"{baseline.system} has no {name}"}
            continue
        ours = kept_scores(path.parent, result, name)
        theirs = kept_scores(baseline_path.parent, baseline, name)
        scorer = SegmentScorer(name, result.signatures[name], len(ours))
        tests |= compare(ours, theirs, {name: scorer})
    return tests


def significance(
    path: Path,
    result: Result,
    baseline_path: Path,
    baseline: Result,
    scorers: dict[str, Scorer],
) -> Significance:
    """What a result holds of its comparison with a baseline; the arguments are those above."""
    tests = compare_results(path, result, baseline_path, baseline, scorers)
    return {
        "baseline": str(baseline_path),
        "baseline_system": baseline.system,
        "baseline_output_sha256": baseline.output_sha256,
        "baseline_scores_sha256": scores_sha256(baseline),
        "tests": {metric: tests[metric] for metric in result.scores},
    }
