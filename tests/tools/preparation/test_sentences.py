"""Data directories of the eight tasks, against Hugging Face's tokenizer and fairseq's own task."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fairseq.data.indexed_dataset import MMapIndexedDataset
from fairseq.tasks.sentence_prediction import SentencePredictionConfig, SentencePredictionTask
from omegaconf import OmegaConf
from transformers import BertTokenizer

from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.files import read_json, read_lines
from intra_distill.tools.corpora.glue.tasks import TASKS
from intra_distill.tools.labelled import open_labelled
from intra_distill.tools.preparation import sentences
from intra_distill.tools.preparation.wordpiece import WordPieceEncoder, read_vocabulary

from ...support.files import contents
from ...support.glue import (
    CLASSES,
    NASTY,
    PIECES,
    SINGLE_SENTENCES,
    glue_examples,
    write_bert,
    write_glue,
    write_glue_downloads,
)
from ...support.kills import Killed, kill_before_rename
from ...support.server import serve

SMALL = {"train": 12, "valid": 11, "test": 10}  # at least as many as there are nasty pairs
METRICS = {"cola": "MCC", "sst-2": "accuracy", "mrpc": "F1", "qqp": "F1", "sts-b": "Pearson"}


@pytest.fixture
def bert(tmp_path) -> Path:
    return write_bert(tmp_path / "bert")


@pytest.fixture
def prepare(tmp_path, bert) -> Callable[..., Path]:
    """Make the data directory of a task by the command, and return it."""

    def prepare(task: str = "rte", *options: str, source: Path | str | None = None) -> Path:
        if source is None:
            source = write_glue(tmp_path / "glue", task, SMALL)
        data = tmp_path / "data"
        command = f"glue --task {task} --bert {bert} --source {source} --destdir {data}"
        main([*command.split(), *options])
        return data

    return prepare


@pytest.fixture
def refusal(prepare) -> Callable[..., str]:
    """The line that the command ends with."""

    def refusal(*arguments, **options) -> str:
        with pytest.raises(SystemExit) as error:
            prepare(*arguments, **options)
        assert isinstance(error.value.code, str) and "\n" not in error.value.code
        return error.value.code

    return refusal


def hugging_face(folder: Path, lowercase: bool) -> BertTokenizer:
    """Text that reads like a special piece stays text, as in Google's own tokenizer."""
    vocabulary = str(folder / "vocab.txt")
    return BertTokenizer(vocabulary, do_lower_case=lowercase, split_special_tokens=True)


def encode(tokenizer: BertTokenizer, first: str, second: str | None, **options) -> dict:
    """As in a batch: alone, an empty second sentence would be none."""
    inputs = [[first]] if second is None else [[first], [second]]
    return {name: rows[0] for name, rows in tokenizer(*inputs, **options).items()}


def fairseq_indices(pieces: list[str], in_dictionary: list[str]) -> list[int]:
    """By the order of the dictionary's file: fairseq's own four symbols come first."""
    special = {"[CLS]": 0, "[PAD]": 1, "[SEP]": 2, "[UNK]": 3, "[MASK]": len(in_dictionary) + 4}
    return [special[p] if p in special else in_dictionary.index(p) + 4 for p in pieces]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("max_length", [5, 8, 9, 128, 512])
@pytest.mark.parametrize("pairs", [True, False])
def test_pieces_types_and_truncation_are_hugging_faces(tmp_path, lowercase, max_length, pairs):
    bert = write_bert(tmp_path, lowercase)
    dictionary = [line.split(" ")[0] for line in read_lines(bert / "dict.txt")]
    tokenizer = hugging_face(bert, lowercase)
    encoder = WordPieceEncoder(read_vocabulary(bert), max_length)
    texts = [(first, second if pairs else None) for first, second in NASTY]
    for (first, second), made in zip(texts, encoder.encode(texts)):
        expected = encode(tokenizer, first, second, truncation=True, max_length=max_length)
        pieces = tokenizer.convert_ids_to_tokens(expected["input_ids"])
        indices, types = fairseq_indices(pieces, dictionary), expected["token_type_ids"]
        assert (
            indices[0] == 0
            and [*made.first, *([] if second is None else made.second)] == (indices[1:])
        )
        assert len(made.first) == types.count(0) - 1
        assert made.first[-1] == 2 and list(made.first).count(2) == 1
        if second is not None:
            assert made.second[-1] == 2 and list(made.second).count(2) == 1
        whole = encode(tokenizer, first, second)
        assert made.truncated == (len(whole["input_ids"]) > max_length)
    unknown = [piece for piece in tokenizer.tokenize("中文 Ａ café") if piece == "[UNK]"]
    assert unknown  # 文, and without lower-casing more


def load(data: Path, task: str, split: str):
    """fairseq's own dataset of a split, and its dictionary."""
    classes = CLASSES[task]
    cfg = SentencePredictionConfig(
        data=str(data),
        num_classes=len(classes or [0]),
        init_token=0,
        regression_target=classes is None,
        no_shuffle=True,
        seed=1,
    )
    fairseq_task = SentencePredictionTask.setup_task(OmegaConf.structured(cfg))
    assert len(fairseq_task.dictionary) == len(PIECES)
    return fairseq_task.load_dataset(split), fairseq_task.dictionary


@pytest.mark.parametrize("task", TASKS)
def test_fairseqs_own_task_reads_what_the_files_say(task, prepare, bert, capsys):
    data = prepare(task)
    printed = capsys.readouterr().out
    tokenizer = hugging_face(bert, lowercase=True)
    dictionary = [line.split(" ")[0] for line in read_lines(bert / "dict.txt")]
    for split, examples in glue_examples(task, SMALL).items():
        dataset, loaded = load(data, task, split)
        assert len(dataset) == len(examples)
        assert loaded.index("<mask>") == len(PIECES) - 1
        batch = dataset.collater([dataset[i] for i in range(len(dataset))])
        for row, (first, second, _) in zip(batch["net_input"]["src_tokens"], examples):
            ids = encode(tokenizer, first, second, truncation=True, max_length=128)["input_ids"]
            expected = fairseq_indices(tokenizer.convert_ids_to_tokens(ids), dictionary)
            assert row[row != loaded.pad()].tolist() == expected
        labels = [label for *_, label in examples]
        if None in labels:
            assert "target" not in batch and not (data / f"{split}.ref").exists()
            assert not list((data / "label").glob(f"{split}.*"))
        else:
            assert (split == "train") != (data / f"{split}.ref").exists()
            if split != "train":
                assert list(read_lines(data / f"{split}.ref")) == labels
            classes = CLASSES[task]
            target = [classes.index(label) if classes else float(label) for label in labels]
            assert batch["target"].flatten().tolist() == target
        assert f"{split}: {len(examples)} of " in printed


@pytest.mark.parametrize("task", TASKS)
def test_a_data_directory_says_what_it_holds(task, prepare):
    data = prepare(task)
    labelled = open_labelled(data)
    assert labelled.dataset == task
    assert labelled.classes == CLASSES[task]
    assert labelled.metrics[0] == METRICS.get(task, "accuracy")
    assert labelled.pairs == (task not in SINGLE_SENTENCES)
    splits, report = glue_examples(task, SMALL), read_json(data / "labels.json")
    assert list(labelled.splits) == list(splits)
    for split, examples in splits.items():
        found = labelled.splits[split]
        assert found.sentences == len(examples)
        assert found.labelled == (examples[0][2] is not None)
        assert found.dataset == TASKS[task].dataset(split)
        assert report["splits"][split]["truncated"] == (2 if task in SINGLE_SENTENCES else 3)
    made = {"input0", "label", "labels.json", "valid.ref"}
    made |= {"input1"} if labelled.pairs else set()
    made |= {"test.ref"} if task == "mrpc" else {"valid1.ref"} if task == "mnli" else set()
    assert {path.name for path in data.iterdir()} == made
    if labelled.classes:
        counts = report["splits"]["train"]["labels"]
        lines = [f"{name} {counts[name]}" for name in labelled.classes]
        assert list(read_lines(data / "label" / "dict.txt")) == lines


def test_indices_take_as_few_bytes_as_the_dictionary_allows(prepare):
    data = prepare()
    for name in ("input0/train", "input1/train", "label/train"):
        sizes = sum(len(tokens) for tokens in MMapIndexedDataset(str(data / name)))
        assert (data / f"{name}.bin").stat().st_size == sizes * np.dtype(np.uint16).itemsize


STEPS = ["request.json", "made", "input0", "input1", "label", "valid.ref", "labels.json"]


@pytest.mark.parametrize("name", STEPS)
def test_a_killed_run_is_completed_by_the_next(name, prepare, refusal, monkeypatch, tmp_path):
    undisturbed = contents(prepare())
    shutil.rmtree(tmp_path / "data")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, name)
        prepare()
    if name != "request.json":
        assert "made with --max-length 128, not 64" in refusal("rte", "--max-length", "64")
    encoded = []
    with monkeypatch.context() as patch:
        write = sentences.Writer.write
        patch.setattr(sentences.Writer, "write", lambda *args: encoded.append(name) or write(*args))
        data = prepare()
    # valid.ref is first written among what is made
    assert bool(encoded) == (name in ("request.json", "made", "valid.ref"))
    assert contents(data) == undisturbed


def test_another_request_is_refused(prepare, refusal, bert, tmp_path):
    before = contents(prepare())
    assert "made with --max-length 128, not 64: choose another" in refusal("rte", "--max-length=64")
    assert "made with --task rte, not qnli" in refusal("qnli")
    path = tmp_path / "glue" / "RTE" / "train.tsv"
    source = write_glue(tmp_path / "changed", "rte", {**SMALL, "train": 11})
    assert f"another train.tsv ({path} as it was then, not {source}" in refusal(source=source)
    packed = tmp_path / "packed"
    write_glue_downloads(packed, "rte", SMALL)
    message = "made with train.tsv and dev.tsv and test.tsv, not RTE.zip"
    assert message in refusal(source=packed)
    copied = shutil.copytree(tmp_path / "glue", tmp_path / "elsewhere")
    prepare(source=copied)  # the path does not matter
    write_bert(bert, lowercase=False)
    assert "made with lowercase True, not False" in refusal()
    write_bert(bert, pieces=[*PIECES, "more"])
    assert "made with another vocab.txt in --bert" in refusal()
    assert contents(tmp_path / "data") == before


def test_without_a_source_what_is_made_stays(prepare, bert, tmp_path, monkeypatch, capsys):
    """Where a killed run has read the files, too, the report names those."""
    data = prepare()
    made = contents(data)
    again = f"glue --task rte --bert {bert} --destdir {data}"
    main(again.split())
    assert "nothing to do" in capsys.readouterr().out
    shutil.rmtree(data)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, "input1")
        prepare()
    main(again.split())
    assert contents(data) == made


def test_a_finished_directory_needs_no_download(prepare, tmp_path, monkeypatch):
    row = write_glue_downloads(tmp_path / "packed", "rte", SMALL)
    monkeypatch.setitem(TASKS, "rte", row)
    local = contents(prepare())
    shutil.rmtree(tmp_path / "data")
    with serve(tmp_path / "packed") as served:
        data = prepare(source=served.url)
        assert (data / "downloads" / "RTE.zip").exists()
        shutil.rmtree(data / "downloads")
        prepare(source=served.url)
        assert len(served.requests) == 1
    made = contents(data)
    assert made.pop("labels.json") != local.pop("labels.json")
    assert made == local


def test_what_is_wrong_in_the_last_file_leaves_nothing(prepare, refusal, tmp_path):
    source = write_glue(tmp_path / "glue", "rte", SMALL)
    with open(source / "RTE" / "test.tsv", "a") as file:
        file.write("9\n")
    assert "test.tsv, line 22: 1 columns, not 3" in refusal(source=source)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("change", ["grows", "vanishes"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    change, prepare, refusal, monkeypatch, tmp_path
):
    source = write_glue(tmp_path / "glue", "rte", SMALL)
    path = source / "RTE" / "train.tsv"
    write = sentences.Writer.write

    def write_and_change(*args) -> None:
        write(*args)
        if change == "vanishes":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes() + b"1\ta\tb\tentailment\n")

    monkeypatch.setattr(sentences.Writer, "write", write_and_change)
    said = refusal(source=source)
    assert re.search("was changed while it was read: run again|holds neither RTE/train.tsv", said)
    assert not (tmp_path / "data").exists()


def test_a_damaged_report_is_refused(prepare, refusal):
    data = prepare()
    for content in ("{", "[]", '{"dataset": "rte"}'):
        (data / "labels.json").write_text(content)
        assert re.search("labels.json is damaged|was made with", refusal())


def vocabulary_of(pieces: list[str], folder: Path) -> None:
    write_bert(folder, pieces=pieces)


def without(piece: str) -> Callable[[Path], None]:
    return lambda folder: vocabulary_of([p for p in PIECES if p != piece], folder)


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    content = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(content)


BAD_FOLDERS = {
    **{
        f"no {piece}": (without(piece), f"vocab.txt has no {re.escape(piece)}: it is not")
        for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    },
    "a piece twice": (
        lambda folder: vocabulary_of([*PIECES, "tree"], folder),
        f"vocab.txt, line {len(PIECES) + 1}: 'tree' is in line {PIECES.index('tree') + 1} too",
    ),
    "fairseq's symbol": (
        lambda folder: vocabulary_of([*PIECES, "<pad>"], folder),
        f"vocab.txt, line {len(PIECES) + 1}: '<pad>' is fairseq's own symbol",
    ),
    "fairseq's mask": (
        lambda folder: vocabulary_of([*PIECES, "<mask>"], folder),
        f"vocab.txt, line {len(PIECES) + 1}: '<mask>' is fairseq's own symbol",
    ),
    "a blank line": (
        lambda folder: vocabulary_of([*PIECES, ""], folder),
        f"vocab.txt, line {len(PIECES) + 1}: '' is not a word",
    ),
    "two words": (
        lambda folder: vocabulary_of([*PIECES, "two words"], folder),
        f"vocab.txt, line {len(PIECES) + 1}: 'two words' is not a word",
    ),
    "Latin-1": (write("vocab.txt", b"[PAD]\ncaf\xe9\n"), "vocab.txt, line 2: not UTF-8"),
    "an empty vocabulary": (write("vocab.txt", ""), r"vocab.txt has no \[PAD\]"),
    "another dictionary": (
        write("dict.txt", "tree 1\nhouse 1\n"),
        "dict.txt is not the dictionary",
    ),
    "an empty dictionary": (write("dict.txt", ""), "dict.txt is not the dictionary of vocab.txt"),
    "no dictionary": (lambda folder: (folder / "dict.txt").unlink(), "has no dict.txt: make it by"),
    "an unreadable report": (write("bert.json", "{"), "bert.json is not what intra-distill bert"),
    "another report": (write("bert.json", "[1]"), "bert.json is not what intra-distill bert wrote"),
    "a word for a bool": (write("bert.json", '{"lowercase": "yes"}'), "bert.json is not what"),
}


@pytest.mark.parametrize("fault", BAD_FOLDERS)
def test_a_wrong_vocabulary_is_refused(fault, bert, refusal, tmp_path):
    spoil, said = BAD_FOLDERS[fault]
    spoil(bert)
    assert re.search(said, refusal())
    assert not (tmp_path / "data").exists()


def test_a_missing_package_is_named(bert, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        UserError, match=r"need the package tokenizers: pip install 'intra_.*\[nlu]'"
    ):
        WordPieceEncoder(read_vocabulary(bert), 128)
