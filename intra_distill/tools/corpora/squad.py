"""Reads and writes questions in the JSON of SQuAD v1.1 (Rajpurkar et al., 2016).

TyDiQA-GoldP, XQuAD and MLQA have the same form, in any language.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError
from ...files import write_json

MAX_BYTES = 2**27  # of a file: JSON takes up to 30 times its size in memory
MAX_CHARACTERS = 2**20  # of a text
SHOWN = 100  # characters of a file in an error message
KINDS = {str: "text", list: "a list", int: "an integer"}


class Answer(NamedTuple):
    """A gold answer, and the character of the passage at which the file has it."""

    text: str
    start: int

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()

    def find(self, passage: str) -> int | None:
        """Where the passage has the answer: at its place or, failing that, as near as possible."""
        if self.is_blank:
            return None
        place = max(self.start, 0)
        before = passage.rfind(self.text, 0, place + len(self.text))
        after = passage.find(self.text, place)
        return min(
            (found for found in (before, after) if found >= 0),
            key=lambda found: abs(found - self.start),
            default=None,
        )


class SquadQuestion(NamedTuple):
    """A question on a passage, and its gold answers.

    Attributes:
        title: of the article that the passage is from; empty if the file has none.
    """

    title: str
    passage: str
    id: str
    text: str
    answers: tuple[Answer, ...]


def read_squad(path: Path) -> list[SquadQuestion]:
    """Read all questions of a file, in its order.

    Raises:
        UserError: the file cannot be read, is too large or is no JSON; something, which is named,
            is missing or of another type; two questions have the same id; a question has no answer
            (SQuAD v2); or there is no question.
    """
    questions, ids = [], set()
    for question in walk(path, read_file(path)):
        if question.id in ids:
            raise UserError(f"{path}, question {question.id[:SHOWN]}: its id is there twice")
        ids.add(question.id)
        questions.append(question)
    if not questions:
        raise UserError(f"{path} has no questions")
    return questions


def read_file(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{path} has {size:,} bytes, over {MAX_BYTES:,}: split it")
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: no JSON ({error.msg})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error.reason})") from error
    except (ValueError, RecursionError) as error:  # a number of many digits, lists in lists
        raise UserError(f"{path} is not the JSON of SQuAD: {error}") from error


def walk(path: Path, content: Any) -> Iterator[SquadQuestion]:
    """Yield the questions of a file's content."""
    for i, article in enumerate(member(content, "data", list, str(path))):
        place = f"{path}, data[{i}]"
        title = text_of(article, "title", place) if "title" in as_object(article, place) else ""
        for j, paragraph in enumerate(member(article, "paragraphs", list, place)):
            inner = f"{place}.paragraphs[{j}]"
            passage = text_of(paragraph, "context", inner)
            for k, entry in enumerate(member(paragraph, "qas", list, inner)):
                name = text_of(entry, "id", f"{inner}.qas[{k}]")
                where = f"{path}, question {name[:SHOWN]}"
                if entry.get("is_impossible"):
                    raise UserError(f"{where} has no answer, as in SQuAD v2: leave such ones out")
                text = text_of(entry, "question", where)
                answers = [
                    Answer(
                        text_of(answer, "text", f"{where}, answers[{n}]"),
                        member(answer, "answer_start", int, f"{where}, answers[{n}]"),
                    )
                    for n, answer in enumerate(member(entry, "answers", list, where))
                ]
                yield SquadQuestion(title, passage, name, text, tuple(answers))


def as_object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where} is {json.dumps(value)[:SHOWN]}, not an object")
    return value


def member(parent: Any, name: str, kind: type, where: str) -> Any:
    """A member of a JSON object, of this type exactly: true is no integer."""
    if name not in as_object(parent, where):
        raise UserError(f"{where} has no {name!r}: it is not the JSON of SQuAD")
    value = parent[name]
    if type(value) is not kind:
        raise UserError(f"{where}: {name!r} is {json.dumps(value)[:SHOWN]}, not {KINDS[kind]}")
    return value


def text_of(parent: Any, name: str, where: str) -> str:
    text = member(parent, name, str, where)
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"{where}: {name!r} has {len(text):,} characters, over {MAX_CHARACTERS:,}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f"{where}: {name!r} has a lone surrogate, which is not text") from error
    return text


def write_squad(path: Path, questions: Iterable[SquadQuestion]) -> None:
    """Write questions as a file that :func:`read_squad` reads; those of a passage together."""
    articles = []
    for title, of_article in groupby(questions, key=lambda each: each.title):
        paragraphs = [
            {"context": passage, "qas": [describe(each) for each in of_passage]}
            for passage, of_passage in groupby(of_article, key=lambda each: each.passage)
        ]
        articles.append({"title": title, "paragraphs": paragraphs})
    write_json(path, {"version": "1.1", "data": articles})


def describe(question: SquadQuestion) -> dict[str, Any]:
    answers = [{"text": text, "answer_start": start} for text, start in question.answers]
    return {"id": question.id, "question": question.text, "answers": answers}
