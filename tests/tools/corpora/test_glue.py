"""The eight tasks, made up in GLUE's own layout."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest

from intra_distill.errors import UserError, one_line
from intra_distill.tools.corpora import download
from intra_distill.tools.corpora.glue.reading import check_split, read_split
from intra_distill.tools.corpora.glue.sources import describe_inputs, find_files
from intra_distill.tools.corpora.glue.tasks import TASKS, GlueTask

from ...support.glue import (
    CLASSES,
    LAYOUTS,
    SINGLE_SENTENCES,
    Text,
    glue_examples,
    glue_files,
    write_glue,
    write_glue_downloads,
)
from ...support.server import Fault, serve

SMALL = {"train": 6, "valid": 3, "test": 2}


def read(task: GlueTask | str, source: Path | str | None, downloads: Path) -> dict[str, list[Text]]:
    task = TASKS[task] if isinstance(task, str) else task
    files = find_files(task, source if source is None else str(source), downloads)
    splits = {split: [tuple(e) for e in read_split(task, split, files)] for split in task.tables}
    for split, examples in splits.items():
        counts = check_split(task, split, files)
        assert counts.sentences == len(examples)
        assert counts.labelled == all(label is not None for *_, label in examples)
    return splits


def refusal(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert str(error.value) == one_line(str(error.value))
    return str(error.value)


def test_the_tasks_are_the_papers():
    assert list(TASKS) == "cola sst-2 mrpc qqp sts-b mnli qnli rte".split()
    for name, task in TASKS.items():
        assert task.classes == CLASSES[name]
        assert task.pairs == (name not in SINGLE_SENTENCES)
        assert list(task.tables) == list(LAYOUTS[name])
    mnli = TASKS["mnli"]
    assert [mnli.dataset(split) for split in ("train", "valid", "valid1", "test2")] == [
        *["mnli", "mnli-m", "mnli-mm", "ax"]
    ]


@pytest.mark.parametrize("task", TASKS)
def test_folders_files_archives_and_servers_are_sources(task, tmp_path):
    expected = glue_examples(task)
    unpacked = write_glue(tmp_path / "unpacked", task)
    assert read(task, unpacked, tmp_path) == expected
    if task != "mnli":  # AX.tsv is beside its folder
        assert read(task, unpacked / TASKS[task].folder, tmp_path) == expected
    row = write_glue_downloads(tmp_path / "packed", task)
    assert read(row, tmp_path / "packed", tmp_path) == expected
    if row.archive:
        assert read(row, tmp_path / "packed" / row.archive.name, tmp_path) == expected
    names = {each.name for each in (tmp_path / "packed").iterdir()}
    downloads = tmp_path / "downloads"
    with serve(tmp_path / "packed") as served:
        for url in (served.url, served.url.rstrip("/")):
            assert read(row, url, downloads) == expected
    assert {path for path, _ in served.requests} == names
    assert len(served.requests) == len(names)  # once each
    assert read(row, None, downloads) == expected  # without a server: all are there


def test_a_download_is_pinned_and_described_without_it(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.001)
    row = write_glue_downloads(tmp_path / "packed", "rte")
    other = write_glue_downloads(tmp_path / "other", "rte", SMALL)
    with serve(tmp_path / "packed", {"RTE.zip": [Fault(cut=500)]}) as served:
        described = describe_inputs(row, served.url)
        assert described == {
            "RTE.zip": {"file": f"{served.url}RTE.zip", "sha256": row.archive.sha256}
        }
        assert not served.requests
        assert "another file" in refusal(read, other, served.url, tmp_path / "downloads")
        read(row, served.url, tmp_path / "downloads")
    assert not (tmp_path / "downloads" / "RTE.zip.part").exists()


def test_what_is_missing_is_named_with_its_address(tmp_path):
    missing = refusal(read, TASKS["cola"], tmp_path, tmp_path)
    assert "neither CoLA/train.tsv nor train.tsv nor CoLA.zip, which is at https://dl." in missing


@pytest.mark.parametrize("task", TASKS)
def test_a_test_set_may_have_its_labels(task, tmp_path):
    write_glue(tmp_path, task)
    expected = glue_examples(task)["test"]
    if task != "mrpc":
        path = tmp_path / LAYOUTS[task]["test"].file
        header, *lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        label = CLASSES[task][1] if CLASSES[task] else "2.5"
        lines = [f"{header}\t{TASKS[task].label}", *(f"{line}\t{label}" for line in lines)]
        path.write_text("\n".join(lines), encoding="utf-8", newline="")  # and no end of the last
        expected = [(first, second, label) for first, second, _ in expected]
    assert read(task, tmp_path, tmp_path)["test"] == expected


def test_windows_line_ends_are_read(tmp_path):
    write_glue(tmp_path, "rte")
    for path in (tmp_path / "RTE").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read("rte", tmp_path, tmp_path) == glue_examples("rte")


def test_odd_lines_of_qqp_are_dropped_from_training_and_development_alone(tmp_path):
    write_glue(tmp_path, "qqp")
    for name in ("train", "dev"):
        with open(tmp_path / "QQP" / f"{name}.tsv", "ab") as file:
            file.write(b"1\t2\t3\thalf a line\n\nof it?\t0\n1\t2\t3\ta\tb\tc\t0\n")
    assert read("qqp", tmp_path, tmp_path) == glue_examples("qqp")
    files = find_files(TASKS["qqp"], str(tmp_path), tmp_path)
    assert [check_split(TASKS["qqp"], s, files).dropped for s in TASKS["qqp"].tables] == [4, 4, 0]
    with open(tmp_path / "QQP" / "test.tsv", "ab") as file:
        file.write(b"1\thalf a line\n")
    said = refusal(read, "qqp", tmp_path, tmp_path)
    assert "QQP/test.tsv, line 24: 2 columns, not 3" in said


@pytest.mark.parametrize("task, other", permutations(TASKS, 2))
def test_the_files_of_another_task_are_refused(task, other, tmp_path):
    source = write_glue(tmp_path, other, SMALL) / TASKS[other].folder
    for path in source.iterdir():  # where only the name differs
        for name in {Path(layout.file).name for layout in LAYOUTS[task].values()}:
            if not (source / name).exists() and path.suffix == ".tsv":
                (source / name).write_bytes(path.read_bytes())
    if task == "mrpc":
        (source / "mrpc_dev_ids.tsv").write_text("1\t2\n")
    said = refusal(read, task, source, tmp_path)
    assert "line 1: " in said and ("columns" in said or "the label is" in said)


def relabel(label: str) -> Callable[[list[str]], list[str]]:
    def edit(lines: list[str]) -> list[str]:
        columns = lines[2].split("\t")
        return [*lines[:2], "\t".join([*columns[:-1], f"{label}\n"]), *lines[3:]]

    return edit


# the task, the split, what becomes of the lines of its file, and what is said of them
FAULTS = {
    "a class of another task": (
        "rte",
        "train",
        relabel("neutral"),
        "line 3: the label is 'neutral'",
    ),
    "no class": ("rte", "valid", relabel(""), "line 3: the label is '', not entailment or not_"),
    "a hidden label": ("sst-2", "valid", relabel("-1"), "line 3: the label is '-1', not 0 or 1"),
    "MNLI without agreement": ("mnli", "valid1", relabel("-"), "line 3: the label is '-'"),
    **{
        f"a score of {score!r}": (
            *("sts-b", "train", relabel(score)),
            f"line 3: the score is {score!r}, not a number from 0 to 5",
        )
        for score in ("5.001", "-0.1", "nan", "inf", "-inf", "five", "", "1e999")
    },
    "one column less": (
        *("rte", "train", lambda lines: [*lines[:2], "7\ta\tb\n", *lines[3:]]),
        "line 3: 3 columns, not 4",
    ),
    "one column more": (
        *("rte", "test", lambda lines: [*lines[:2], "7\ta\tb\tc\n", *lines[3:]]),
        "line 3: 4 columns, not 3",
    ),
    "training without labels": (
        *("rte", "train", lambda lines: [line.rpartition("\t")[0] + "\n" for line in lines]),
        "line 1: the columns are index, sentence1, sentence2, not",
    ),
    "the test set as development set": (
        *("qnli", "valid", lambda _: glue_files("qnli")["QNLI/test.tsv"]),
        "line 1: the columns are index, question, sentence, not",
    ),
    "a header alone": ("rte", "valid", lambda lines: lines[:1], "has no sentences for the valid"),
    "an empty file": ("cola", "train", lambda lines: [], "has no sentences for the train set"),
    "an empty test set": ("cola", "test", lambda lines: [], "has no sentences for the test set"),
    "a blank line": ("cola", "valid", lambda lines: [*lines, "\n"], "line 31: 1 columns, not 4"),
    "UTF-16": (
        *("sst-2", "train", lambda lines: "".join(lines).encode("utf-16")),
        "line 1: not UTF-8",
    ),
    "Latin-1": (
        *("sst-2", "train", lambda lines: [*lines[:5], "caf\udce9\t1\n"]),
        "line 6: not UTF-8",
    ),
    "commas for tabs": (
        *("rte", "train", lambda lines: [line.replace("\t", ",") for line in lines]),
        "line 1: the columns are index,sentence1,sentence2,label, not index, sentence1",
    ),
    "a page of the web": (
        *("rte", "train", lambda _: b"<!doctype html>\n"),
        "line 1: the columns are <!doctype html>, not",
    ),
    "commands to a terminal": (
        *("rte", "train", lambda lines: ["\x1b[2J\n", *lines[1:]]),
        "line 1: the columns are \\x1b[2J, not",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_file_is_named_with_its_line(fault, tmp_path):
    task, split, edit, said = FAULTS[fault]
    write_glue(tmp_path, task)
    path = tmp_path / LAYOUTS[task][split].file
    edited = edit(path.read_text(encoding="utf-8").splitlines(keepends=True))
    if not isinstance(edited, bytes):
        edited = "".join(edited).encode("utf-8", "surrogateescape")
    path.write_bytes(edited)
    message = refusal(read, task, tmp_path, tmp_path)
    assert message.startswith(f"{path}") and said in message


def test_the_development_pairs_of_mrpc_must_be_there(tmp_path):
    write_glue(tmp_path, "mrpc")
    with open(tmp_path / "MRPC" / "mrpc_dev_ids.tsv", "ab") as file:
        file.write(b"123456\t654321\n")
    said = refusal(read, "mrpc", tmp_path, tmp_path)
    assert "mrpc_dev_ids.tsv names 123456 and 654321, which" in said
    (tmp_path / "MRPC" / "mrpc_dev_ids.tsv").unlink()
    said = refusal(read, "mrpc", tmp_path, tmp_path)
    assert "mrpc_dev_ids.tsv, which is at https://dl.fbaipublicfiles.com/glue/data/mrpc_dev" in said


def test_an_archive_is_refused_for_a_task_that_has_none(tmp_path):
    (tmp_path / "MRPC.zip").write_bytes(b"PK")
    said = refusal(read, "mrpc", tmp_path / "MRPC.zip", tmp_path)
    assert "give the folder that holds msr_paraphrase_train.txt" in said
    assert "No such file or folder" in refusal(read, "rte", tmp_path / "none", tmp_path)


def test_an_archive_of_another_task_is_refused(tmp_path):
    write_glue_downloads(tmp_path, "qnli")
    said = refusal(read, "rte", tmp_path / "QNLIv2.zip", tmp_path)
    assert "QNLIv2.zip does not hold RTE/train.tsv" in said
