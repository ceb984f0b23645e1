"""Sentences whose words have tags: a word, a tab and its tag a line, an empty line in between."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...errors import UserError
from ...files import read_lines

OUTSIDE = "O"
SHOWN = 100  # characters of a file in an error message


class TaggedSentence(NamedTuple):
    """The words of a sentence, and as many tags."""

    words: list[str]
    tags: list[str]


@dataclass
class TagCounts:
    """What tagged sentences hold: how many words have each tag, and the entities of each type."""

    sentences: int = 0
    tags: Counter[str] = field(default_factory=Counter)
    entities: Counter[str] = field(default_factory=Counter)

    def add(self, tags: Sequence[str]) -> None:
        """Count a sentence."""
        self.sentences += 1
        self.tags.update(tags)
        in_order = sorted(entities(tags), key=lambda entity: entity[1])
        self.entities.update(kind for kind, _, _ in in_order)


def describe_entities(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {counts[name]:,}" for name in sorted(counts)) or "no entities"


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """The entities that the tags of a sentence mark, as seqeval's default mode finds them.

    A B-TYPE begins an entity, and so does an I-TYPE that does not continue one of its type.

    Args:
        tags: O, B-TYPE or I-TYPE of each word
    Returns:
        of each entity its type, its first word, and the word after its last
    """
    found = set()
    inside, start = "", 0  # the type of the entity that is open; empty for none
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        if inside and (prefix != "I" or kind != inside):
            found.add((inside, start, i))
            inside = ""
        if kind and not inside:
            inside, start = kind, i
    return found


def type_of(tag: str) -> str | None:
    """The type of the entity that a tag is of, or None."""
    return None if tag == OUTSIDE else tag[2:]


def tag_order(tag: str) -> tuple[str, str]:
    """The key that sorts tags as O, B-LOC, I-LOC, B-ORG and so on."""
    return type_of(tag) or "", tag


def read_tagged(
    path: Path,
    known: Collection[str] | None = None,
    name: str | None = None,
    prefixed: bool = False,
) -> Iterator[TaggedSentence]:
    """Yield the sentences of a file.

    A word may be empty or hold spaces. A byte order mark at the start of the file is skipped.

    Args:
        known: the tags that there are; None for all of the form O, B-TYPE and I-TYPE.
        name: of the file in error messages.
        prefixed: whether each word comes after its language and a colon.

    Raises:
        UserError: the file cannot be read or has no sentence; or a line, which is named, is not
            UTF-8, has a carriage return or NUL in it, no tag or further columns, or an unknown tag.
    """
    name = name or str(path)
    sentences, sentence = 0, TaggedSentence([], [])
    for number, line in enumerate(read_lines(path, name), start=1):
        if number == 1:
            line = line.removeprefix("\ufeff")
        if line.strip(" "):
            where = f"{name}, line {number}"
            word, tag = parse_line(line, where, known)
            sentence.words.append(without_language(word, where) if prefixed else word)
            sentence.tags.append(tag)
        elif sentence.words:
            yield sentence
            sentences, sentence = sentences + 1, TaggedSentence([], [])
    if sentence.words:
        yield sentence
    elif not sentences:
        raise UserError(f"{name} has no sentences")


def parse_line(line: str, where: str, known: Collection[str] | None) -> tuple[str, str]:
    word, *tags = line.split("\t")
    if len(tags) != 1:
        how_many = f"{len(tags) + 1} columns" if tags else "no tag"
        raise UserError(f"{where}: {how_many}: a line is a word, a tab and its tag")
    if "\r" in line or "\0" in line:
        raise UserError(f"{where}: a carriage return or NUL in the line: take it out")
    tag = tags[0]
    if known is None and not is_tag(tag):
        raise UserError(f"{where}: the tag is {tag[:SHOWN]!r}, not {OUTSIDE}, B-TYPE or I-TYPE")
    if known is not None and tag not in known:
        raise UserError(f"{where}: the tag is {tag[:SHOWN]!r}, not {' or '.join(known)}")
    return word, tag


def without_language(word: str, where: str) -> str:
    """What comes after the first colon, without white space around it, as XTREME reads it."""
    language, colon, word = word.partition(":")
    if not colon:
        raise UserError(f"{where}: {language[:SHOWN]!r} does not begin with a language and a colon")
    return word.strip()


def is_tag(tag: str) -> bool:
    return tag == OUTSIDE or (tag[:2] in ("B-", "I-") and [tag] == tag.split() and len(tag) > 2)
