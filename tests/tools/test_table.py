import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from intra_distill.tools import UserError, table
from intra_distill.tools.evaluate import Checkpoint, Result, TestSet

TEST_SET = TestSet(
    data="data",
    subset="test",
    source_lang="de",
    target_lang="en",
    lowercase=True,
    sentences=2,
    source_sha256="a",
    references="test.ref.en",
    references_sha256="b",
)
BASE = Result(
    system="base",
    scores={"BLEU": 29.649, "chrF": 52.04},
    signatures={"BLEU": "nrefs:1|tok:13a", "chrF": "nrefs:1|nc:6"},
    significance=None,
    test_set=TEST_SET,
    checkpoint=Checkpoint("c.pt", "c", updates=4500, training_seconds=754.6, parameters=10),
    beam=5,
    lenpen=1.0,
    hypotheses="test.hyp.en",
    hypotheses_sha256="d",
    generator_arguments=[],
    versions={},
)


def write(path: Path, result: Result) -> Path:
    path.write_text(json.dumps(asdict(result)))
    return path


def test_table(tmp_path, capsys):
    slow = replace(BASE.checkpoint, updates=9000, training_seconds=3723.0)
    better = replace(
        BASE,
        system="id|x",
        scores={"BLEU": 32.751, "chrF": 51.96},
        checkpoint=slow,
        test_set=replace(TEST_SET, data="elsewhere"),
    )
    paths = [write(tmp_path / "1.json", BASE), write(tmp_path / "2.json", better)]
    parser = argparse.ArgumentParser()
    table.add_arguments(parser)
    table.main(parser.parse_args([str(path) for path in paths]))
    # 32.8 - 29.6: the difference of what is shown, not of 32.751 - 29.649
    assert capsys.readouterr().out == (
        "| System | BLEU | chrF | updates | training time |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| base | 29.6 | 52.0 | 4500 | 12:35 |\n"
        r"| id\|x | 32.8 (+3.2) | 52.0 (+0.0) | 9000 | 1:02:03 |"
        "\n\n"
        "- BLEU: `nrefs:1|tok:13a`\n"
        "- chrF: `nrefs:1|nc:6`\n"
    )


@pytest.mark.parametrize(
    "seconds, expected",
    [(4.4, "0:04"), (59.6, "1:00"), (3599.4, "59:59"), (3599.6, "1:00:00"), (90000, "25:00:00")],
)
def test_duration(seconds, expected):
    assert table.duration(seconds) == expected


@pytest.mark.parametrize(
    "other, why",
    [
        (
            replace(BASE, test_set=replace(TEST_SET, subset="valid")),
            "its subset is valid, not test",
        ),
        (
            replace(BASE, test_set=replace(TEST_SET, data="new", references_sha256="x")),
            "its references, new/test.ref.en, are others",
        ),
        (
            replace(BASE, signatures={**BASE.signatures, "chrF": "nc:4"}),
            r"its chrF is nc:4, not nrefs:1\|nc:6",
        ),
    ],
)
def test_results_that_do_not_compare_are_refused(other, why, tmp_path):
    same, base = write(tmp_path / "same.json", BASE), write(tmp_path / "base.json", BASE)
    paths = [base, same, write(tmp_path / "other.json", other)]
    with pytest.raises(UserError, match=f"other.json cannot .* one table with .*base.json: {why}$"):
        table.markdown_table(paths)


def test_other_files_are_refused(tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"system": "base"}')
    with pytest.raises(UserError, match="other.json is not a result of intra-distill evaluate"):
        table.markdown_table([write(tmp_path / "base.json", BASE), other])
    with pytest.raises(UserError, match="none.json: No such file"):
        table.markdown_table([tmp_path / "none.json"])
