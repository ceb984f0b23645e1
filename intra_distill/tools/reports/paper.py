"""Published numbers that a table shows beside ours."""

from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ..config import load_config


@dataclass(frozen=True)
class Paper:
    """Published numbers: the scores of systems in one metric."""

    source: str  # where they are published
    metric: str
    scores: dict[str, dict[str, float]]  # by system and data set
    parameters: dict[str, str]  # by system, as printed

    def score(self, system: str, dataset: str, metric: str) -> float | None:
        return self.scores.get(system, {}).get(dataset) if metric == self.metric else None


def read_paper(path: Path) -> Paper:
    """Read a file of published numbers, such as ``configs/iwslt14/paper.yaml``."""
    try:
        content = load_config(path)
        systems = content["systems"]
        return Paper(
            source=str(content["source"]),
            metric=content["metric"],
            scores={
                system: {name: float(score) for name, score in numbers["scores"].items()}
                for system, numbers in systems.items()
            },
            parameters={system: str(numbers["parameters"]) for system, numbers in systems.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path} does not hold published numbers: it needs source, metric and systems, and for "
            "each system parameters and scores by data set"
        ) from error
