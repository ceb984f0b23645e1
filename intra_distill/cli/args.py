"""print a configuration as fairseq-train's arguments

A configuration is a YAML file that fairseq-hydra-train reads: groups of options, each with its
component as ``_name``. Its arguments give the same run with fairseq-train::

    fairseq-train DATA --user-dir "$(intra-distill user-dir)" $(intra-distill args CONFIG)

CONFIG is the file or a system: the name of a file without .yaml, and values to change in it::

    intra-distill args configs/iwslt14/intra_x+task.num_passes=5+criterion.alpha=1
"""

import argparse
from pathlib import Path

from ..tools.config import config_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config",
        type=Path,
        metavar="CONFIG",
        help="configuration file (YAML), or FOLDER/NAME+GROUP.KEY=VALUE…",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="GROUP.KEY=VALUE",
        help="values that replace those of CONFIG, such as criterion.alpha=1",
    )
    parser.add_argument(
        "--generation",
        action="store_true",
        help="print the beam search options instead, for intra-distill evaluate",
    )


def main(args: argparse.Namespace) -> None:
    print(" ".join(config_arguments(args.config, args.overrides, args.generation)))
