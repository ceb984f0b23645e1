"""The result of an evaluation, as ``intra-distill evaluate`` keeps it in a JSON file.

A score never stands there without its sacreBLEU signature and what it takes to get it again.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import UserError
from .files import read_json, read_lines, sha256, write_json


@dataclass(frozen=True)
class TestSet:
    """What is translated, and what it is scored against."""

    data: str
    subset: str
    source_lang: str
    target_lang: str
    lowercase: bool
    sentencepiece_text: str  # what the pieces were learnt from: train, or all
    sentences: int
    source_sha256: str  # of the binarised source
    references: str  # file in data
    references_sha256: str

    @property
    def pair(self) -> str:
        """The language pair, such as ``de-en``."""
        return f"{self.source_lang}-{self.target_lang}"


@dataclass(frozen=True)
class Checkpoint:
    """What translates, and what it took to train it."""

    path: str
    sha256: str
    seed: int
    updates: int
    training_seconds: float
    parameters: int


@dataclass(frozen=True)
class Result:
    """An evaluation: the content of its JSON file."""

    system: str
    scores: dict[str, float]  # by metric, 0 to 100
    signatures: dict[str, str]  # by metric
    significance: dict[str, Any] | None  # of the difference to a baseline, see compare()
    test_set: TestSet
    checkpoint: Checkpoint
    beam: int
    lenpen: float
    hypotheses: str  # file beside the JSON
    hypotheses_sha256: str
    generator_arguments: list[str]
    versions: dict[str, str]


def read_result(path: Path) -> Result:
    """Read a result that :func:`evaluate` wrote."""
    try:
        content = read_json(path)
        content["test_set"] = TestSet(**content["test_set"])
        content["checkpoint"] = Checkpoint(**content["checkpoint"])
        return Result(**content)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is not a result of intra-distill evaluate") from error


def write_result(path: Path, result: Result) -> None:
    """Write the JSON file of a result."""
    write_json(path, asdict(result))


def why_incomparable(result: Result, test_set: TestSet, signatures: dict[str, str]) -> str:
    """What makes the scores of a result mean something else; empty where nothing does."""
    return why_other_test_set(result, test_set) or why_other_metrics(result, signatures)


def why_other_test_set(result: Result, test_set: TestSet) -> str:
    theirs = result.test_set
    if theirs.subset != test_set.subset:
        return f"its subset is {theirs.subset}, not {test_set.subset}"
    if theirs.references_sha256 != test_set.references_sha256:
        return f"its references, {theirs.data}/{theirs.references}, are others"
    return ""


def why_other_metrics(result: Result, signatures: dict[str, str]) -> str:
    for metric, signature in signatures.items():
        if result.signatures[metric] != signature:
            return f"its {metric} is {result.signatures[metric]}, not {signature}"
    return ""


def read_hypotheses(directory: Path, result: Result) -> list[str]:
    """Read the hypotheses of a result, which are in the same directory."""
    path = directory / result.hypotheses
    if not path.is_file():
        raise UserError(f"{path}, the hypotheses of {result.system}, is not there")
    if sha256(path) != result.hypotheses_sha256:
        raise UserError(f"{path} is no longer what was scored: evaluate {result.system} again")
    return list(read_lines(path))
