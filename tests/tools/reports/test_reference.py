"""Published curves: what their files hold, and what is refused."""

import pytest

from intra_distill.errors import UserError
from intra_distill.tools.reports.reference import read_reference

from ...support.training import CONFIGS

HEAD = "source: others\nsubset: valid\nunit: bits per token\n"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*/references/*.yaml")), ids=lambda p: p.stem)
def test_the_curves_of_a_recipe_are_of_its_systems_and_their_readme_shows_them(path):
    reference = read_reference(path)
    assert (reference.subset, reference.unit) == ("valid", "bits per token")
    recipe = path.parents[1]
    assert all((recipe / f"{system}.yaml").is_file() for system in reference.curves)
    loss, nll_loss = reference.points("loss"), reference.points("nll_loss")
    text = (recipe / "README.md").read_text(encoding="utf-8")
    for update in loss["transformer"]:
        row = f"| {update:,} |"
        for system in ("transformer", "intra_x"):
            row += f" {loss[system][update]:.3f} / {nll_loss[system][update]:.3f} |"
        assert row in text


def test_a_statistic_of_some_systems_and_the_perplexity(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(
        HEAD + "curves: {a: {loss: {20: 2, 3: 4.5}, nll_loss: {3: 3}}, b: {loss: {1: 1}}}"
    )
    reference = read_reference(path)
    assert list(reference.points("loss")["a"].items()) == [(3, 4.5), (20, 2.0)]
    assert reference.points("loss")["b"] == {1: 1.0}
    assert reference.points("nll_loss") == {"a": {3: 3.0}}
    assert reference.points("ppl") == {"a": {3: 8.0}}
    with pytest.raises(UserError, match="x.yaml has no curve of accuracy, but of loss, nll_loss"):
        reference.points("accuracy")


@pytest.mark.parametrize(
    "text, refusal",
    [
        ("subset: valid\nunit: bits\ncurves: {a: {loss: {1: 1}}}", "source must be text"),
        ("source: x\nsubset: 1\nunit: bits\ncurves: {a: {loss: {1: 1}}}", "subset must be text"),
        ("source: x\nsubset: v\nunit: ' '\ncurves: {a: {loss: {1: 1}}}", "unit must be text"),
        (HEAD, "curves must be a group"),
        (HEAD + "curves: {}", "curves must be a group"),
        (HEAD + "curves: [1]", "curves must be a group"),
        (HEAD + "curves: {a: 1}", "curves.a must be a group"),
        (HEAD + "curves: {a: {loss: [1, 2]}}", "curves.a.loss must be a group"),
        (HEAD + "curves: {a: {loss: {}}}", "curves.a.loss must be a group"),
        (HEAD + "curves: {a: {loss: {x: 1}}}", "curves.a.loss: 'x' is no update"),
        (HEAD + "curves: {a: {loss: {0: 1}}}", "curves.a.loss: 0 is no update"),
        (HEAD + "curves: {a: {loss: {1.5: 1}}}", "curves.a.loss: 1.5 is no update"),
        (HEAD + "curves: {a: {loss: {true: 1}}}", "curves.a.loss: True is no update"),
        (HEAD + "curves: {a: {loss: {1: x}}}", "curves.a.loss.1: 'x' is no finite number"),
        (HEAD + "curves: {a: {loss: {1: true}}}", "curves.a.loss.1: True is no finite number"),
        (HEAD + "curves: {a: {loss: {1: .nan}}}", "curves.a.loss.1: nan is no finite number"),
        ("", "source must be text"),
    ],
)
def test_what_holds_no_curves_is_refused_by_what_is_wrong(tmp_path, text, refusal):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        read_reference(path)
    assert "x.yaml" in str(refused.value) and refusal in str(refused.value)
