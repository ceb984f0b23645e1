"""Raw text is translated as a test set is, line by line, by one checkpoint or several."""

import io
import sys
from pathlib import Path

import pytest
import torch

from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.files import read_lines
from intra_distill.tools.deployment.translator import Translator
from intra_distill.tools.scoring.evaluation import Evaluation, evaluate
from intra_distill.tools.scoring.evaluator import Inference
from intra_distill.tools.scoring.search import Search

from ...support.checkpoints import change_checkpoint
from ...support.prepared import WORDS, translate_words

CPU = Inference(cpu=True)
# what `prepared` has as its test set, and the lines that its model never saw
TEXT = [*(f"{word} {other}" for word in WORDS for other in WORDS), "", "Zug", "   ", "ein HUND"]


def lines_of(path: Path) -> list[str]:
    return list(read_lines(path))


def translate(translator: Translator, lines: list[str], buffer_size: int = 7) -> list[str]:
    """The best translation of each line."""
    text = (f"{line}\n".encode() for line in lines)
    return [found[0].text if found else "" for found in translator.stream(text, buffer_size)]


@pytest.fixture(scope="module")
def translator(prepared, checkpoint) -> Translator:
    return Translator(prepared, [checkpoint], Search(), CPU)


@pytest.mark.parametrize("subset", ["test", "test1"])
def test_hypotheses_are_those_of_an_evaluation(prepared, checkpoint, tmp_path, subset, translator):
    evaluate(Evaluation(prepared, checkpoint, tmp_path, (subset,), inference=CPU))
    evaluated = lines_of(tmp_path / f"{subset}.hyp.en")
    lines = lines_of(prepared / f"{subset}.src.de")
    expected = [best if line else "" for line, best in zip(lines, evaluated, strict=True)]
    assert translate(translator, lines) == expected
    assert sum(map(bool, expected)) > 15


@pytest.mark.parametrize("buffer_size", [1, 3, 1000])
def test_each_line_gives_one_line_in_its_order(translator, buffer_size):
    translations = translate(translator, TEXT, buffer_size)
    assert len(translations) == len(TEXT)
    assert [bool(line) for line in translations] == [bool(line.strip()) for line in TEXT]
    right = [translate_words(line) for line in TEXT[:64]]
    assert sum(map(str.__eq__, translations, right)) > 50
    assert translations[-1] == translations[TEXT.index("ein hund")]  # the case of the data


def test_each_buffer_is_translated_before_the_next_is_read(translator):
    read = []

    def text():
        for line in ("ein", "mann", "hund", "haus"):
            read.append(line)
            yield f"{line}\n".encode()

    answers = translator.stream(text(), 2)
    next(answers), next(answers)
    assert read == ["ein", "mann"]
    next(answers)
    assert len(read) == 4


def test_a_line_that_is_too_long_is_translated_in_part(prepared, checkpoint, capsys):
    short = Translator(prepared, [checkpoint], Search(), Inference(max_tokens=6, cpu=True))
    lines = ["ein mann", " ".join(["hund"] * 9), "haus"]
    first, cut, last = translate(short, lines)
    assert capsys.readouterr().err == (
        "line 2 has 9 pieces, the model and --max-tokens take 5: only these are translated, split "
        "the line\n"
    )
    assert cut == translate(short, [" ".join(["hund"] * 5)])[0]
    assert [first, last] == translate(short, ["ein mann", "haus"])


def test_a_batch_without_room_for_a_piece_is_refused(prepared, checkpoint):
    with pytest.raises(UserError, match="--max-tokens 1 has no room for a piece and the </s>"):
        Translator(prepared, [checkpoint], Search(), Inference(max_tokens=1, cpu=True))


def test_the_lines_before_a_bad_one_are_translated(translator):
    answers = translator.stream([b"ein mann\n", b"hund\n", b"\xff\n", b"haus\n"], 100)
    assert [next(answers)[0].text, next(answers)[0].text] == ["a man", "dog"]
    with pytest.raises(UserError, match="the standard input, line 3: not UTF-8"):
        next(answers)


@pytest.mark.parametrize("text", [[], [b"\n"], [b" \n", b"\xe2\x80\x8b\n"]])  # U+200B
def test_nothing_to_translate(translator, text):
    assert list(translator.stream(text, 10)) == [[]] * len(text)


def test_an_ensemble_takes_the_mean_of_probabilities(prepared, checkpoint, tmp_path):
    torch.manual_seed(1)

    def disturb(state):
        for tensor in state["model"].values():
            tensor += 0.02 * torch.randn_like(tensor)

    other = change_checkpoint(checkpoint, tmp_path / "other.pt", disturb)
    found = {}
    for name, paths in {"one": [checkpoint], "other": [other], "both": [checkpoint, other]}.items():
        model = Translator(prepared, paths, Search(beam=1), CPU)
        text = (f"{line}\n".encode() for line in TEXT[:64])
        found[name] = [best[0] for best in model.stream(text, 100)]
    same = [each for each in zip(*found.values(), strict=True) if len({h.text for h in each}) == 1]
    assert len(same) > 30
    for hypotheses in same:  # the logarithm of a mean is above the mean of logarithms
        one, other, both = (float(each.score) for each in hypotheses)
        assert (one + other) / 2 - 1e-4 < both < max(one, other) + 0.1
    assert any(len({each.score[:6] for each in hypotheses}) == 3 for hypotheses in same)


def test_the_command_prints_the_best(prepared, checkpoint, monkeypatch, capfdbinary):
    for options, expected in {
        (): [b"a man", b"", b"dog"],
        ("--nbest", "2"): [b"0\t", b"0\t", b"2\t", b"2\t"],
    }.items():
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ein Mann\n\nhund")))
        main(["translate", str(prepared), "--path", str(checkpoint), "--cpu", *options])
        lines = capfdbinary.readouterr().out.split(b"\n")[:-1]
        assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected
    scores = [float(line.split(b"\t")[1]) for line in lines]
    assert lines[0].endswith(b"\ta man") and 0 > scores[0] > scores[1]


def test_a_standard_input_that_is_closed_is_empty(prepared, checkpoint, monkeypatch, capfdbinary):
    monkeypatch.setattr(sys, "stdin", None)
    main(["translate", str(prepared), "--path", str(checkpoint), "--cpu"])
    assert capfdbinary.readouterr().out == b""
