"""The console script ``intra-distill``: one command per module of :mod:`intra_distill.tools`."""

import argparse
import logging
import sys
from importlib import import_module

from .tools import UserError

COMMANDS = [
    "prepare",
    "args",
    "evaluate",
    "average",
    "table",
    "plot",
    "sensitivity",
    "prune",
    "toy_corpus",
    "iwslt14",
    "wmt17",
    "user_dir",
]


def main(argv: list[str] | None = None) -> None:
    """Run a command; bad input ends it with one line and exit code 1, bad usage with 2."""
    parser = argparse.ArgumentParser(
        prog="intra-distill",
        description="Tools beside fairseq-train, fairseq-generate and fairseq-interactive for "
        "translation models trained with intra-distillation.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    argv = sys.argv[1:] if argv is None else argv
    asked_for = [name for name in COMMANDS if argv[:1] == [name.replace("_", "-")]]
    for name in asked_for or COMMANDS:  # no command waits for the imports of others
        tool = import_module(f"{__package__}.tools.{name}")
        help_line, _, description = tool.__doc__.partition("\n")
        command = commands.add_parser(
            name.replace("_", "-"),
            help=help_line,
            description=f"{help_line}\n{description}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        tool.add_arguments(command)
        command.set_defaults(run=tool.main, prog=command.prog)
    args = parser.parse_args(argv)
    logging.getLogger().setLevel(logging.WARNING)  # importing fairseq turned debugging on
    try:
        args.run(args)
    except UserError as error:
        sys.exit(f"{args.prog}: {error}")
