"""Hostile files: results and data directories.

What a stranger wrote is read as data, of the types that are expected, and shown as text.
"""

import json
import os
from dataclasses import asdict, replace

import pytest

from intra_distill.cli import main
from intra_distill.files import sha256, write_json

from ..support.results import make_result

HOSTILE_TEXT = ["\x1b]0;owned\x07", "a\nb", "a\r| b |", "a\x00", "a\u202eb", "\x9b2J", 1, None, []]
SEARCH, TEST_SET = (asdict(make_result())[part] for part in ("search", "test_set"))
HOSTILE_FIELDS = [
    *({"system": text} for text in HOSTILE_TEXT),
    *({"signatures": {"BLEU": text, "chrF": "x"}} for text in HOSTILE_TEXT),
    *({"scores": {"BLEU": x, "chrF": 1.0}} for x in (float("nan"), float("inf"), "1", True, None)),
    {"scores": {"BLEU": 10**400, "chrF": 1.0}},
    {"scores": {}, "signatures": {}},
    {"scores": {"BLEU": 1.0}},
    {"search": None},
    *({"search": {**SEARCH, **changes}} for changes in ({"beam": 5.0}, {"lenpen": float("-inf")})),
    {"tokenizer": None},
    {"output": "../../../etc/passwd"},
    {"output": "/etc/passwd"},
    {"output": ""},
    {"significance": {"tests": {"BLEU": {"p_value": "\x1b[2J"}, "chrF": {"p_value": 1}}}},
    {"significance": {"tests": {"BLEU": {}}}},
    {"significance": {"tests": {}}},
    {"significance": []},
    {"test_set": None},
    *(
        {"test_set": {**TEST_SET, **changes}}
        for changes in (
            {"text": None},
            {"classes": ["a", "b"]},
            {"classes": ["\x1b[2J"]},
            {"input_sha256": {"\x1b[2J": "a"}},
            {"dataset": "\x1b[2J"},
            {"references": "../valid.ref"},
        )
    ),
    {"task": "a\nb"},
    {"overrides": ["\x1b[2J"]},
    {"overrides": "task.num_passes=5"},
    {"primary_metric": "TER"},
    {"versions": {"\x1b": ""}},
    {"unknown": 1},
]


@pytest.mark.parametrize("changes", HOSTILE_FIELDS, ids=ascii)
def test_a_result_of_other_types_is_refused(changes, tmp_path, refusal, capsys):
    path = tmp_path / "test.json"
    path.write_text(json.dumps({**asdict(make_result()), **changes}))
    assert "is not a result of intra-distill evaluate" in refusal(main, ["table", str(path)])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "\x1b[2J", '"\\ud800"', "\xff" * 9, "null"],
    ids=range(7),
)
def test_other_json_is_refused(text, tmp_path, refusal):
    (tmp_path / "test.json").write_bytes(text.encode("latin-1"))
    refusal(main, ["table", str(tmp_path)])


def test_what_never_ends_is_not_read(tmp_path, refusal):
    os.mkfifo(tmp_path / "test.json")
    refusal(main, ["table", str(tmp_path)])
    (tmp_path / "test.json").unlink()
    (tmp_path / "test.json").symlink_to("/dev/zero")
    refusal(main, ["table", str(tmp_path)])


def test_markup_in_a_name_stays_text(tmp_path, inject, capsys):
    name = "<script>alert(1)</script>|<img src=x>"
    write_json(tmp_path / "test.json", asdict(make_result(name)))
    main(["table", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "<" not in shown and r"&lt;/script&gt;\|&lt;img" in shown
    inject()


def test_a_hypothesis_file_is_read_as_text(tmp_path, inject):
    """sha256 of what a result names is all that is done with it, unless it is the right file."""
    hypotheses = tmp_path / "test.hyp.en"
    hypotheses.symlink_to("/dev/zero")
    result = make_result(output=hypotheses.name)
    other = replace(make_result("other"), output_sha256=sha256("/dev/null"))
    for number, each in enumerate((result, other)):
        (tmp_path / str(number)).mkdir()
        write_json(tmp_path / str(number) / "test.json", asdict(each))
    main(["table", str(tmp_path)])
    inject()


@pytest.mark.parametrize(
    "options",
    [
        {"source_lang": "../de", "target_lang": "en"},
        {"source_lang": "de", "target_lang": "en/../../evil"},
        {"source_lang": "de", "target_lang": ["\x1b[2J"]},
        {"source_lang": "\x1b[2J", "target_lang": "en"},
        {},
        [],
        "[" * 100_000,
    ],
    ids=range(7),
)
def test_a_data_directory_with_hostile_options_is_refused(
    options, prepared, checkpoint, tmp_path, refusal
):
    data, results = tmp_path / "data", tmp_path / "results"
    data.mkdir()
    for file in prepared.iterdir():
        if file.name != "prepare.json":
            (data / file.name).symlink_to(file)
    text = options if isinstance(options, str) else json.dumps({"options": options})
    (data / "prepare.json").write_text(text)
    command = ["evaluate", str(data), "--path", str(checkpoint), "--results-path", str(results)]
    refusal(main, [*command, "--cpu"])
    assert not results.exists()
