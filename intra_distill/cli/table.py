"""put results of evaluate into a Markdown table, a CSV file and a picture

PATH is a result, or a folder to search for results. With one data set, such as de-en, the table has
a row for each system and all metrics. With several, it has systems × data sets, each in its primary
metric, and the average of a system with results on all; with more than ten, the data sets are the
rows. Several seeds give the mean ± standard deviation, also of the average of each seed::

    intra-distill table runs --baseline transformer --csv table.csv --plot table.png

The p-values are those of paired bootstrap resampling against the reference system, from evaluate
--baseline or computed now. Each seed is compared with the same seed of the reference, and the
largest p-value counts; it is 1 if the seeds disagree on which system is better. Results of other
test sets, signatures or search options are refused.
"""

import argparse
import sys
from pathlib import Path

from ..tools.options import check_output, names
from ..tools.reports.grid import lay_out
from ..tools.reports.paper import read_paper
from ..tools.reports.picture import check_picture
from ..tools.reports.runs import gather
from ..tools.reports.table import draw_bars, table_markdown, write_csv


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill table``."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="results of intra-distill evaluate, or folders to search for them",
    )
    parser.add_argument(
        "--gen-subset",
        type=names,
        default="test,test-*",
        metavar="SUBSET,…",
        help="search folders for SUBSET.json; * stands for any characters (default: %(default)s)",
    )
    parser.add_argument(
        "--baseline",
        metavar="SYSTEM",
        help="reference system (default: transformer or plain or, if there is none, the first)",
    )
    parser.add_argument(
        "--metric",
        metavar="METRIC",
        help="metric to show (default: all that the results have in common; with several data "
        "sets, the primary one of each)",
    )
    parser.add_argument(
        "--systems", type=names, metavar="SYSTEM,…", help="systems to show (default: all)"
    )
    parser.add_argument(
        "--datasets",
        type=names,
        metavar="DATASET,…",
        help="data sets to show, such as de-en (default: all)",
    )
    parser.add_argument(
        "--paper", type=Path, metavar="YAML", help="published numbers to show beside ours"
    )
    parser.add_argument(
        "--csv",
        type=Path,
        metavar="FILE",
        help="write a row for each system, data set and metric, and for each average",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the first metric into a picture, such as table.png",
    )


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
