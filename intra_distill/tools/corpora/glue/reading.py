"""Reads the splits of a task, and checks each line."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ....errors import UserError
from ....files import decode_lines
from .sources import TextFile
from .tasks import GlueTask, Table

LEAST_SCORE, GREATEST_SCORE = 0, 5  # of two sentences' similarity in STS-B
SHOWN = 100  # characters of a file in an error message

Row = tuple[str, dict[str, str] | None]  # the place of a line, and its columns unless it is dropped


class Example(NamedTuple):
    """A sentence or a pair, and its label as text where it is known."""

    first: str
    second: str | None
    label: str | None


@dataclass
class SplitCounts:
    """What a split holds: of each label how many examples, and how many lines were dropped."""

    labels: Counter[str | None] = field(default_factory=Counter)
    dropped: int = 0

    @property
    def sentences(self) -> int:
        return self.labels.total()

    @property
    def labelled(self) -> bool:
        return None not in self.labels


def check_split(task: GlueTask, split: str, files: dict[str, TextFile]) -> SplitCounts:
    """Read a split through, and count its examples.

    Raises:
        UserError: as :func:`read_split`, or it has no example.
    """
    counts = SplitCounts()
    for example in read_lines_of(task, split, files):
        if example is None:
            counts.dropped += 1
        else:
            counts.labels[example.label] += 1
    if not counts.sentences:
        raise UserError(f"{files[task.tables[split].file]} has no sentences for the {split} set")
    return counts


def read_split(task: GlueTask, split: str, files: dict[str, TextFile]) -> Iterator[Example]:
    """Yield the examples of a split in the order of the file.

    Args:
        files: what :func:`find_files` returned.

    Raises:
        UserError: a file cannot be read or is another task's, or a line, which is named, is not
            UTF-8, has another number of columns or a label that the task does not have.
    """
    return (example for example in read_lines_of(task, split, files) if example is not None)


def read_lines_of(
    task: GlueTask, split: str, files: dict[str, TextFile]
) -> Iterator[Example | None]:
    """Yield for each line of a split its example, or None if the line is dropped."""
    table = task.tables[split]
    file = files[table.file]
    is_test = split.startswith("test")
    rows = read_table(
        file,
        table,
        further_column=task.label if is_test else None,
        drop_odd_lines=task.drops_odd_lines and not is_test,
    )
    if table.held_out is not None:
        rows = select(task, file, rows, files, table.held_out)
    for where, row in rows:
        if row is None:
            yield None
            continue
        label = row.get(task.label)
        if label is not None:
            check_label(task, label, where)
        sentences = [row[name] for name in task.sentences]
        yield Example(sentences[0], sentences[1] if task.pairs else None, label)


def read_table(
    file: TextFile, table: Table, further_column: str | None, drop_odd_lines: bool
) -> Iterator[Row]:
    """Yield the lines of a table after its header.

    Args:
        further_column: what the table may have as its last column.
        drop_odd_lines: drop a line of another number of columns, which is an error otherwise.
    """
    columns = table.columns
    with file.open() as stream:
        for number, line in enumerate(decode_lines(stream, str(file)), start=1):
            fields = (line.removeprefix("\ufeff") if number == 1 else line).split("\t")
            where = f"{file}, line {number}"
            if number == 1 and table.header:
                if fields == [*columns, further_column]:
                    columns = (*columns, further_column)
                check_header(fields, columns, where)
            elif len(fields) == len(columns):
                yield where, dict(zip(columns, fields))
            elif drop_odd_lines:
                yield where, None
            else:
                raise UserError(
                    f"{where}: {len(fields)} columns, not {len(columns)}: the file is damaged or "
                    "of another task"
                )


def check_header(fields: list[str], columns: tuple[str, ...], where: str) -> None:
    if fields != [*columns]:
        found, expected = (", ".join(names)[:SHOWN] for names in (fields, columns))
        raise UserError(
            f"{where}: the columns are {found}, not {expected}: it is the file of another task or "
            "split"
        )


def select(
    task: GlueTask, file: TextFile, rows: Iterator[Row], files: dict[str, TextFile], held_out: bool
) -> Iterator[Row]:
    """Yield the pairs that are held out for the development set, or those that are not."""
    ids = task.dev_ids
    listed = {
        tuple(row.values())
        for _, row in read_table(files[ids.file], ids, further_column=None, drop_odd_lines=False)
    }
    found = set()
    for where, row in rows:
        pair = tuple(row[name] for name in ids.columns)
        if pair in listed:
            found.add(pair)
        if (pair in listed) == held_out:
            yield where, row
    if missing := listed - found:
        raise UserError(
            f"{files[ids.file]} names {' and '.join(min(missing))}, which {file} does not have"
        )


def check_label(task: GlueTask, label: str, where: str) -> None:
    """Raise UserError unless a label is one of the task's."""
    if task.classes is None:
        if not is_score(label):
            raise UserError(
                f"{where}: the score is {label[:SHOWN]!r}, not a number from {LEAST_SCORE} to "
                f"{GREATEST_SCORE}"
            )
    elif label not in task.classes:
        raise UserError(f"{where}: the label is {label[:SHOWN]!r}, not {' or '.join(task.classes)}")


def is_score(text: str) -> bool:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    return LEAST_SCORE <= score <= GREATEST_SCORE
