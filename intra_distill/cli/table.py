"""put results of evaluate into a Markdown table, a CSV file and a picture

PATH is a result, or a folder that is searched for results. One data set, such as de-en, gives a row
per system with all metrics; several give systems × data sets in one metric, with the average of the
complete rows. Scores of several seeds become their mean ± standard deviation.

The p-values are those of paired bootstrap resampling against the reference system: what evaluate
found with --baseline or, where it was not asked, found now from the hypotheses and references.
Each seed is compared with the same seed of the reference, and the largest p-value counts, or 1
where the seeds disagree on which system is better. The sacreBLEU signatures stand below the table.
Results that were not scored alike are refused.
"""

import argparse
import sys
from pathlib import Path

from ..tools.options import check_output
from ..tools.reports.grid import gather, lay_out, read_paper
from ..tools.reports.picture import check_picture
from ..tools.reports.table import draw_bars, table_markdown, write_csv
from ..tools.scoring.metrics import METRICS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill table``."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="result of intra-distill evaluate, or folder to search for results",
    )
    parser.add_argument(
        "--gen-subset",
        default="test",
        metavar="SUBSET",
        help="search folders for SUBSET.json (default: %(default)s)",
    )
    parser.add_argument(
        "--baseline",
        metavar="SYSTEM",
        help="reference system (default: transformer, where there is none the first)",
    )
    parser.add_argument(
        "--metric",
        choices=METRICS,
        help="the metric shown (default: all that all results have; for several data sets the "
        "primary one)",
    )
    parser.add_argument(
        "--systems", type=names, metavar="SYSTEM,…", help="the rows (default: all there are)"
    )
    parser.add_argument(
        "--datasets",
        type=names,
        metavar="DATASET,…",
        help="the data sets, such as de-en (default: all there are)",
    )
    parser.add_argument(
        "--paper", type=Path, metavar="YAML", help="published numbers to show beside ours"
    )
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="write a row for each system, data set and metric"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the first metric: a picture of the type that the name ends with, such as .png",
    )


def names(text: str) -> list[str]:
    given = [name for name in text.split(",") if name]
    if not given:
        raise argparse.ArgumentTypeError("names nothing: leave it out for all there are")
    return given


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.csv:
        check_output("--csv", args.csv)
    if args.plot:
        check_picture(args.plot)
    paper = args.paper and read_paper(args.paper)
    runs = gather(args.paths, args.gen_subset)
    table = lay_out(runs, args.systems, args.datasets, args.metric, args.baseline, paper)
    for reason in dict.fromkeys(cell.not_compared for cell in table.shown.values()):
        if reason:
            print(f"no p-value: {reason}", file=sys.stderr)
    if args.csv:
        write_csv(args.csv, table)
    if args.plot:
        draw_bars(args.plot, table)
    print(table_markdown(table))
