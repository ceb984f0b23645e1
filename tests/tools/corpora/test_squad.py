import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intra_distill.errors import UserError, one_line
from intra_distill.tools.corpora import squad
from intra_distill.tools.corpora.squad import Answer, read_squad, write_squad

from ...support.questions import ask, berlin, squad_json, write_json


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_squad(path)
    said = str(error.value)
    assert said == one_line(said) and str(path) in said
    return said


def test_what_is_written_is_read(tmp_path):
    awkward = [
        ask("a\u2028b", 'the "passage"\n\t\u0000 of 東京', "東京", "the", title="T\u00e9"),
        ask("empty", "", text=""),
        *[*berlin("ar", "x"), *berlin("de", "y", title="Berlin")],
        ask("late", "x", Answer("nowhere", 10**30), Answer("", -1)),
    ]
    write_squad(tmp_path / "train.json", awkward)
    assert read_squad(tmp_path / "train.json") == awkward
    articles = json.loads((tmp_path / "train.json").read_bytes())["data"]
    assert [len(article["paragraphs"]) for article in articles] == [1, 1, 2, 1]
    assert [len(each["qas"]) for each in articles[2]["paragraphs"]] == [2, 2]


def test_the_least_that_a_file_may_have(tmp_path):
    content = squad_json(is_impossible=False, answers=[])
    del content["data"][0]["title"]
    path = write_json(tmp_path / "a.json", content)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_squad(path) == [ask("7", "is here")]


@pytest.mark.parametrize(
    "answer, place",
    [
        (Answer("ab", 3), 3),
        (Answer("ab", 0), 0),
        (Answer("ab", 1), 0),
        (Answer("ab", 2), 3),
        (Answer("ab", 5), 6),  # as near as 3 + 1, and nearer
        (Answer("ab", -7), 0),
        (Answer("ab", 10**30), 6),
        (Answer("ab ", 5), 3),
        (Answer("abc", 0), None),
        (Answer("", 0), None),
        (Answer(" ", 2), None),
    ],
)
def test_an_answer_is_found_where_it_is_or_near(answer, place):
    assert answer.find("ab ab ab") == place


def without(*names: str | int) -> Callable[[Any], Any]:
    """Remove what a path leads to."""

    def edit(content: Any) -> Any:
        inner = content
        for name in names[:-1]:
            inner = inner[name]
        del inner[names[-1]]
        return content

    return edit


def entry(**changes: Any) -> Callable[[Any], Any]:
    return lambda _: squad_json(**changes)


QAS = ("data", 0, "paragraphs", 0, "qas")
FAULTS = {
    "a list": (lambda content: [content], r"is \[\{.*, not an object"),
    "no data": (without("data"), "has no 'data': it is not the JSON of SQuAD"),
    "data is a text": (lambda _: {"data": "x"}, "'data' is \"x\", not a list"),
    "an article is none": (lambda _: {"data": [None]}, r"data\[0\] is null, not an object"),
    "no paragraphs": (without("data", 0, "paragraphs"), r"data\[0\] has no 'paragraphs'"),
    "no context": (without(*QAS[:4], "context"), r"data\[0\].paragraphs\[0\] has no 'context'"),
    "no questions": (without(*QAS), r"paragraphs\[0\] has no 'qas'"),
    "no question": (without(*QAS, 0), "has no questions$"),
    "nothing": (lambda _: {"data": []}, "has no questions$"),
    "no id": (without(*QAS, 0, "id"), r"paragraphs\[0\].qas\[0\] has no 'id'"),
    "an id of digits": (entry(id=7), r"qas\[0\]: 'id' is 7, not text"),
    "no text": (without(*QAS, 0, "question"), "question 7 has no 'question'"),
    "text that is none": (entry(question=None), "question 7: 'question' is null, not text"),
    "no answers": (without(*QAS, 0, "answers"), "question 7 has no 'answers'"),
    "an answer alone": (entry(answers={}), "question 7: 'answers' is {}, not a list"),
    "an answer of text": (entry(answers=["x"]), r'7, answers\[0\] is "x", not an object'),
    "no place": (entry(answers=[{"text": "x"}]), r"7, answers\[0\] has no 'answer_start'"),
    **{
        f"the place {value}": (
            entry(answers=[{"text": "x", "answer_start": value}]),
            rf"7, answers\[0\]: 'answer_start' is {re.escape(json.dumps(value))}, not an integer",
        )
        for value in (True, None, 3.0, "3", float("nan"))
    },
    "SQuAD v2": (
        entry(is_impossible=True, answers=[]),
        "question 7 has no answer, as in SQuAD v2: leave such ones out",
    ),
    "half a character": (entry(question="a\ud800"), "'question' has a lone surrogate"),
    "commands to a terminal": (entry(id="\x1b[2J", answers=3), r"question \\x1b\[2J: 'answers'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_named(fault, tmp_path):
    edit, said = FAULTS[fault]
    path = write_json(tmp_path / "train.json", edit(squad_json()))
    assert re.search(said, refusal(path))


def test_an_id_comes_once(tmp_path):
    write_squad(tmp_path / "train.json", [*berlin("en", "x"), *berlin("de", "x")])
    assert "question x-0: its id is there twice" in refusal(tmp_path / "train.json")


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "line 1: no JSON"),
        (b'{"data": [\n{"title"', "line 2: no JSON"),
        (b"<!doctype html>", "line 1: no JSON"),
        ("{}".encode("utf-16"), "is not UTF-8"),
        (b'{"data": "\xe4"}', "is not UTF-8"),
        (b"[" * 100_000, "is not the JSON of SQuAD"),
        (b'{"data": ' + b"9" * 5_000 + b"}", "is not the JSON of SQuAD"),
    ],
)
def test_what_is_no_json_is_refused(content, said, tmp_path):
    (tmp_path / "train.json").write_bytes(content)
    assert said in refusal(tmp_path / "train.json")


def test_absurd_sizes_are_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "train.json"
    with open(path, "wb") as file:
        file.truncate(2**40)  # of zeros, which take no room
    assert "bytes, over 134,217,728: split it" in refusal(path)
    monkeypatch.setattr(squad, "MAX_CHARACTERS", 6)
    assert "'context' has 7 characters, over 6" in refusal(write_json(path, squad_json()))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    assert "No such file" in refusal(tmp_path / "none.json")
    assert "Is a directory" in refusal(tmp_path)
