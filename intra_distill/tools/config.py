"""Configurations: the YAML files that fairseq-hydra-train reads, as fairseq-train's arguments."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ..errors import UserError

# the options that choose a group's component on the command line
COMPONENT_OPTIONS = {"model": "arch"}
OVERRIDE = re.compile(r"\w+(\.\w+)*=")


@dataclass(frozen=True)
class System:
    """What a recipe trains: a configuration, with some of its values changed.

    Its name says both: ``intra_x+task.num_passes=5+criterion.alpha=1``.
    """

    config: str  # the name of the file, without .yaml
    overrides: tuple[str, ...] = ()  # GROUP.KEY=VALUE each

    @classmethod
    def of(cls, name: str) -> "System":
        """The system of a name; a + that begins no override belongs to the configuration's name."""
        config, *overrides = re.split(r"\+(?=\w+(?:\.\w+)*=)", name)
        return cls(config, tuple(overrides))

    def __str__(self) -> str:
        return "+".join([self.config, *self.overrides])

    @property
    def label(self) -> str:
        """The name for a picture, without the overrides' groups: ``intra_x num_passes=5``."""
        keys = (re.sub(r"^\w+\.", "", override) for override in self.overrides)
        return " ".join([self.config, *keys])

    def without(self, key: str) -> "System":
        """The system but for its override of a key, such as ``task.num_passes``."""
        kept = (each for each in self.overrides if not each.startswith(f"{key}="))
        return System(self.config, tuple(kept))


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
        if not OVERRIDE.match(override):
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
