"""Data directories of tagged words, against XTREME's own steps and fairseq's reading."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fairseq.data.indexed_dataset import MMapIndexedDataset

from intra_distill.cli import main
from intra_distill.files import read_json, read_lines
from intra_distill.tasks.tagging_intra_distillation import (
    TaggingIntraDistillationConfig,
    TaggingIntraDistillationTask,
)
from intra_distill.tools.corpora.tagged_text import TaggedSentence
from intra_distill.tools.labelled import open_labelled
from intra_distill.tools.preparation import tags
from intra_distill.tools.preparation.tag_items import TagEncoder
from intra_distill.tools.preparation.xlmr_pieces import XlmrPieces, read_pieces

from ...support.files import contents
from ...support.kills import Killed, kill_before_rename
from ...support.tagged import Tagged, raw_splits, write_raw
from ...support.xlmr import write_xlmr

TAGS = ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"]
# what is awkward: too many pieces, none, right to left, no entity, a cut within an entity
NASTY: list[Tagged] = [
    [("Angela", "B-PER"), ("9" * 130, "I-PER"), ("in", "O")],
    [("9" * 124, "B-LOC"), ("7", "I-LOC")],
    [("in", "O"), ("9" * 123, "B-ORG"), ("8" * 123, "I-ORG"), ("7", "I-ORG")],
    [("\u200b", "B-LOC"), ("", "O"), ("\ufeff", "O"), ("\u00ad", "I-LOC")],
    [("القاهرة", "B-LOC"), (")", "O"), ("\u200fالقاهرة\u200f", "I-ORG")],
    [("in", "O"), ("the", "O")],
    [("☃", "B-LOC"), ("<unk>", "O"), ("</s>", "O"), ("<pad>", "I-PER"), ("#", "O")],
    [("1", "B-LOC"), *[("2", "I-LOC")] * 300],
    [("two words", "O"), ("\u3000", "O"), ("Mu\u0308ller", "B-PER"), ("ﬁ", "O")],
    [(".", "O")],
]


@pytest.fixture(scope="module")
def xlmr(tmp_path_factory) -> Path:
    return write_xlmr(tmp_path_factory.mktemp("xlmr"))


@pytest.fixture
def prepare(tmp_path, xlmr) -> Callable[..., Path]:
    """Make a data directory by the command, and return it."""

    def prepare(*options: str, raw: Path | None = None, xlmr: Path = xlmr) -> Path:
        if raw is None:
            raw = tmp_path / "raw"
            if not raw.exists():
                write_raw(raw)
        data = tmp_path / "data"
        command = ["prepare-tags", str(raw), "--xlmr", str(xlmr), "--destdir", str(data)]
        main([*command, *options])
        return data

    return prepare


@pytest.fixture
def refusal(prepare) -> Callable[..., str]:
    """The line that the command ends with."""

    def refusal(*arguments, **options) -> str:
        with pytest.raises(SystemExit) as error:
            prepare(*arguments, **options)
        assert isinstance(error.value.code, str) and error.value.code.isprintable()
        return error.value.code

    return refusal


UNKNOWN = "<unk>"
Pieces = list[str]


def xtremes_sentences(
    sentence: Tagged, pieces: XlmrPieces, max_length: int
) -> list[list[tuple[Pieces, str]]]:
    """The sentences that utils_preprocess.py makes of one: the pieces of each word, and its tag."""
    room, used, made = max_length - 3, 0, [[]]
    for text, tag in sentence:
        word = pieces.processor.encode(text, out_type=str)
        if len(word) == 0 or len(word) > room:
            word = [UNKNOWN]
        if used + len(word) > room:
            made.append([])
            used = 0
        made[-1].append((word, tag))
        used += len(word)
    return made


def xtremes_features(words: list[tuple[Pieces, str]]) -> tuple[list[str], list[str]]:
    """The symbols and the labels that utils_tag.py makes of a sentence; <pad> where none is."""
    symbols, labels = ["<s>"], ["<pad>"]
    for word, tag in words:
        symbols += word
        labels += [tag, *["<pad>"] * (len(word) - 1)]
    return [*symbols, "</s>", "</s>"], [*labels, "<pad>", "<pad>"]


@pytest.mark.parametrize("max_length", [4, 5, 9, 127, 128, 512])
@pytest.mark.parametrize("number", range(len(NASTY)))
def test_items_are_xtremes(number, max_length, xlmr):
    pieces = read_pieces(xlmr)
    encoder = TagEncoder(pieces, TAGS, max_length)
    items, replaced = encoder.encode(TaggedSentence(*map(list, zip(*NASTY[number]))))
    expected = xtremes_sentences(NASTY[number], pieces, max_length)
    assert replaced == sum(word == [UNKNOWN] for words in expected for word, _ in words)
    assert len(items) == len(expected)
    for item, words in zip(items, expected):
        symbols, labels = xtremes_features(words)
        assert item.symbols == [pieces.dictionary.index(symbol) for symbol in symbols]
        assert [encoder.labels[i] for i in item.labels] == labels
        assert item.tags == [tag for _, tag in words]
        assert len(item.symbols) == len(item.labels) <= max_length


def test_a_word_fits_to_the_last_piece(xlmr):
    """Each digit is a piece, and so is the space before the word."""
    encoder = TagEncoder(read_pieces(xlmr), TAGS, 128)

    def sizes(*digits: int) -> tuple[list[int], int]:
        words = ["9" * number for number in digits]
        items, replaced = encoder.encode(TaggedSentence(words, ["O"] * len(words)))
        return [len(item.symbols) for item in items], replaced

    assert sizes(124) == ([128], 0)
    assert sizes(125) == ([4], 1)
    assert sizes(61, 62) == ([128], 0)
    assert sizes(62, 62) == ([66, 66], 0)
    assert sizes(1, 124, 1) == ([5, 128, 5], 0)


def load(data: Path, split: str) -> tuple[TaggingIntraDistillationTask, list[dict]]:
    """The task that trains on a directory, and the samples of a split."""
    cfg = TaggingIntraDistillationConfig(data=str(data), no_shuffle=True, seed=1)
    task = TaggingIntraDistillationTask.setup_task(cfg)
    task.load_dataset(split)
    dataset = task.datasets[split]
    return task, [dataset[i] for i in range(len(dataset))]


def test_the_task_reads_what_the_files_say(prepare, xlmr, tmp_path, capsys):
    splits = raw_splits()
    splits["train"] = [*splits["train"], *NASTY]
    splits["test-ar"] = NASTY
    data = prepare(raw=write_raw(tmp_path / "raw", splits))
    pieces = read_pieces(xlmr)
    for split, sentences in splits.items():
        expected = [
            words for sentence in sentences for words in xtremes_sentences(sentence, pieces, 128)
        ]
        task, samples = load(data, split)
        assert task.tags == TAGS
        assert len(task.dictionary) == len(pieces.dictionary)
        assert len(samples) == len(expected)
        for sample, words in zip(samples, expected):
            symbols, labels = xtremes_features(words)
            tokens = sample["net_input.src_tokens"]
            assert tokens.tolist() == [task.dictionary.index(symbol) for symbol in symbols]
            assert [task.label_dictionary[i] for i in sample["target"]] == labels
        if split != "train":
            references = [" ".join(tag for _, tag in words) for words in expected]
            assert list(read_lines(data / f"{split}.ref")) == references
    assert {path.name for path in data.iterdir()} == {
        *("input0", "label", "labels.json", "valid.ref"),
        *("test-ar.ref", "test-de.ref", "test-en.ref"),
    }
    printed = capsys.readouterr().out
    said = "LOC 11, ORG 4, PER 3; 3 cut, which makes 18 items; <unk> for words: 5"
    assert f"test-ar: 10 sentences; {said}\n" in printed


def test_the_report(prepare, tmp_path):
    splits = {**raw_splits(["ar"]), "test-x_1-Y": [[("9" * 200, "I-PER"), *[("9", "O")] * 100]]}
    labelled = open_labelled(prepare(raw=write_raw(tmp_path / "raw", splits)))
    assert (labelled.form, labelled.metrics, labelled.pairs) == ("words", ("entity-F1",), False)
    assert labelled.classes == tuple(TAGS)
    assert {
        split: (each.dataset, each.sentences, each.labelled)
        for split, each in labelled.splits.items()
    } == {
        "train": ("train", 4, True),
        "valid": ("valid", 3, True),
        "test-ar": ("ar", 2, True),
        "test-x_1-Y": ("x_1-Y", 2, True),
    }
    report = read_json(tmp_path / "data" / "labels.json")
    counts = report["splits"]["test-x_1-Y"]
    assert {name: counts[name] for name in ("read", "cut", "replaced", "entities")} == {
        **{"read": 1, "cut": 1, "replaced": 1},
        "entities": {"PER": 1},
    }
    assert sum(counts["tags"].values()) == 101 and list(counts["tags"]) == TAGS
    lines = [f"{tag} {number}" for tag, number in report["splits"]["train"]["tags"].items()]
    assert list(read_lines(tmp_path / "data" / "label" / "dict.txt")) == lines


def test_own_tags_and_one_line_files_will_do(prepare, tmp_path):
    tagged: list[Tagged] = [[("x", "I-MISC-2")]]
    splits = {"train": [[("x", "I-MISC-2"), ("y", "B-ANIMAL")]], "valid": tagged, "test-a": tagged}
    raw = write_raw(tmp_path / "raw", splits)
    for split in ("valid", "test-a"):
        (raw / f"{split}.tsv").write_text("x\tI-MISC-2")  # without a line feed
    data = prepare(raw=raw)
    assert open_labelled(data).classes == ("O", "B-ANIMAL", "I-MISC-2")
    task, _ = load(data, "valid")
    assert task.tags == ["O", "B-ANIMAL", "I-MISC-2"]


def test_indices_take_as_few_bytes_as_the_dictionary_allows(prepare):
    data = prepare()
    for name in ("input0/train", "label/train"):
        sizes = sum(map(len, MMapIndexedDataset(str(data / name))))
        assert (data / f"{name}.bin").stat().st_size == sizes * np.dtype(np.uint16).itemsize


STEPS = ["request.json", "made", "input0", "label", "test-ar.ref", "labels.json"]


@pytest.mark.parametrize("name", STEPS)
def test_a_killed_run_is_completed_by_the_next(name, prepare, refusal, monkeypatch, tmp_path):
    undisturbed = contents(prepare())
    shutil.rmtree(tmp_path / "data")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, name)
        prepare()
    if name != "request.json":
        assert "made with --max-length 128, not 64" in refusal("--max-length", "64")
    assert contents(prepare()) == undisturbed


def test_another_request_is_refused(prepare, refusal, xlmr, tmp_path, capsys):
    before = contents(prepare())
    raw = tmp_path / "raw"
    elsewhere = shutil.copytree(raw, tmp_path / "elsewhere")
    capsys.readouterr()
    prepare(raw=elsewhere)  # the path does not matter
    assert "nothing to do" in capsys.readouterr().out
    assert "made with --max-length 128, not 9: choose another" in refusal("--max-length=9")
    (raw / "test-zh.tsv").write_text("x\tO\n")
    assert "made with fewer files, not test-zh.tsv: choose another" in refusal()
    (raw / "test-zh.tsv").unlink()
    (raw / "test-ar.tsv").rename(raw / "test-zh.tsv")
    assert "made with test-ar.tsv, not test-zh.tsv: choose another" in refusal()
    (raw / "test-zh.tsv").unlink()
    assert "made with test-ar.tsv too: choose another" in refusal()
    (elsewhere / "train.tsv").write_text("x\tB-LOC\n")
    assert "made with another train.tsv (" in refusal(raw=elsewhere)
    other = write_xlmr(tmp_path / "other", ["another text"], 20)
    assert "made with another sentencepiece.bpe.model in --xlmr" in refusal(xlmr=other)
    assert contents(tmp_path / "data") == before


def test_a_file_that_changes_while_it_is_read_is_refused(prepare, refusal, monkeypatch, tmp_path):
    write = tags.Writer.write

    def write_and_change(self: tags.Writer, folder: Path) -> dict:
        made = write(self, folder)
        (self.raw / "test-ar.tsv").write_text("x\tO\n")
        return made

    monkeypatch.setattr(tags.Writer, "write", write_and_change)
    assert "test-ar.tsv was changed while it was read: run again" in refusal()
    assert not (tmp_path / "data").exists()


BAD_FILES: dict[str, tuple[str, str | None, str]] = {  # the file, its text or none, the message
    "no training set": ("train", None, "has no file train.tsv: it must hold train.tsv, valid.tsv"),
    "no validation set": ("valid", None, "has no file valid.tsv"),
    "an empty file": ("test-ar", "", "test-ar.tsv has no sentences"),
    "empty lines": ("train", "\n \n", "train.tsv has no sentences"),
    "a name of fairseq's": ("test-a,b", "x\tO\n", "test-a,b.tsv: rename it: fairseq takes"),
    "no entity": ("train", "x\tO\n\ny\tO\n", "train.tsv has no entity: there is"),
    "another tag": ("test-ar", "x\tO\nx\tB-MISC", "test-ar.tsv, line 2: the tag is 'B-MISC', not"),
    "no tag of entities": ("train", "x\tNOUN\n", "line 1: the tag is 'NOUN', not O, B-TYPE or"),
    "no type": ("train", "x\tB-\n", "line 1: the tag is 'B-', not O, B-TYPE"),
    "a space in a tag": ("train", "x\tB-A B\n", "line 1: the tag is 'B-A B', not O"),
    "no tab": ("valid", "x\tO\nx O\n", "valid.tsv, line 2: no tag: a line is a word, a tab and"),
    "CoNLL's columns": ("train", "x\tNN\tB-NP\tO\n", "line 1: 4 columns: a line is"),
    "old line ends": ("train", "x\tO\ry\tB-LOC\r", "train.tsv, line 1: 3 columns"),
    "UTF-16": ("train", "x\0\t\0O\0\n\0", "train.tsv, line 1: a carriage return or NUL"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named_and_leaves_nothing(case, refusal, tmp_path):
    split, text, said = BAD_FILES[case]
    path = write_raw(tmp_path / "raw") / f"{split}.tsv"
    if text is None:
        path.unlink()
    else:
        path.write_text(text, newline="")
    assert said in refusal()
    assert not (tmp_path / "data").exists()


def test_a_folder_without_test_sets_is_refused(refusal, tmp_path):
    raw = write_raw(tmp_path / "raw", raw_splits([]))
    assert f"{raw} has no test set: call its file test-NAME.tsv" in refusal()
