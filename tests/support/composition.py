"""hydra's configurations, composed once for each choice of groups.

fairseq has hydra compose one for every training and every generation, in half a second, which is
more than a tiny model takes. Here the groups (task, model, criterion, …) are composed once, and the
values are put in by the function with which hydra itself does so.
"""

from copy import deepcopy
from functools import cache

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf


@cache
def parsed(line: str):
    return OverridesParser.create().parse_override(line)


@cache
def composed_groups(config_name: str, groups: tuple[str, ...]) -> DictConfig:
    return compose(config_name, list(groups))


def compose_quickly(config_name: str, overrides: list[str], strict: bool) -> DictConfig:
    """In place of ``hydra.compose`` in ``fairseq.dataclass.utils``."""
    groups = tuple(line for line in overrides if "." not in line.partition("=")[0])
    cfg = deepcopy(composed_groups(config_name, groups))
    OmegaConf.set_struct(cfg, True)
    values = [parsed(line) for line in overrides if line not in groups]
    ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
    OmegaConf.set_struct(cfg, strict)
    return cfg
