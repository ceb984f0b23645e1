"""Validation curves of a run that others published, for a picture beside our own."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UserError
from ..config import load_config


@dataclass(frozen=True)
class Reference:
    """Validation curves of a published run.

    Attributes:
        path: the file that they were read from
        source: where they are published
        subset: the validation subset
        unit: of the losses, such as bits per token
        curves: numbers by update, of each statistic of each system
    """

    path: Path
    source: str
    subset: str
    unit: str
    curves: dict[str, dict[str, dict[int, float]]]

    def points(self, statistic: str) -> dict[str, dict[int, float]]:
        """The curves of a statistic by system. The perplexity is 2 to the power of nll_loss.

        Raises:
            UserError: no system has it
        """
        if statistic == "ppl":
            return {
                system: {update: 2**bits for update, bits in curve.items()}
                for system, curve in self.points("nll_loss").items()
            }
        curves = {name: each[statistic] for name, each in self.curves.items() if statistic in each}
        if not curves:
            names = dict.fromkeys(name for each in self.curves.values() for name in each)
            raise UserError(f"{self.path} has no curve of {statistic}, but of {', '.join(names)}")
        return curves


def read_reference(path: Path) -> Reference:
    """Read a file of curves, such as ``configs/iwslt14/references/de-en.yaml``.

    Raises:
        UserError: the file is missing or holds something else; the line says where
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of reference curves")
    values = load_config(path)
    texts = {}
    for key in ("source", "subset", "unit"):
        texts[key] = values.get(key)
        if not isinstance(texts[key], str) or not texts[key].strip():
            raise UserError(f"{path} has no reference curves: {key} must be text")
    return Reference(path, curves=_read_curves(path, values.get("curves")), **texts)


def _read_curves(path: Path, curves: Any) -> dict[str, dict[str, dict[int, float]]]:
    return {
        str(system): {
            str(statistic): _read_curve(f"{path}: curves.{system}.{statistic}", curve)
            for statistic, curve in _group(f"{path}: curves.{system}", statistics).items()
        }
        for system, statistics in _group(f"{path}: curves", curves).items()
    }


def _read_curve(what: str, curve: Any) -> dict[int, float]:
    for update, value in _group(what, curve).items():
        if type(update) is not int or update < 1:
            raise UserError(f"{what}: {update!r} is no update, a whole number from 1 on")
        if type(value) not in (int, float) or not math.isfinite(value):
            raise UserError(f"{what}.{update}: {value!r} is no finite number")
    return {update: float(curve[update]) for update in sorted(curve)}


def _group(what: str, values: Any) -> dict:
    if not isinstance(values, dict) or not values:
        raise UserError(f"{what} must be a group of KEY: VALUE")
    return values
