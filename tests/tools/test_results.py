from dataclasses import replace

import pytest

from intra_distill.errors import UserError
from intra_distill.files import sha256
from intra_distill.tools.scoring.results import (
    read_hypotheses,
    read_result,
    why_incomparable,
    write_result,
)

from .test_grid import make_result


def test_a_result_is_read_as_it_was_written(tmp_path):
    test = {"p_value": 0.1}
    result = make_result(seed=7, significance={"tests": {"BLEU": test, "chrF": test}})
    write_result(tmp_path / "test.json", result)
    assert read_result(tmp_path / "test.json") == result
    assert result.checkpoint.seed == 7


def test_a_test_set_knows_its_language_pair():
    assert make_result(pair="zh_cn-en").test_set.pair == "zh_cn-en"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"system": "a"}'])
def test_other_json_is_refused(text, tmp_path):
    (tmp_path / "test.json").write_text(text)
    with pytest.raises(UserError, match="test.json is not a result of intra-distill evaluate"):
        read_result(tmp_path / "test.json")


def test_results_on_the_same_references_compare_wherever_these_are():
    result, other = make_result(), make_result("other", beam=1)
    moved = replace(other, test_set=replace(other.test_set, data="elsewhere"))
    assert why_incomparable(moved, result.test_set, result.signatures) == ""
    nl = make_result(pair="nl-en")
    assert "are others" in why_incomparable(nl, result.test_set, result.signatures)
    signatures = {**result.signatures, "BLEU": "tok:intl"}
    assert why_incomparable(result, result.test_set, signatures).startswith("its BLEU is nrefs:1")


def test_hypotheses_must_be_those_that_were_scored(tmp_path):
    path = tmp_path / "test.hyp.en"
    path.write_text("one\n\nthree\n")
    result = make_result(hypotheses_sha256=sha256(path))
    assert read_hypotheses(tmp_path, result) == ["one", "", "three"]
    path.write_text("one\n")
    with pytest.raises(UserError, match="no longer what was scored: evaluate transformer again"):
        read_hypotheses(tmp_path, result)
    path.unlink()
    with pytest.raises(UserError, match="the hypotheses of transformer, is not there"):
        read_hypotheses(tmp_path, result)
