"""Configurations, the YAML files that fairseq-hydra-train reads, and systems, variants of them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ..errors import UserError

COMPONENT_OPTIONS = {"model": "arch"}  # a component's option, where it differs from its group
OVERRIDE = re.compile(r"\w+(?:\.\w+)*=")
NO_SYSTEMS = {"prepare", "paper"}  # files of a recipe's folder that train nothing


@dataclass(frozen=True)
class System:
    """A system of a recipe: a configuration, with values changed.

    Its name states both: ``intra_x+task.num_passes=5+criterion.alpha=1``.
    """

    config: str  # the name of the configuration file, without .yaml
    overrides: tuple[str, ...] = ()  # GROUP.KEY=VALUE each

    @classmethod
    def of(cls, name: str) -> "System":
        """The system of a name.

        Only a + before ``KEY=`` separates: any other belongs to the configuration's name or to a
        value, such as ``1e+3``.
        """
        config, *overrides = re.split(rf"\+(?={OVERRIDE.pattern})", name)
        return cls(config, tuple(overrides))

    def __str__(self) -> str:
        return "+".join([self.config, *self.overrides])

    @property
    def label(self) -> str:
        """The name for a picture, without the groups of its overrides: ``intra_x num_passes=5``."""
        keys = (re.sub(r"^\w+\.", "", override) for override in self.overrides)
        return " ".join([self.config, *keys])

    def without(self, key: str) -> "System":
        """The same system without its override of a key, such as ``task.num_passes``."""
        kept = (each for each in self.overrides if not each.startswith(f"{key}="))
        return System(self.config, tuple(kept))


def config_arguments(
    config: Path, overrides: Sequence[str] = (), generation: bool = False
) -> list[str]:
    """The command-line arguments that are equivalent to a configuration.

    Args:
        config: a file or a system, as in :func:`load_config`
        overrides: ``group.key=value`` each
        generation: return the ``generation`` group alone, instead of all others
    Raises:
        UserError: as :func:`load_config`, and for values that a shell would split or expand
    """
    values = load_config(config, overrides)
    groups = {key: value for key, value in values.items() if (key == "generation") == generation}
    arguments = []
    for group, options in groups.items():
        if not isinstance(options, dict):  # a flat file lists the options of one command
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
    """The values of a configuration, with overrides applied.

    Args:
        config: a YAML file, or a system in the folder of its configuration, such as
            ``configs/iwslt14/intra_x+task.num_passes=5``
        overrides: ``group.key=value`` each, applied after those of the system
    Raises:
        UserError: the file is missing or no configuration, or an override is malformed
    """
    file, changes = _find_config(config)
    for override in overrides:
        if not OVERRIDE.match(override):
            raise UserError(f"{override!r} is no override: write GROUP.KEY=VALUE")
    try:
        changed = OmegaConf.from_dotlist([*changes, *overrides])
        values = OmegaConf.merge(OmegaConf.load(file), changed)
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


def _find_config(config: Path) -> tuple[Path, tuple[str, ...]]:
    """The file and the overrides of a configuration file or of a system beside its file.

    Values may contain slashes, and folders ``+KEY=``, so every folder of the path is tried.
    """
    if config.is_file():
        return config, ()
    for folder in config.parents:
        system = System.of(str(config.relative_to(folder)))
        file = folder / f"{system.config}.yaml"
        if file.is_file():
            return file, system.overrides
    folder = config if config.is_dir() else config.parent
    names = sorted(path.stem for path in folder.glob("[!.]*.yaml") if path.stem not in NO_SYSTEMS)
    systems = f": the systems of {folder} are {', '.join(names)}" if names else ""
    raise UserError(f"{config}: no such configuration file{systems}")


def _as_arguments(key: str, value: Any) -> Iterator[str]:
    option = "--" + key.replace("_", "-")
    if value is None or value is False or value == MISSING:
        return
    yield option
    if isinstance(value, list):
        yield ",".join(map(str, value))
    elif value is not True:
        yield str(value)
