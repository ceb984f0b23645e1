"""print a configuration as fairseq-train's arguments

A configuration is a YAML file that fairseq-hydra-train reads: groups of options, each with its
component as ``_name``. Its arguments give the same run with fairseq-train::

    fairseq-train DATA --user-dir "$(intra-distill user-dir)" $(intra-distill args CONFIG)

CONFIG is the file or a system: the name of a file without .yaml, and values to change in it::

    intra-distill args configs/iwslt14/intra_x+task.num_passes=5+criterion.alpha=1

What differs by data set is in ``datasets.yaml`` beside the file. Its values fill those that are
``???`` in the configuration. ``--hydra`` prints them, and the changed values, for the other entry
point, with the same run::

    intra-distill args --dataset rte configs/glue/intra_x
    fairseq-hydra-train --config-dir "$PWD/configs/glue" --config-name intra_x \\
        $(intra-distill args --dataset rte --hydra configs/glue/intra_x) …
"""

import argparse
from pathlib import Path

from ..tools.config import config_arguments, hydra_overrides


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
        "--dataset",
        metavar="NAME",
        help="fill the missing values (???) with those of a data set of datasets.yaml",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument(
        "--generation",
        action="store_true",
        help="print the options for intra-distill evaluate instead: the subset, the beam search",
    )
    output.add_argument(
        "--hydra",
        action="store_true",
        help="print what differs from the file, as overrides for fairseq-hydra-train",
    )


def main(args: argparse.Namespace) -> None:
    if args.hydra:
        printed = hydra_overrides(args.config, args.overrides, args.dataset)
    else:
        printed = config_arguments(args.config, args.overrides, args.dataset, args.generation)
    print(" ".join(printed))
