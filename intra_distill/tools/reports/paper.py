"""Published numbers that a table shows beside ours."""

from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ..config import load_config
from ..scoring.metrics import METRICS


@dataclass(frozen=True)
class Paper:
    """Published numbers: the scores of systems, on each data set in one metric."""

    source: str  # where they are published
    metric: str | dict[str, str]  # of all data sets, or by data set
    scores: dict[str, dict[str, float]]  # by system and data set
    parameters: dict[str, str]  # by system, as printed; only where they are published

    @property
    def datasets(self) -> list[str]:
        """The data sets with a published number."""
        return list(dict.fromkeys(name for scores in self.scores.values() for name in scores))

    def metric_of(self, dataset: str) -> str | None:
        """The metric of the numbers on a data set; None if there are none."""
        if dataset not in self.datasets:
            return None
        return self.metric if isinstance(self.metric, str) else self.metric[dataset]

    def score(self, system: str, dataset: str, metric: str) -> float | None:
        if metric != self.metric_of(dataset):
            return None
        return self.scores.get(system, {}).get(dataset)


def read_paper(path: Path) -> Paper:
    """Read a file of published numbers, such as ``configs/iwslt14/paper.yaml``."""
    try:
        content = load_config(path)
        systems, metric = content["systems"], content["metric"]
        paper = Paper(
            source=str(content["source"]),
            metric=dict(metric) if isinstance(metric, dict) else str(metric),
            scores={
                system: {name: float(score) for name, score in numbers["scores"].items()}
                for system, numbers in systems.items()
            },
            parameters={
                system: str(numbers["parameters"])
                for system, numbers in systems.items()
                if "parameters" in numbers
            },
        )
        metrics = {dataset: paper.metric_of(dataset) for dataset in paper.datasets}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path} does not hold published numbers: it needs source, systems and metric, of all "
            "data sets or of each, and for each system scores by data set"
        ) from error
    for dataset, name in metrics.items():
        if name not in METRICS:
            raise UserError(
                f"{path}: {name!r}, of {dataset}, is no metric: choose from {', '.join(METRICS)}"
            )
    return paper
