"""Strange input: the options of the commands.

Every option of every command is given values that it cannot have. Each ends in one line, and what
is finished stays as it is.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from intra_distill import cli

from ..support.commands import WORKING, command_line, run
from ..support.finished_work import contents
from .bad_values import bad_usage, bad_values

ROOT = Path(__file__).parents[2]
BAD_USAGE, BAD_VALUES = list(bad_usage()), list(bad_values())


def name(row: tuple) -> str:
    changes = " ".join(f"{option} {value}"[:40] for option, value in row[1].items())
    return ascii(f"{row[0]} {changes}")[1:-1]


@pytest.mark.parametrize("row", BAD_VALUES, ids=name)
def test_a_bad_value_ends_in_one_line(world, finished, inject, capfd, row):
    command, changes, expected = row
    inject()
    code, line = run(command_line(command, changes))
    assert code == 1 and not capfd.readouterr().err, line
    assert line.startswith("intra-distill") and expected in line and line.isprintable()
    assert contents(world) == finished


@pytest.mark.parametrize("row", BAD_USAGE, ids=name)
def test_bad_usage_ends_in_a_reminder_and_one_line(world, finished, inject, capfd, row):
    command, changes, expected = row
    inject()
    code, line = run(command_line(command, changes))
    assert code == 2, line
    *usage, line = capfd.readouterr().err.splitlines()
    assert usage[0].startswith("usage: intra-distill")
    assert not any("error" in reminder for reminder in usage)
    assert line.startswith("intra-distill") and expected in line
    assert contents(world) == finished


def declared(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, str]]:
    """Each command with each of its options."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for chosen, subparser in action.choices.items():
                yield from declared(subparser, f"{command} {chosen}".strip())
        elif not isinstance(action, argparse._HelpAction):
            yield command, (action.option_strings or [action.dest])[-1]


def test_every_option_of_every_command_is_in_the_table():
    rows = [*BAD_USAGE, *BAD_VALUES]
    tried = {(command, option) for command, changes, _ in rows for option in changes}
    assert set(declared(cli.build_parser(cli.COMMANDS))) - tried == set()
    assert {command for command, _ in tried} >= set(WORKING)


@pytest.mark.parametrize(
    "arguments, code, expected",
    [
        (["args", "strange/none"], 1, "strange/none: no such configuration file"),
        (["toy-corpus", "--destdir=raw", "--train=0"], 1, "ask for at least 1"),
        ([b"args", b"strange/\xff"], 2, "\\udcff' has unprintable characters"),
        (["plot", "alpha", "config.yaml", "--plot=strange/pipe"], 1, "is a pipe or a device"),
    ],
)
def test_the_process_ends_so_too(world, finished, inject, arguments, code, expected):
    inject()
    command = [sys.executable, "-c", "from intra_distill.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    process = subprocess.run(command, capture_output=True, env=environment)
    *usage, line = process.stderr.decode("ascii").splitlines()
    assert process.returncode == code and bool(usage) == (code == 2)
    assert expected in line and not process.stdout and contents(world) == finished
