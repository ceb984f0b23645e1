"""What a data directory of labelled text says of itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from intra_distill import WITHOUT_FAIRSEQ
from intra_distill.errors import UserError
from intra_distill.tools.labelled import LabelledSplit, is_labelled, open_labelled, reference

ROOT = Path(__file__).parents[2]
COMMANDS = "intra-distill glue, intra-distill prepare-tags or intra-distill prepare-spans"
REPORT = {
    "form": "sentences",
    "dataset": "mnli",
    "classes": ["contradiction", "entailment", "neutral"],
    "metrics": ["accuracy"],
    "pairs": True,
    "splits": {
        "train": {"dataset": "mnli", "sentences": 9, "labelled": True, "more": 0},
        "test1": {"dataset": "mnli-mm", "sentences": 2, "labelled": False},
    },
}


@pytest.fixture
def data(tmp_path) -> Path:
    for folder in ("input0", "input1"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "dict.txt").write_text("a 1\n")
    (tmp_path / "labels.json").write_text(json.dumps(REPORT))
    return tmp_path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        open_labelled(path)
    return str(error.value)


def test_a_finished_directory_is_read(data):
    labelled = open_labelled(data)
    assert is_labelled(data)
    assert labelled.dataset == "mnli" and labelled.metrics == ("accuracy",) and labelled.pairs
    assert labelled.classes == ("contradiction", "entailment", "neutral")
    assert labelled.splits == {
        "train": LabelledSplit("mnli", 9, labelled=True),
        "test1": LabelledSplit("mnli-mm", 2, labelled=False),
    }
    assert reference("valid1") == "valid1.ref"


def test_regression_has_no_classes(data):
    (data / "labels.json").write_text(json.dumps({**REPORT, "classes": None}))
    assert open_labelled(data).classes is None


def test_what_is_not_finished_is_refused(data):
    (data / "labels.json").unlink()
    assert not is_labelled(data)
    assert f"has no labels.json: make it by {COMMANDS}" in refusal(data)
    assert "has no labels.json" in refusal(data / "none")
    assert "has no labels.json" in refusal(data / "input0" / "dict.txt")
    (data / ".partial").mkdir()
    (data / ".partial" / "request.json").write_text("{}")
    assert "is unfinished: run the same preparation again" in refusal(data)


@pytest.mark.parametrize(
    "content",
    [
        *["", "{", "[]", "3", "null", "{}", "[" * 100_000],
        *(json.dumps({name: value for name, value in REPORT.items() if name != k}) for k in REPORT),
        *(json.dumps({**REPORT, name: 3}) for name in ("form", "classes", "metrics", "splits")),
        json.dumps({**REPORT, "splits": {"valid": {"dataset": "mnli"}}}),
        json.dumps({**REPORT, "splits": {"valid": None}}),
        '{"dataset": "\udcff"}',
    ],
)
def test_another_report_is_refused(data, content):
    (data / "labels.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert f"labels.json is not what {COMMANDS} wrote: make it again" in refusal(data)


@pytest.mark.parametrize("folder", ["input0", "input1"])
def test_a_missing_dictionary_is_named(data, folder):
    (data / folder / "dict.txt").unlink()
    assert f"has no {folder}/dict.txt" in refusal(data)


def test_torch_and_fairseq_are_not_imported():
    program = (
        "import sys, intra_distill.tools.labelled; print(*{'torch', 'fairseq'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, WITHOUT_FAIRSEQ: "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"
