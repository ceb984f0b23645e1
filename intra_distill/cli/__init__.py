"""The console script ``intra-distill``: each file is a command, and no command imports another.

The docstring of a file is the command's help, its first line the summary.
``add_arguments(parser)`` declares the options, and ``main(args)`` runs the command: it calls
functions of :mod:`intra_distill.tools`, and prints.
"""

import argparse
import io
import logging
import os
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from ..errors import UserError, one_line

COMMANDS = [
    "prepare",
    "prepare_multilingual",
    "add_test",
    "encode",
    "translate",
    "export",
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
    "panx",
    "bert",
    "xlmr",
    "prepare_tags",
    "glue",
    "glue_submission",
    "tydiqa",
    "xquad",
    "prepare_spans",
    "user_dir",
]
BROKEN_PIPE, INTERRUPTED = 141, 130  # a shell's exit codes for SIGPIPE and for SIGINT, Ctrl-C
EMPTY_VALUE = re.compile(r"--[a-z-]+=")


def main(argv: list[str] | None = None) -> None:
    """Run a command; bad input exits with one line and code 1, bad usage with code 2."""
    argv = sys.argv[1:] if argv is None else argv
    asked_for = [name for name in COMMANDS if argv[:1] == [name.replace("_", "-")]]
    parser = build_parser(asked_for or COMMANDS)  # imports only what the command needs
    for argument in argv:
        if not argument or EMPTY_VALUE.fullmatch(argument):
            parser.error(f"{argument or 'an argument'} is empty: is a variable not set?")
        if not argument.isprintable():
            parser.error(f"{ascii(argument)} has unprintable characters: change them")
    args = parser.parse_args(argv)
    logging.getLogger().setLevel(logging.WARNING)  # importing fairseq sets DEBUG
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # α′ on a terminal without UTF-8
    sys.stdin = sys.stdin or open(os.devnull)  # closed by who started it: empty
    try:
        refuse_devices(args)
        args.run(args)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except UserError as error:
        sys.exit(f"{args.prog}: {error}")
    except OSError as error:
        sys.exit(f"{args.prog}: {one_line(f'{error.filename}: {error.strerror}')}")


def build_parser(names: Iterable[str]) -> argparse.ArgumentParser:
    """Build the parser of these commands."""
    parser = argparse.ArgumentParser(
        prog="intra-distill",
        description="Prepare data, evaluate and analyse models of translation and of labelled "
        "sentences that fairseq-train trains with intra-distillation.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in names:
        tool = import_module(f"{__package__}.{name}")
        help_line, _, description = tool.__doc__.partition("\n")
        command = commands.add_parser(
            name.replace("_", "-"),
            help=help_line,
            description=f"{help_line}\n{description}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        tool.add_arguments(command)
        command.set_defaults(run=tool.main, prog=command.prog)
    return parser


def refuse_devices(args: argparse.Namespace) -> None:
    """Refuse pipes and devices, since files are read several times and replaced when written."""
    for value in vars(args).values():
        for path in value if isinstance(value, list) else [value]:
            if isinstance(path, Path) and path.exists() and not (path.is_file() or path.is_dir()):
                raise UserError(f"{path} is a pipe or a device: give a file or a folder")
