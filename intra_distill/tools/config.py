"""Configurations, the YAML files that fairseq-hydra-train reads, and systems, variants of them."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException
from yaml import YAMLError

from ..errors import UserError

COMPONENT_OPTIONS = {"model": "arch"}  # a component's option, where it differs from its group
OVERRIDE = re.compile(r"\w+(?:\.\w+)*=")
DATASETS = "datasets"  # the file of a recipe's folder that says what differs by data set
# tasks of fairseq without a dataclass, which fairseq-hydra-train cannot set up
NOT_IN_HYDRA = {
    "translation_multi_simple_epoch",
    "translation_multi_simple_epoch_intra_distillation",
}
NO_SYSTEMS = {"prepare", "paper", DATASETS}  # files of a recipe's folder that train nothing


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
    config: Path,
    overrides: Sequence[str] = (),
    dataset: str | None = None,
    generation: bool = False,
) -> list[str]:
    """The command-line arguments that are equivalent to a configuration.

    Args:
        config: a file or a system, as in :func:`load_config`
        overrides: ``group.key=value`` each
        dataset: as in :func:`load_config`
        generation: return the options of an evaluation, the ``generation`` group and
            ``dataset.gen_subset``, instead of all others
    Raises:
        UserError: as :func:`load_config`, and for values that a shell would split or expand
    """
    values = load_config(config, overrides, dataset)
    arguments = []
    for group, options in values.items():
        if not isinstance(options, dict):  # a flat file lists the options of one command
            options = {group: options}
        for key, value in options.items():
            if (group == "generation" or key == "gen_subset") == generation:
                option = COMPONENT_OPTIONS.get(group, group) if key == "_name" else key
                arguments += _as_arguments(option, value)
    if not arguments and not generation:
        raise UserError(f"{config} gives no options: it must hold groups of KEY: VALUE")
    _refuse_what_a_shell_changes(config, arguments, "*?[")
    return arguments


def hydra_overrides(
    config: Path, overrides: Sequence[str] = (), dataset: str | None = None
) -> list[str]:
    """What a system and a data set change in a configuration, as fairseq-hydra-train takes it.

    With them, ``--config-dir`` and ``--config-name`` give the run that :func:`config_arguments`
    gives.

    Args:
        config, overrides, dataset: as in :func:`load_config`
    Raises:
        UserError: as :func:`load_config`, and for a task that hydra cannot set up
    """
    file, _ = _find_config(config)
    before = dict(_leaves(load_config(file)))
    after = dict(_leaves(load_config(config, overrides, dataset)))
    if (task := after.get("task._name")) in NOT_IN_HYDRA:
        raise UserError(
            f"{config}: fairseq-hydra-train cannot set up --task {task}: use fairseq-train"
        )
    changes = [
        ("" if key in before else "++") + f"{key}={_as_hydra(value)}"
        for key, value in after.items()
        if key not in before or before[key] != value
    ]
    _refuse_what_a_shell_changes(config, changes, "*?")
    return changes


def load_config(
    config: Path, overrides: Sequence[str] = (), dataset: str | None = None
) -> dict[str, Any]:
    """The values of a configuration, with overrides applied.

    Args:
        config: a YAML file, or a system in the folder of its configuration, such as
            ``configs/iwslt14/intra_x+task.num_passes=5``
        overrides: ``group.key=value`` each, applied after those of the system
        dataset: a data set of ``datasets.yaml`` in the same folder: its values fill those that are
            missing (``???``), and no others
    Raises:
        UserError: the file is missing or no configuration, an override is malformed, or the folder
            has no such data set
    """
    file, changes = _find_config(config)
    for override in overrides:
        if not OVERRIDE.match(override):
            raise UserError(f"{override!r} is no override: write GROUP.KEY=VALUE")
    try:
        changed = OmegaConf.from_dotlist([*changes, *overrides])
        values = OmegaConf.merge(OmegaConf.load(file), changed)
        if dataset is not None:
            _fill(values, _values_of(dataset, file.with_stem(DATASETS)))
        values = _resolved(values)
    except RecursionError as error:
        raise UserError(
            f"{config} is nested too deeply: it must hold groups of KEY: VALUE"
        ) from error
    except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
        raise UserError(f"{config}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{config} is no configuration: it must hold groups of KEY: VALUE")
    return values


def _values_of(dataset: str, file: Path) -> dict[str, Any]:
    """The values of a data set in the file of a recipe's data sets."""
    if not file.is_file():
        raise UserError(f"--dataset {dataset}: there is no {file}, which says what differs by it")
    datasets = load_config(file)
    if dataset not in datasets:
        raise UserError(f"--dataset {dataset}: the data sets of {file} are {', '.join(datasets)}")
    if not isinstance(datasets[dataset], dict):
        raise UserError(f"{file}: {dataset} must hold groups of KEY: VALUE")
    return datasets[dataset]


def _fill(values: DictConfig, entry: dict[str, Any]) -> None:
    for key, value in entry.items():
        if OmegaConf.is_missing(values, key):
            values[key] = value
        elif isinstance(value, dict) and isinstance(values.get(key), DictConfig):
            _fill(values[key], value)


def _resolved(values: DictConfig | ListConfig) -> Any:
    """The values with their interpolations replaced; that of a missing value is missing too."""
    while True:
        try:
            return OmegaConf.to_container(values, resolve=True)
        except InterpolationToMissingValueError as error:
            OmegaConf.update(values, error.full_key, MISSING)


def _leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


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


def _refuse_what_a_shell_changes(config: Path, words: Sequence[str], patterns: str) -> None:
    for word in words:
        if len(word.split()) != 1:
            raise UserError(
                f"{config}: the shell would split {word!r}: write the value without spaces"
            )
        if any(character in word for character in patterns):
            raise UserError(
                f"{config}: the shell would take {word!r} for a pattern of file names: write "
                f"the value without {', '.join(patterns[:-1])} and {patterns[-1]}"
            )


def _as_arguments(key: str, value: Any) -> Iterator[str]:
    option = "--" + key.replace("_", "-")
    if value is None or value is False or value == MISSING:
        return
    yield option
    if isinstance(value, list):
        yield ",".join(map(str, value))
    elif value is not True:
        yield str(value)


def _as_hydra(value: Any) -> str:
    """A value in hydra's grammar: JSON, but for words, which need no quotes."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.-]*", value):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
