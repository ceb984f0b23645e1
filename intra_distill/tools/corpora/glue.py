"""The tasks of GLUE (Wang et al., 2019) and their files, as GLUE distributes them."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, NamedTuple

from ...errors import UserError
from ...files import decode_lines
from .download import Remote, fetch, is_url
from .zip_archive import open_member

BASE = "https://dl.fbaipublicfiles.com/glue/data/"
SENTEVAL = "https://dl.fbaipublicfiles.com/senteval/senteval_data/"
LEAST_SCORE, GREATEST_SCORE = 0, 5  # of two sentences' similarity in STS-B
SHOWN = 100  # characters of a file in an error message


@dataclass(frozen=True)
class Table:
    """A file of columns that tabs separate; a quotation mark is text as any other character.

    Attributes:
        file: its name.
        columns: their names, which are the first line if the file has a header.
        dataset: the data set that results on it are of, where that is not the task.
        held_out: whether it is read for the pairs of :attr:`GlueTask.dev_ids` or for the others;
            None for all of it.
    """

    file: str
    columns: tuple[str, ...]
    header: bool = True
    dataset: str | None = None
    held_out: bool | None = None


@dataclass(frozen=True)
class GlueTask:
    """A task of GLUE.

    Attributes:
        name: the name of its data set.
        folder: the folder of its files.
        sentences: the columns of its sentences, one or two.
        label: the column of the label. A test file may lack it, or have it as its last column.
        classes: in the order of their ids, the positive one of F1 and MCC second; None if the
            labels are scores.
        metrics: their names in results, the primary one first.
        tables: by fairseq's name of the split.
        archive: holds the files, except for ``single_files``.
        single_files: what is fetched one by one.
        dev_ids: the pairs of the training file that are the development set.
        drops_odd_lines: leave out training and development lines of another number of columns.
    """

    name: str
    folder: str
    sentences: tuple[str, ...]
    label: str
    classes: tuple[str, ...] | None
    metrics: tuple[str, ...]
    tables: dict[str, Table]
    archive: Remote | None = None
    single_files: tuple[Remote, ...] = ()
    dev_ids: Table | None = None
    drops_odd_lines: bool = False

    @property
    def pairs(self) -> bool:
        return len(self.sentences) == 2

    @property
    def archived(self) -> list[str]:
        """The names of the files in the archive."""
        names = dict.fromkeys(table.file for table in self.tables.values())
        return [name for name in names if name not in self.single]

    @property
    def single(self) -> dict[str, Remote]:
        """The files that are fetched one by one, by name."""
        return {remote.name: remote for remote in self.single_files}

    def dataset(self, split: str) -> str:
        return self.tables[split].dataset or self.name


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


@dataclass(frozen=True)
class TextFile:
    """A file, or a member of a .zip archive."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}, {self.member}"

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it to read bytes; UserError if that fails."""
        if self.member is not None:
            with open_member(self.path, self.member) as stream:
                yield stream
            return
        try:
            with open(self.path, "rb") as file:
                yield file
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror}") from error

    def sha256(self) -> str:
        with self.open() as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def glue_remote(name: str, size: int, sha256: str, base: str = BASE) -> Remote:
    return Remote(base + name, size, sha256)


def train_dev_test(columns: str, test: str) -> dict[str, Table]:
    """The three files of most tasks, by the columns of the first two and of the last."""
    return {
        "train": Table("train.tsv", tuple(columns.split())),
        "valid": Table("dev.tsv", tuple(columns.split())),
        "test": Table("test.tsv", tuple(test.split())),
    }


BINARY = ("0", "1")
COLA = ("source", "label", "mark", "sentence")
STS_B = "index genre filename year old_index source1 source2 sentence1 sentence2"
MRPC = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
MNLI = tuple(
    "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse "
    "sentence2_parse sentence1 sentence2".split()
)
MNLI_DEV = (*MNLI, "label1", "label2", "label3", "label4", "label5", "gold_label")

TASKS = {
    task.name: task
    for task in (
        GlueTask(
            "cola",
            "CoLA",
            sentences=("sentence",),
            label="label",
            classes=BINARY,
            metrics=("MCC", "accuracy"),
            tables={
                "train": Table("train.tsv", COLA, header=False),
                "valid": Table("dev.tsv", COLA, header=False),
                "test": Table("test.tsv", ("index", "sentence")),
            },
            archive=glue_remote(
                "CoLA.zip",
                376_971,
                "f212fcd832b8f7b435fb991f101abf89f96b933ab400603bf198960dfc32cbff",
            ),
        ),
        GlueTask(
            "sst-2",
            "SST-2",
            sentences=("sentence",),
            label="label",
            classes=BINARY,
            metrics=("accuracy",),
            tables=train_dev_test("sentence label", "index sentence"),
            archive=glue_remote(
                "SST-2.zip",
                7_439_277,
                "d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa",
            ),
        ),
        GlueTask(
            "mrpc",
            "MRPC",
            sentences=("#1 String", "#2 String"),
            label="Quality",
            classes=BINARY,
            metrics=("F1", "accuracy"),
            tables={
                "train": Table("msr_paraphrase_train.txt", MRPC, held_out=False),
                "valid": Table("msr_paraphrase_train.txt", MRPC, held_out=True),
                "test": Table("msr_paraphrase_test.txt", MRPC),
            },
            single_files=(
                glue_remote(
                    "msr_paraphrase_train.txt",
                    1_047_044,
                    "60a9b09084528f0673eedee2b69cb941920f0b8cd0eeccefc464a98768457f89",
                    SENTEVAL,
                ),
                glue_remote(
                    "msr_paraphrase_test.txt",
                    441_275,
                    "a04e271090879aaba6423d65b94950c089298587d9c084bf9cd7439bd785f784",
                    SENTEVAL,
                ),
                glue_remote(
                    "mrpc_dev_ids.tsv",
                    6_222,
                    "971d7767d81b997fd9060ade0ec23c4fc31cbb226a55d1bd4a1bac474eb81dc7",
                ),
            ),
            dev_ids=Table("mrpc_dev_ids.tsv", ("#1 ID", "#2 ID"), header=False),
        ),
        GlueTask(
            "qqp",
            "QQP",
            sentences=("question1", "question2"),
            label="is_duplicate",
            classes=BINARY,
            metrics=("F1", "accuracy"),
            tables=train_dev_test(
                "id qid1 qid2 question1 question2 is_duplicate", "id question1 question2"
            ),
            archive=glue_remote(
                "QQP-clean.zip",
                41_696_084,
                "40e7c862c04eb26ee04b67fd900e76c45c6ba8e6d8fab4f8f1f8072a1a3fbae0",
            ),
            drops_odd_lines=True,
        ),
        GlueTask(
            "sts-b",
            "STS-B",
            sentences=("sentence1", "sentence2"),
            label="score",
            classes=None,
            metrics=("Pearson", "Spearman"),
            tables=train_dev_test(f"{STS_B} score", STS_B),
            archive=glue_remote(
                "STS-B.zip",
                802_872,
                "e60a6393de5a8b5b9bac5020a1554b54e3691f9d600b775bd131e613ac179c85",
            ),
        ),
        GlueTask(
            "mnli",
            "MNLI",
            sentences=("sentence1", "sentence2"),
            label="gold_label",
            classes=("contradiction", "entailment", "neutral"),
            metrics=("accuracy",),
            tables={
                "train": Table("train.tsv", (*MNLI, "label1", "gold_label")),
                "valid": Table("dev_matched.tsv", MNLI_DEV, dataset="mnli-m"),
                "valid1": Table("dev_mismatched.tsv", MNLI_DEV, dataset="mnli-mm"),
                "test": Table("test_matched.tsv", MNLI, dataset="mnli-m"),
                "test1": Table("test_mismatched.tsv", MNLI, dataset="mnli-mm"),
                "test2": Table("AX.tsv", ("index", "sentence1", "sentence2"), dataset="ax"),
            },
            archive=glue_remote(
                "MNLI.zip",
                312_783_507,
                "e7c1d896d26ed6caf700110645df426cc2d8ebf02a5ab743d5a5c68ac1c83633",
            ),
            single_files=(
                glue_remote(
                    "AX.tsv",
                    222_257,
                    "0e13510b1bb14436ff7e2ee82338f0efb0133ecf2e73507a697dc210db3f05fd",
                ),
            ),
        ),
        GlueTask(
            "qnli",
            "QNLI",
            sentences=("question", "sentence"),
            label="label",
            classes=("entailment", "not_entailment"),
            metrics=("accuracy",),
            tables=train_dev_test("index question sentence label", "index question sentence"),
            archive=glue_remote(
                "QNLIv2.zip",
                10_627_589,
                "e634e78627a29adaecd4f955359b22bf5e70f2cbd93b493f2d624138a0c0e5f5",
            ),
        ),
        GlueTask(
            "rte",
            "RTE",
            sentences=("sentence1", "sentence2"),
            label="label",
            classes=("entailment", "not_entailment"),
            metrics=("accuracy",),
            tables=train_dev_test("index sentence1 sentence2 label", "index sentence1 sentence2"),
            archive=glue_remote(
                "RTE.zip",
                697_150,
                "6bf86de103ecd335f3441bd43574d23fef87ecc695977a63b82d5efb206556ee",
            ),
        ),
    )
}


def find_files(task: GlueTask, source: str | None, downloads: Path) -> dict[str, TextFile]:
    """Find the files of a task, by name.

    Args:
        source: a folder or an archive; a URL below which the archives are; None for GLUE's own.
        downloads: the folder to which archives are fetched.

    Raises:
        UserError: a file is not there or cannot be fetched.
    """
    if source is None or is_url(source):
        return fetch_files(task, source, downloads)
    path = Path(source)
    if path.is_dir():
        return {
            **{name: find_in_folder(task, path, name) for name in task.archived},
            **{name: find_single_file(task, path, name) for name in task.single},
        }
    if not path.is_file():
        raise UserError(f"--source {path}: No such file or folder")
    if task.archive is None:
        raise UserError(f"--source {path}: give the folder that holds {', '.join(task.single)}")
    return {
        **{name: member_of(task, path, name) for name in task.archived},
        **{name: find_single_file(task, path.parent, name) for name in task.single},
    }


def fetch_files(task: GlueTask, source: str | None, downloads: Path) -> dict[str, TextFile]:
    """Fetch the archive and the single files of a task, unless they are in ``downloads``."""

    def fetched(remote: Remote) -> Path:
        if source is not None:
            remote = replace(remote, url=f"{source.rstrip('/')}/{remote.name}")
        return fetch(remote, downloads, f"put {remote.name} into a folder and give it as --source")

    files = {}
    if task.archive is not None:
        archive = fetched(task.archive)
        files = {name: member_of(task, archive, name) for name in task.archived}
    return files | {name: TextFile(fetched(remote)) for name, remote in task.single.items()}


def member_of(task: GlueTask, archive: Path, name: str) -> TextFile:
    return TextFile(archive, f"{task.folder}/{name}")


def find_in_folder(task: GlueTask, folder: Path, name: str) -> TextFile:
    """Find a file that GLUE has in an archive: unpacked, or in the archive."""
    if found := find_unpacked(task, folder, name):
        return found
    archive = folder / task.archive.name
    if archive.exists():
        return member_of(task, archive, name)
    raise UserError(
        f"--source {folder} holds neither {task.folder}/{name} nor {name} nor {archive.name}, "
        f"which is at {task.archive.url}"
    )


def find_single_file(task: GlueTask, folder: Path, name: str) -> TextFile:
    if found := find_unpacked(task, folder, name):
        return found
    raise UserError(
        f"{folder} holds neither {task.folder}/{name} nor {name}, which is at "
        f"{task.single[name].url}"
    )


def find_unpacked(task: GlueTask, folder: Path, name: str) -> TextFile | None:
    paths = (folder / task.folder / name, folder / name)
    return next((TextFile(path) for path in paths if path.exists()), None)


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


Row = tuple[str, dict[str, str] | None]  # the place of a line, and its columns unless it is dropped


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
