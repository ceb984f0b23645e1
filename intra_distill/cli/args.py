"""print the fairseq-train arguments of a configuration file

A configuration is what fairseq-hydra-train reads: groups of options, each group's component
chosen by ``_name``. Printed as command-line arguments it gives fairseq-train the same run::

    fairseq-train DATA --user-dir "$(intra-distill user-dir)" $(intra-distill args CONFIG)
"""

import argparse
from pathlib import Path

from ..tools.config import config_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="configuration file (YAML)")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="GROUP.KEY=VALUE",
        help="values to put in place of the file's, such as criterion.alpha=1",
    )
    parser.add_argument(
        "--generation",
        action="store_true",
        help="print the beam search options instead, for intra-distill evaluate",
    )


def main(args: argparse.Namespace) -> None:
    print(" ".join(config_arguments(args.config, args.overrides, args.generation)))
