"""print the fairseq-train arguments of a configuration file

A configuration is what fairseq-hydra-train reads: groups of options, each group's component
chosen by ``_name``. Printed as command-line arguments it gives fairseq-train the same run::

    fairseq-train DATA --user-dir "$(intra-distill user-dir)" $(intra-distill args CONFIG)
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from . import UserError

# the options that choose a group's component on the command line
COMPONENT_OPTIONS = {"model": "arch"}


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


def config_arguments(
    config: Path, overrides: Sequence[str] = (), generation: bool = False
) -> list[str]:
    """The command-line arguments that say what a configuration says.

    Args:
        config: YAML file as fairseq-hydra-train reads it
        overrides: ``group.key=value`` each
        generation: the ``generation`` group alone, instead of all others
    Raises:
        UserError: for a file that is no configuration, and values that a shell would change
    """
    values = load_config(config, overrides)
    groups = {key: value for key, value in values.items() if (key == "generation") == generation}
    arguments = []
    for group, options in groups.items():
        if not isinstance(options, dict):  # a flat file: the options of one command
            options = {group: options}
        for key, value in options.items():
            option = COMPONENT_OPTIONS.get(group, group) if key == "_name" else key
            arguments += _as_arguments(option, value)
    if not arguments:
        raise UserError(f"{config} gives no options: it must hold groups of KEY: VALUE")
    for argument in arguments:
        if len(argument.split()) != 1:
            raise UserError(
                f"{config}: the shell would split {argument!r}: write the value without spaces"
            )
        if re.search(r"[*?[]", argument):
            raise UserError(
                f"{config}: the shell would take {argument!r} for a pattern of file names: write "
                "the value without *, ? and ["
            )
    return arguments


def load_config(config: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The values of a configuration file, with overrides put in their place.

    Raises:
        UserError: for a file that is missing or no configuration, and what is no override
    """
    if not config.is_file():
        raise UserError(f"{config}: no such configuration file")
    for override in overrides:
        if not re.match(r"\w+(\.\w+)*=", override):
            raise UserError(f"{override!r} is no override: write GROUP.KEY=VALUE")
    try:
        values = OmegaConf.merge(OmegaConf.load(config), OmegaConf.from_dotlist(list(overrides)))
        values = OmegaConf.to_container(values, resolve=True)
    except RecursionError as error:
        raise UserError(
            f"{config} is nested too deeply: it must hold groups of KEY: VALUE"
        ) from error
    except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
        raise UserError(f"{config}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{config} is no configuration: it must hold groups of KEY: VALUE")
    return values


def _as_arguments(key: str, value: Any) -> Iterator[str]:
    option = "--" + key.replace("_", "-")
    if value is None or value is False or value == MISSING:
        return
    yield option
    if isinstance(value, list):
        yield ",".join(map(str, value))
    elif value is not True:
        yield str(value)
