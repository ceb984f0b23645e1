"""print results of evaluate as a Markdown table

The first result is the reference: behind the scores of the others is the difference to its own.
The sacreBLEU signatures stand below the table. Results that were not scored alike, on the same
subset against the same references, are refused.
"""

import argparse
from pathlib import Path

from . import UserError
from .results import Result, read_result, why_incomparable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill table``."""
    parser.add_argument(
        "results",
        nargs="+",
        type=Path,
        metavar="RESULT.json",
        help="what intra-distill evaluate wrote; the first is the reference",
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    print(markdown_table(args.results))


def markdown_table(paths: list[Path]) -> str:
    """The table of the results in some JSON files, with the signatures below it.

    Raises:
        UserError: a file is no result, or not comparable with the first.
    """
    reference, *others = (read_result(path) for path in paths)
    for path, result in zip(paths[1:], others, strict=True):
        obstacle = why_incomparable(result, reference.test_set, reference.signatures)
        if obstacle:
            raise UserError(f"{path} cannot stand in one table with {paths[0]}: {obstacle}")
    metrics = list(reference.signatures)
    header = ["System", *metrics, "updates", "training time"]
    alignment = ["---", *("---:" for _ in header[1:])]
    rows = [row(result, reference) for result in (reference, *others)]
    lines = [f"| {' | '.join(cells)} |" for cells in (header, alignment, *rows)]
    signatures = [f"- {metric}: `{reference.signatures[metric]}`" for metric in metrics]
    return "\n".join([*lines, "", *signatures])


def row(result: Result, reference: Result) -> list[str]:
    """The cells of a result."""
    return [
        result.system.replace("|", r"\|"),
        *(score_cell(result, reference, metric) for metric in reference.signatures),
        str(result.checkpoint.updates),
        duration(result.checkpoint.training_seconds),
    ]


def score_cell(result: Result, reference: Result, metric: str) -> str:
    """A score to one decimal, and what it differs by from the reference's."""
    score = round(result.scores[metric], 1)
    if result is reference:
        return f"{score:.1f}"
    # of the rounded scores, so that the table adds up
    return f"{score:.1f} ({score - round(reference.scores[metric], 1):+.1f})"


def duration(seconds: float) -> str:
    """``m:ss``, from an hour on ``h:mm:ss``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
