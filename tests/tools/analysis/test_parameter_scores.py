import pytest
import torch

from intra_distill.errors import UserError
from intra_distill.tools.analysis.parameter_scores import ParameterScores, read_scores, write_scores


def test_scores_come_back_as_they_were(tmp_path):
    torch.manual_seed(1)
    tensors = {"a.weight": torch.randn(3, 4), "b": torch.randn(())}
    scores = ParameterScores(tensors, "digest", {"batches": 100, "dropout": False}, 2.5)
    write_scores(tmp_path / "x.pt", scores)
    back = read_scores(tmp_path / "x.pt")
    assert back.tensors.keys() == tensors.keys()
    assert all(torch.equal(back.tensors[name], tensors[name]) for name in tensors)
    assert (back.checkpoint_sha256, back.options, back.loss) == ("digest", scores.options, 2.5)
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


@pytest.mark.parametrize(
    "content",
    [{"model": {}}, [1], {"tensors": 1, "checkpoint_sha256": "", "options": {}, "loss": 0}],
)
def test_other_files_are_refused(content, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(UserError, match="x.pt does not hold the scores that intra-distill"):
        read_scores(tmp_path / "x.pt")


@pytest.mark.parametrize("cut", [0, 10, 1000])
def test_part_of_a_file_is_refused(cut, tmp_path):
    path = tmp_path / "x.pt"
    write_scores(path, ParameterScores({"a": torch.ones(1000)}, "", {}, 1.0))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match="x.pt does not hold the scores"):
        read_scores(path)
