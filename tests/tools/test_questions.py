import json

import pytest

from intra_distill.errors import UserError, one_line
from intra_distill.files import write_lines
from intra_distill.tools.questions import (
    Question,
    Span,
    Window,
    as_line,
    read_questions,
)

QUESTION = {"id": "a", "passage": "one two", "spans": [[0, 3], [3, 3], [4, 7]]}
QUESTION |= {"windows": [[5, 0, 2], [5, 1, 2]]}


def test_what_is_written_is_read(tmp_path):
    questions = [
        Question("a\n\u2028", "الف\r\n\0 ﬁ", (Span(0, 3), Span(3, 3)), (Window(4, 0, 2),)),
        Question("", "", (), (Window(3, 0, 0),)),
        Question("b", "x y", (Span(0, 1), Span(2, 3)), (Window(9, 0, 1), Window(9, 1, 1))),
    ]
    write_lines(tmp_path / "test.questions", map(as_line, questions))
    assert list(read_questions(tmp_path / "test.questions")) == questions


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 7},
        {"passage": None},
        {"passage": "one tw"},
        {"passage": ["one"]},
        {"spans": None},
        {"spans": [0, 3]},
        {"spans": [[0, 3, 4]]},
        {"spans": [[2, 1], [3, 3], [4, 7]]},
        {"spans": [[-1, 3], [3, 3], [4, 7]]},
        {"spans": [[0, 3.0], [3, 3], [4, 7]]},
        {"spans": [[False, True], [3, 3], [4, 7]]},
        {"spans": [[0, 10**30], [3, 3], [4, 7]]},
        {"spans": {"0": 1}},
        {"windows": []},
        {"windows": [[5, 0]]},
        {"windows": [[5, 2, 2]]},
        {"windows": [[5, 0, -1]]},
        {"windows": [[5, -3, 2]]},
        {"windows": ["503"]},
        {"windows": 3},
    ],
)
def test_what_no_preparation_wrote_is_refused(changes, tmp_path):
    path = tmp_path / "test.questions"
    path.write_text(json.dumps(QUESTION) + "\n" + json.dumps({**QUESTION, **changes}) + "\n")
    reading = read_questions(path)
    assert next(reading).id == "a"
    with pytest.raises(UserError, match="line 2: it is not what intra-distill prepare-spans wrote"):
        next(reading)


@pytest.mark.parametrize("line", ["", "{", "[]", "3", "{}", "[" * 100_000, "9" * 5_000])
def test_other_lines_are_refused(line, tmp_path):
    path = tmp_path / "x"
    path.write_text(f"{line}\n")
    with pytest.raises(UserError, match=f"{path}, line 1: it is not what") as error:
        list(read_questions(path))
    assert str(error.value) == one_line(str(error.value))
