"""add test sets to a data directory that is finished

DIR is a data directory made by ``intra-distill prepare``, on which models may have been trained::

    intra-distill add-test DIR --test newstest2017,newstest2018
    intra-distill evaluate DIR --gen-subset test1 --path run/checkpoint_best.pt --results-path run

Each text becomes the next free one of test1, test2, ..., with the pieces, the dictionary, the case
and the normalisation of DIR. It gets the files that ``prepare`` makes for a test set, and the same
figures are printed. ``prepare.testN.json`` records them; it is written last. All other files of DIR
stay as they are, and the same text is added once.

A run that was killed leaves nothing that counts as a test set: run it again.
"""

import argparse

from ..tools.options import add_data_argument
from ..tools.preparation.added_test_sets import add_test_sets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_argument(parser)
    parser.add_argument(
        "--test",
        required=True,
        metavar="PREFIX[,PREFIX...]",
        help="test text PREFIX.LANG, one sentence a line",
    )


def main(args: argparse.Namespace) -> None:
    add_test_sets(args.data, args.test.split(","))
