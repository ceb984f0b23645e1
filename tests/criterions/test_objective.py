"""What an intra-distilled criterion of any task builds on."""

from types import SimpleNamespace

import pytest

from intra_distill.core.divergence import mse_divergence
from intra_distill.criterions.objective import Objective, ObjectiveConfig

TASK = SimpleNamespace(num_passes=3, bounded=True)


def test_a_regression_takes_the_mean_squared_distance():
    cfg = ObjectiveConfig(alpha=1.0, divergence="mse")
    assert Objective(cfg, TASK, ["mse"]).divergence is mse_divergence


@pytest.mark.parametrize(
    ("divergence", "divergences", "said"),
    [("mse", None, "must be x or js or kl, not 'mse'"), ("x", ["mse"], "must be mse, not 'x'")],
)
def test_a_divergence_of_other_outputs_is_refused(divergence, divergences, said):
    allowed = [] if divergences is None else [divergences]
    with pytest.raises(SystemExit, match=f"--divergence {said}"):
        Objective(ObjectiveConfig(alpha=1.0, divergence=divergence), TASK, *allowed)
