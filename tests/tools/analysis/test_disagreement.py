import math

import pytest
import torch

from intra_distill.cli import main
from intra_distill.tools.analysis.disagreement import disagree, read_pair
from intra_distill.tools.analysis.training_data import open_training_data


def test_the_passes_disagree_as_equation_8_says(prepared, checkpoint):
    data = open_training_data(prepared)
    task, sentence = data.task, read_pair(data, "test", 3)
    system = disagree(task, checkpoint, sentence, num_passes=4, seed=1)
    assert system.lprobs.shape == (4, len(sentence.target), len(task.target_dictionary))
    torch.testing.assert_close(system.lprobs.exp().sum(-1), torch.ones(4, len(sentence.target)))
    p = system.lprobs.exp().double()
    mean = p.mean(dim=0)
    by_definition = (p * (p / mean).log() + mean * (mean / p).log()).sum(-1).mean(0) / math.log(2)
    torch.testing.assert_close(system.divergence.double(), by_definition, rtol=1e-4, atol=1e-6)
    assert (system.divergence > 0).all()
    again = disagree(task, checkpoint, sentence, num_passes=4, seed=1)
    torch.testing.assert_close(again.lprobs, system.lprobs, rtol=0, atol=0)
    other = disagree(task, checkpoint, sentence, num_passes=4, seed=2)
    assert not torch.equal(other.lprobs, system.lprobs)


def test_a_panel_for_each_pass_of_each_system(prepared, checkpoint, distilled, tmp_path, figures):
    paths = [str(checkpoint), str(distilled)]
    options = ["--names", "a,b$", "--line", "2", "--plot", str(tmp_path / "passes.png")]
    main(["plot", "passes", str(prepared), "--path", *paths, *options])
    (figure,) = figures
    assert len(figure.axes) == 2 * 3
    assert [figure.axes[row * 3].get_ylabel() for row in range(2)] == ["a", "b$"]
    data = open_training_data(prepared)
    task, sentence = data.task, read_pair(data, "test", 2)
    system = disagree(task, checkpoint, sentence, num_passes=3, seed=1)
    position = int(system.divergence.argmax())
    for i, axes in enumerate(figure.axes[:3]):
        widths = [bar.get_width() for bar in axes.patches]
        words = system.lprobs[:, position].exp().mean(0).topk(len(widths)).indices
        probs = system.lprobs[i, position, words].exp().tolist()
        assert widths == pytest.approx(probs)
    said = figure.axes[2].get_title(loc="right")
    assert said.startswith(f"{system.divergence[position]:.2f} bits here")
