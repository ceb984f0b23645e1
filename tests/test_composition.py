"""The configurations that the other tests get from hydra are those that fairseq gets from it."""

import hydra
import pytest
from fairseq.dataclass import utils

from .support.training import INTRA, LSTM, PLAIN, SELF, TINY_TRANSFORMER

SWITCH = ["--arch", "switch_transformer", *TINY_TRANSFORMER[2:]]


@pytest.mark.parametrize(
    "system, model",
    [
        ([*PLAIN, "--optimizer", "sage", "--sage-beta3", "0.5"], SWITCH),
        ([*INTRA, "--divergence", "js", "--lr", "0.1,0.2"], TINY_TRANSFORMER),
        ([*SELF, "--teacher-path", "a b/c (1).pt", "--restore-file", "x=y"], LSTM),
    ],
)
def test_a_configuration_is_hydras(configure, monkeypatch, system, model):
    quick = [configure(*system, "--seed", seed, model=model) for seed in "12"]
    assert quick[0] != quick[1]
    monkeypatch.setattr(utils, "compose", hydra.compose)
    assert [configure(*system, "--seed", seed, model=model) for seed in "12"] == quick
