import pytest
import torch

from intra_distill.tools.analysis import violins
from intra_distill.tools.analysis.violins import draw_violins, sample


def test_the_sample_is_every_tenth_without_the_top_1_percent():
    assert sample(torch.arange(1000.0)).tolist() == list(range(0, 990, 10))


def test_the_sample_of_a_large_model_is_bounded(monkeypatch):
    monkeypatch.setattr(violins, "MOST_VALUES", 50)
    values = sample(torch.arange(10_000.0))
    assert 50 <= len(values) <= 51 and values[-1] >= 9900 - 10_000 / 50


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_is_drawn_for_any_distribution(suffix, tmp_path):
    samples = {"a": torch.rand(100).pow(9), "zeros": torch.zeros(10), "one": torch.ones(1)}
    path = tmp_path / f"x.{suffix}"
    draw_violins(path, samples, {"a": 0.1, "zeros": 0.0, "one": 0.0}, "sensitivity")
    assert path.stat().st_size > 1000 and list(tmp_path.iterdir()) == [path]
