"""Data directories of questions, through the command."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fairseq.data import Dictionary
from fairseq.data.indexed_dataset import MMapIndexedDataset

from intra_distill.cli import main
from intra_distill.files import read_json, read_lines
from intra_distill.tools.corpora.squad import Answer, SquadQuestion, read_squad, write_squad
from intra_distill.tools.labelled import open_labelled
from intra_distill.tools.preparation import spans
from intra_distill.tools.questions import read_questions

from ...support.files import contents
from ...support.kills import Killed, kill_before_rename
from ...support.questions import PASSAGES, ask, berlin, write_questions_folder
from ...support.xlmr import write_xlmr

SPLITS = ["train", "valid", "test-ar", "test-en", "test-zh"]
NASTY = {
    "short": ask("short", "yes", "yes"),
    "nowhere": ask("nowhere", PASSAGES["en"], Answer("Paris", 3)),
    "moved": ask("moved", PASSAGES["en"], Answer("1237", 3)),
    "long": ask("long", "water " * 300 + "Berlin", "Berlin"),
    "asks long": ask("asks long", PASSAGES["zh"], "1237", text="Berlin? " * 80),
    "empty": ask("empty", "", Answer("x", 0), text=""),
    "several": ask("several", PASSAGES["en"], Answer("Rome", 0), "in Germany", "Germany"),
}


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> Path:
    return write_xlmr(
        tmp_path_factory.mktemp("xlmr"), [*PASSAGES.values(), "water yes Where When ?"], 100
    )


@pytest.fixture
def raw(tmp_path) -> Path:
    folder = write_questions_folder(tmp_path / "raw", 2)
    for split in ("train", "valid"):
        write_squad(
            folder / f"{split}.json", [*read_squad(folder / f"{split}.json"), *NASTY.values()]
        )
    return folder


@pytest.fixture
def prepare(tmp_path, raw, pieces) -> Callable[..., Path]:
    def prepare(*options: str, xlmr: Path = pieces, source: Path = raw) -> Path:
        data = tmp_path / "data"
        main(["prepare-spans", str(source), "--xlmr", str(xlmr), "--destdir", str(data), *options])
        return data

    return prepare


@pytest.fixture
def refusal(prepare) -> Callable[..., str]:
    def refusal(*arguments, **options) -> str:
        with pytest.raises(SystemExit) as error:
            prepare(*arguments, **options)
        assert isinstance(error.value.code, str) and "\n" not in error.value.code
        return error.value.code

    return refusal


def items(data: Path, split: str) -> list[list[int]]:
    return [item.tolist() for item in MMapIndexedDataset(str(data / "input0" / split))]


def spans_of(data: Path, split: str) -> list[list[int]]:
    lines = read_lines(data / "label" / f"{split}.label")
    return [[int(word) for word in line.split(" ")] for line in lines]


def text_of(data: Path, item: list[int]) -> str:
    """What an item says, </s> included."""
    dictionary = Dictionary.load(str(data / "input0" / "dict.txt"))
    return "".join(dictionary[index] for index in item).replace("▁", " ")


def test_a_data_directory_says_what_it_holds(prepare, raw, capsys):
    data = prepare()
    printed = capsys.readouterr().out
    labelled = open_labelled(data)
    assert (labelled.form, labelled.classes, labelled.pairs) == ("questions", None, False)
    assert labelled.metrics == ("answer-F1", "exact-match")
    assert list(labelled.splits) == SPLITS
    assert {path.name for path in data.iterdir()} == {
        *("input0", "label", "labels.json"),
        *(f"{split}.{end}" for split in SPLITS[1:] for end in ("ref", "questions")),
    }
    report = read_json(data / "labels.json")
    for split in SPLITS:
        counts = report["splits"][split]
        assert counts["dataset"] == split.removeprefix("test-")
        assert counts["windows"] == len(items(data, split)) == len(spans_of(data, split))
        assert counts["windows_without_answer"] == spans_of(data, split).count([0, 0])
        assert f"{split}: {counts['sentences']} questions; {counts['windows']} windows" in printed
        if split != "train":
            assert counts["sentences"] == len(list(read_lines(data / f"{split}.ref")))
            questions = list(read_questions(data / f"{split}.questions"))
            assert [each.id for each in questions] == [
                each.id for each in read_squad(raw / f"{split}.json")
            ]
            assert sum(len(each.windows) for each in questions) == counts["windows"]
    train, valid = report["splits"]["train"], report["splits"]["valid"]
    assert (train["sentences"], train["dropped"]) == (9, 2)  # nowhere, empty
    assert (valid["sentences"], valid["dropped"]) == (11, 0)
    assert train["truncated"] == valid["truncated"] == 1
    assert train["realigned"] == valid["realigned"] == 1
    assert "; 1 truncated; 1 realigned; 2 dropped" in printed


def test_items_and_labels_are_of_the_text(prepare, raw):
    data = prepare()
    read, labels = items(data, "test-zh"), spans_of(data, "test-zh")
    for question, item, (first, last) in zip(read_squad(raw / "test-zh.json"), read, labels):
        said = text_of(data, item)
        passage = PASSAGES["zh"].replace("，", ",")  # NFKC
        assert said == f"<s> {question.text}</s></s> {passage}</s>"
        assert question.answers[0].text in text_of(data, item[first : last + 1])
    for question, item in zip(read_questions(data / "test-zh.questions"), read):
        ((offset, start, length),) = question.windows
        assert (start, length) == (0, len(question.spans)) and offset + length + 1 == len(item)


def test_gold_answers_stay_as_they_are(prepare):
    gold = list(map(json.loads, read_lines(prepare() / "valid.ref")))
    assert gold[4:] == [[answer.text for answer in each.answers] for each in NASTY.values()]


def test_a_training_question_stays_with_windows_that_lack_its_answer(prepare):
    data = prepare("--max-length", "100", "--doc-stride", "30")
    labels = spans_of(data, "train")
    report = read_json(data / "labels.json")["splits"]["train"]
    assert report["windows_without_answer"] == labels.count([0, 0]) > 5
    assert max(map(len, items(data, "train"))) == 100


def test_indices_are_wide_enough(prepare, pieces):
    data = prepare()
    assert max(map(max, items(data, "train"))) < len(list(read_lines(pieces / "dict.txt"))) + 5
    assert (data / "input0" / "dict.txt").read_bytes() == (pieces / "dict.txt").read_bytes()


def test_one_question_is_enough(prepare, raw):
    for path in raw.glob("test-*"):
        path.unlink()
    for split in ("train", "valid", "test-x"):
        write_squad(raw / f"{split}.json", [NASTY["short"]])
    data = prepare()
    assert list(open_labelled(data).splits) == ["train", "valid", "test-x"]
    assert spans_of(data, "train") == spans_of(data, "valid") != [[0, 0]]


STEPS = ["request.json", "made", "input0", "label", "valid.ref", "test-zh.questions", "labels.json"]


@pytest.mark.parametrize("name", STEPS)
def test_a_killed_run_is_completed_by_the_next(name, prepare, refusal, monkeypatch, tmp_path):
    undisturbed = contents(prepare())
    shutil.rmtree(tmp_path / "data")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, name)
        prepare()
    if name != "request.json":
        assert "made with --doc-stride 128, not 64" in refusal("--doc-stride", "64")
    assert contents(prepare()) == undisturbed


def test_another_request_is_refused(prepare, refusal, raw, tmp_path):
    before = contents(prepare())
    assert "made with --max-length 384, not 300: choose another" in refusal("--max-length=300")
    assert "with --max-query-length 64, not 20" in refusal("--max-query-length", "20")
    other = write_xlmr(tmp_path / "other", PASSAGES.values(), 90)
    assert "another sentencepiece.bpe.model in --xlmr" in refusal(xlmr=other)
    moved = shutil.copytree(raw, tmp_path / "moved")
    prepare(source=moved)  # the content matters, not the place
    write_squad(moved / "test-zh.json", berlin("zh", "new"))
    assert f"another test-zh.json ({raw}/test-zh.json as it was then, not" in refusal(source=moved)
    (moved / "test-zh.json").unlink()
    assert "made with test-zh.json too" in refusal(source=moved)
    assert contents(tmp_path / "data") == before


def test_a_file_that_changes_while_it_is_read_is_refused(refusal, raw, monkeypatch, tmp_path):
    write = spans.Writer.write

    def write_and_change(*args):
        counts = write(*args)
        write_squad(raw / "train.json", berlin("en", "new"))
        return counts

    monkeypatch.setattr(spans.Writer, "write", write_and_change)
    assert "train.json was changed while it was read: run again" in refusal()
    assert not (tmp_path / "data").exists()


def replace(name: str, *questions: SquadQuestion) -> Callable[[Path], None]:
    return lambda raw: write_squad(raw / name, questions)


FAULTS = {
    "no training set": (
        lambda raw: (raw / "train.json").unlink(),
        "raw has no file train.json: it must",
    ),
    "no validation set": (lambda raw: (raw / "valid.json").unlink(), "raw has no file valid.json"),
    "a name with a space": (
        replace("test-a b.json", NASTY["short"]),
        "test-a b.json: rename it: fairseq takes letters, digits",
    ),
    "no JSON": (
        lambda raw: (raw / "test-ar.json").write_text("x"),
        "test-ar.json, line 1: no JSON",
    ),
    "only dropped": (
        replace("train.json", NASTY["nowhere"], NASTY["empty"]),
        "train.json: no question has its answer in its passage",
    ),
    "a test without gold": (
        replace("test-ar.json", *berlin("ar", "x"), ask("bare", "x")),
        "test-ar.json, question bare: it has no gold answer, or a blank one: leave it out",
    ),
    "XTREME's hidden answers": (
        replace("test-ar.json", ask("bare", "x", Answer("", 0))),
        "test-ar.json, question bare: it has no gold answer, or a blank one",
    ),
    "an id twice": (
        replace("valid.json", NASTY["short"], NASTY["short"]),
        "valid.json, question short: its id is there twice",
    ),
    "a folder": (lambda raw: (raw / "test-x.json").mkdir(), "raw has no file test-x.json"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_leaves_nothing(fault, refusal, raw, tmp_path):
    edit, said = FAULTS[fault]
    edit(raw)
    assert re.search(re.escape(said), refusal())
    assert not (tmp_path / "data").exists()


def test_a_training_question_without_gold_is_dropped(prepare, raw):
    write_squad(raw / "train.json", [ask("bare", "x"), NASTY["short"]])
    counts = json.loads((prepare() / "labels.json").read_text())["splits"]["train"]
    assert (counts["sentences"], counts["dropped"]) == (1, 1)


@pytest.mark.parametrize(
    "options, said",
    [
        ("--max-length 68", "--max-length must be at least 69, not 68"),
        ("--max-length 513", "--max-length must be at most 512"),
        ("--doc-stride 317", "--doc-stride 317 leaves gaps between windows of 316 pieces"),
        ("--doc-stride 0", "--doc-stride must be at least 1"),
        ("--max-query-length 0", "--max-query-length must be at least 1"),
        ("--max-query-length 400", "--max-length must be at least 405, not 384"),
    ],
)
def test_lengths_that_leave_gaps_are_refused(options, said, refusal, tmp_path):
    assert said in refusal(*options.split())
    assert not (tmp_path / "data").exists()
