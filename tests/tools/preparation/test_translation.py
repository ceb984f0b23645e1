import argparse
import json
import os
import re
import resource
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fairseq.data import Dictionary, LanguagePairDataset
from fairseq.tasks.translation import load_langpair_dataset
from sentencepiece import SentencePieceProcessor

from intra_distill.cli import prepare
from intra_distill.errors import UserError
from intra_distill.tools.preparation import cleaning, subwords, translation
from intra_distill.tools.preparation.normalization import normalizer
from intra_distill.tools.preparation.request import Preparation
from intra_distill.tools.scoring import metrics
from intra_distill.tools.scoring.metrics import build_metrics, scores_of, signatures_of

from ...support.files import contents
from ...support.text import toy_pairs, write_pairs

VOCAB_SIZE = 80


@pytest.fixture
def toy(tmp_path: Path) -> Preparation:
    """A preparation of toy text with two test sets, that has not been run."""
    raw = tmp_path / "raw"
    raw.mkdir()
    for seed, (split, number) in enumerate({"train": 200, "valid": 12, "a": 9, "b": 5}.items()):
        write_pairs(raw / split, toy_pairs(number, seed))
    return Preparation(
        source_lang="de",
        target_lang="en",
        train=str(raw / "train"),
        valid=str(raw / "valid"),
        test=(str(raw / "a"), str(raw / "b")),
        destdir=tmp_path / "data",
        vocab_size=VOCAB_SIZE,
    )


def load(destdir: Path, split: str) -> LanguagePairDataset:
    dictionaries = [Dictionary.load(str(destdir / f"dict.{lang}.txt")) for lang in ("de", "en")]
    return load_langpair_dataset(
        str(destdir),
        split,
        src="de",
        src_dict=dictionaries[0],
        tgt="en",
        tgt_dict=dictionaries[1],
        combine=False,
        dataset_impl="mmap",
        upsample_primary=1,
        left_pad_source=True,
        left_pad_target=False,
        max_source_positions=1024,
        max_target_positions=1024,
        shuffle=False,
    )


def decoded(destdir: Path, split: str) -> list[tuple[str, str]]:
    """The text in the binaries, with <unk> where they have it."""
    data = load(destdir, split)
    return [
        (
            data.src_dict.string(example["source"], "sentencepiece"),
            data.tgt_dict.string(example["target"], "sentencepiece"),
        )
        for example in data
    ]


def report(preparation: Preparation) -> dict:
    return json.loads((preparation.destdir / "prepare.json").read_text())


def fairseq_and_reference_files() -> set[str]:
    splits = ("train", "valid", "test", "test1")
    binaries = {
        f"{split}.de-en.{lang}.{extension}"
        for split in splits
        for lang in ("de", "en")
        for extension in ("bin", "idx")
    }
    return binaries | {f"{split}.ref.en" for split in splits[1:]} | {"dict.de.txt", "dict.en.txt"}


def test_command_makes_a_directory_that_fairseq_reads(toy: Preparation) -> None:
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    prepare.main(
        parser.parse_args(
            f"--source-lang de --target-lang en --train {toy.train} --valid {toy.valid} "
            f"--test {','.join(toy.test)} --vocab-size {VOCAB_SIZE} --max-ratio 1.5 "
            f"--max-length 175 --destdir {toy.destdir}".split()
        )
    )
    for split, pairs in {
        "train": toy_pairs(200, 0),
        "valid": toy_pairs(12, 1),
        "test": toy_pairs(9, 2),
        "test1": toy_pairs(5, 3),
    }.items():
        assert decoded(toy.destdir, split) == pairs
        if split != "train":
            reference = (toy.destdir / f"{split}.ref.en").read_text()
            assert reference == "".join(target + "\n" for _, target in pairs)
    model = {"sentencepiece.model", "sentencepiece.vocab"}
    expected = fairseq_and_reference_files() | model | {"prepare.json"}
    assert {path.name for path in toy.destdir.iterdir()} == expected


def test_vocabulary_has_the_pieces_and_no_padding(toy: Preparation) -> None:
    translation.prepare(toy)
    model = SentencePieceProcessor(model_file=str(toy.destdir / "sentencepiece.model"))
    data = load(toy.destdir, "train")
    pieces = [model.id_to_piece(i) for i in range(model.get_piece_size())]
    assert len(pieces) == VOCAB_SIZE
    assert data.src_dict.symbols == data.tgt_dict.symbols
    assert len(data.src_dict) == VOCAB_SIZE + 1
    assert data.src_dict.symbols[data.src_dict.nspecial :] == pieces[3:]
    vocab = (toy.destdir / "sentencepiece.vocab").read_text().splitlines()
    assert [line.split("\t")[0] for line in vocab] == pieces


def test_vocabulary_is_learnt_from_kept_training_text_only(toy: Preparation) -> None:
    kept, dropped = ("ab ü", "ba ü"), ("ß", "ba " * 9)
    write_pairs(toy.train, toy_pairs(200, 0) + [kept, dropped])
    write_pairs(toy.valid, [("ab 漢", "ba ß ü")])
    translation.prepare(toy)
    assert decoded(toy.destdir, "valid") == [("ab <unk>", "ba <unk> ü")]


def test_unknown_text_never_becomes_a_special_symbol(toy: Preparation) -> None:
    write_pairs(toy.valid, [("</s>", "x <s>")])
    translation.prepare(toy)
    assert decoded(toy.destdir, "valid") == [("<unk>", "<unk> <unk>")]


def test_filters_count_moses_tokens_of_training_pairs_alone(
    toy: Preparation, capsys: pytest.CaptureFixture
) -> None:
    pairs = toy_pairs(200, 0)
    dropped = [
        ("", "ab"),
        ("ab", " \t"),
        ("ab, ab.", "ab"),  # 4 tokens to 1
        ("ab ab", "ab ab ab ab"),
        (" ".join(["ab"] * 10), " ".join(["ab"] * 9 + ["ab."])),  # 10 tokens to 11
    ]
    write_pairs(toy.train, pairs[:100] + dropped + pairs[100:])
    write_pairs(toy.valid, dropped)
    translation.prepare(replace(toy, max_length=10))
    counts = report(toy)["counts"]
    del counts["unknown"]
    assert counts == {
        "read": 205,
        "dropped": {"empty": 2, "word": 0, "ratio": 2, "length": 1},
        "kept": 200,
        "held_out": 0,
        "lines": {"train": 200, "valid": 5, "test": 9, "test1": 5},
    }
    assert "205 training pairs read; dropped: 2 with an empty side, 0 " in capsys.readouterr().out
    assert decoded(toy.destdir, "train") == pairs
    assert len(load(toy.destdir, "valid")) == 5


def test_train_pairs_takes_the_first_ones(toy: Preparation) -> None:
    first = replace(toy, train_pairs=50, vocab_size=60)
    translation.prepare(first)
    report = json.loads((first.destdir / "prepare.json").read_text())
    assert report["counts"]["read"] == report["options"]["train_pairs"] == 50
    head = replace(first, train=f"{toy.train}-head", train_pairs=None)
    head = replace(head, destdir=toy.destdir.with_name("head"))
    for lang in first.langs:
        lines = Path(f"{toy.train}.{lang}").read_bytes().splitlines(keepends=True)
        Path(f"{head.train}.{lang}").write_bytes(b"".join(lines[:50]))
    translation.prepare(head)
    for name in ("sentencepiece.model", "train.de-en.de.bin", "train.de-en.en.bin"):
        assert (first.destdir / name).read_bytes() == (head.destdir / name).read_bytes()


def held_out_numbers(preparation: Preparation, pairs: list[tuple[str, str]]) -> list[int]:
    """The places of the validation pairs among ``pairs``; the rest must be the training pairs."""
    valid = decoded(preparation.destdir, "valid")
    train = decoded(preparation.destdir, "train")
    numbers = [n for n, pair in enumerate(pairs, start=1) if pair in valid]
    assert [pairs[n - 1] for n in numbers] == valid
    assert [pair for pair in pairs if pair not in valid] == train
    references = (preparation.destdir / "valid.ref.en").read_text()
    assert references == "".join(target + "\n" for _, target in valid)
    return numbers


def test_every_nth_pair_that_the_filters_keep_is_held_out(toy: Preparation) -> None:
    pairs = toy_pairs(200, 0)
    write_pairs(toy.train, [("ab", ""), *pairs[:30], ("ab ab", "ab ab ab ab"), *pairs[30:]])
    every = replace(toy, valid=None, hold_out_every=23)
    translation.prepare(every)
    assert held_out_numbers(every, pairs) == [23, 46, 69, 92, 115, 138, 161, 184]
    counts = report(every)["counts"]
    assert counts["kept"] == 200 and counts["held_out"] == 8
    assert counts["lines"] == {"train": 192, "valid": 8, "test": 9, "test1": 5}


def test_pairs_are_held_out_at_random(toy: Preparation, capsys: pytest.CaptureFixture) -> None:
    held_out = replace(toy, valid=None, hold_out=40)
    translation.prepare(held_out)
    assert "200 kept, 40 of them held out for validation" in capsys.readouterr().out
    numbers = held_out_numbers(held_out, toy_pairs(200, 0))
    assert len(numbers) == report(held_out)["counts"]["held_out"] == 40
    assert len({n % 5 for n in numbers}) == 5 and min(numbers) < 25 and max(numbers) > 175
    assert report(held_out)["seed"] == 1
    elsewhere = replace(held_out, destdir=toy.destdir.with_name("elsewhere"), workers=4)
    translation.prepare(elsewhere)
    assert contents(elsewhere.destdir) == contents(held_out.destdir)


@pytest.mark.parametrize(
    ("text", "changes", "known"),
    [
        ("train", {"valid": None, "hold_out": 2}, {"ü"}),
        ("all", {}, {"ü", "漢", "ß"}),
        ("all", {"valid": None, "hold_out": 2}, {"ü", "ß"}),
    ],
)
def test_vocabulary_is_learnt_from_the_text_asked_for(
    toy: Preparation, text: str, changes: dict, known: set[str]
) -> None:
    write_pairs(toy.train, [("ab ü", "ba ü"), *toy_pairs(200, 0)])
    write_pairs(toy.valid, [("ab 漢", "ba")])
    write_pairs(toy.test[1], [("ab", "ß ba")])
    toy = replace(toy, sentencepiece_text=text, **changes)
    translation.prepare(toy)
    symbols = "".join(load(toy.destdir, "train").src_dict.symbols)
    assert {char for char in "ü漢ß" if char in symbols} == known
    assert report(toy)["sentencepiece_trained_on"] == text


def test_vocabulary_is_learnt_from_a_sample(
    toy: Preparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt_from = []

    def learn(lines: Iterable[str], *options: Any) -> bytes:
        learnt_from.append(list(lines))
        return subwords.learn(learnt_from[-1], *options)

    monkeypatch.setattr(translation, "learn", learn)
    translation.prepare(replace(toy, sentencepiece_sample=150))
    everything = [line for side in zip(*toy_pairs(200, 0)) for line in side]
    remaining = iter(everything)
    assert len(learnt_from[0]) == 150
    assert all(line in remaining for line in learnt_from[0])  # in their order
    more = replace(toy, sentencepiece_sample=5000, destdir=toy.destdir.with_name("more"))
    translation.prepare(more)
    assert learnt_from[1] == everything


def test_more_workers_than_lines(toy: Preparation) -> None:
    for prefix in (toy.valid, *toy.test):
        write_pairs(prefix, [("Ab", "ba")])
    translation.prepare(replace(toy, workers=7))
    assert decoded(toy.destdir, "test") == decoded(toy.destdir, "valid") == [("Ab", "ba")]


def test_report_says_what_was_made_from_what(toy: Preparation) -> None:
    translation.prepare(toy)
    content = report(toy)
    assert content["options"] == {
        "source_lang": "de",
        "target_lang": "en",
        "hold_out_every": None,
        "hold_out": None,
        "vocab_size": VOCAB_SIZE,
        "sentencepiece_text": "train",
        "sentencepiece_sample": None,
        "normalization": "nmt_nfkc",
        "max_ratio": 1.5,
        "max_length": 175,
        "train_pairs": None,
        "lowercase": False,
    }
    assert set(content["versions"]) == {"sentencepiece", "sacremoses", "fairseq"}
    assert content["sentencepiece_trained_on"] == "train"
    assert {name: entry["lines"] for name, entry in content["inputs"].items()} == {
        **{"train.de": 200, "train.en": 200, "valid.de": 12, "valid.en": 12},
        **{"test.de": 9, "test.en": 9, "test1.de": 5, "test1.en": 5},
    }


def test_same_bytes_wherever_and_with_however_many_workers(toy: Preparation) -> None:
    translation.prepare(toy)
    elsewhere = replace(toy, destdir=toy.destdir.with_name("elsewhere"), workers=3)
    translation.prepare(elsewhere)
    assert contents(elsewhere.destdir) == contents(toy.destdir)


def test_line_ends_of_other_systems_change_nothing(toy: Preparation) -> None:
    translation.prepare(toy)
    write_pairs(toy.train, toy_pairs(200, 0), end="\r\n")
    write_pairs(toy.valid, toy_pairs(12, 1), end="\r\n")
    other = replace(toy, destdir=toy.destdir.with_name("other"))
    translation.prepare(other)
    made, expected = contents(other.destdir), contents(toy.destdir)
    del made["prepare.json"], expected["prepare.json"]  # the inputs have other bytes
    assert made == expected


def test_lowercase_lowers_all_text(toy: Preparation) -> None:
    write_pairs(toy.test[0], [("AB Ab", "BA Ba")])
    translation.prepare(replace(toy, lowercase=True))
    assert decoded(toy.destdir, "train") == [(s.lower(), t) for s, t in toy_pairs(200, 0)]
    assert decoded(toy.destdir, "test") == [("ab ab", "ba ba")]
    assert (toy.destdir / "test.ref.en").read_text() == "ba ba\n"


# What Python, Unicode or a terminal takes for white space or for the end of a line, and others
# that text tools stumble over.
ODD_CHARACTERS = (
    "\t\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2028\u2029\u3000\u200b\ufeff\u2581\x01"
    "\x7f\xad\u180e\u200c\u200d\u200e\u200f\u202a\u202b\u202e\u2060\u2066\u2069\ufffd\U000e0001"
)


CHINESE = [
    ("Hello, world!", "你好，世界！"),
    ('She said: "Perhaps."', "她说：“也许。”"),
    ("Where is the way to the station?", "去车站的路在哪里？"),
    ("We have 7 books (all new).", "我们有７本书（都是新的）。"),
    ("The tea is good; the bread too.", "茶很好；面包也很好。"),
]
PERSIAN = [
    ("I read the books.", "کتاب‌ها را می‌خوانم."),
    ("He does not know it.", "او آن را نمی‌داند."),
    ("We go to the gardens.", "ما به باغ‌ها می‌رویم."),
]
DECOMPOSED = [
    (english, unicodedata.normalize("NFD", german))
    for english, german in [
        ("The girls hear the cows.", "Die Mädchen hören die Kühe."),
        ("Five green apples for them.", "Fünf grüne Äpfel für sie."),
        ("The doors open early today.", "Die Türen öffnen heute früh."),
    ]
]


def prepare_text(folder: Path, pairs: list, target_lang: str, **changes: Any) -> Preparation:
    """A preparation of these pairs, many times for training, once to validate and to test.

    Its vocabulary is as large as the text allows.
    """
    folder.mkdir()
    for split, times in {"train": 40, "valid": 1, "test": 1}.items():
        for lang, side in zip(("en", target_lang), zip(*pairs)):
            text = "".join(f"{line}\n" for line in side * times)
            (folder / f"{split}.{lang}").write_text(text, encoding="utf-8")
    preparation = Preparation(
        source_lang="en",
        target_lang=target_lang,
        train=str(folder / "train"),
        valid=str(folder / "valid"),
        test=(str(folder / "test"),),
        destdir=folder / "data",
        **{"vocab_size": 10_000, "max_ratio": 50.0, **changes},
    )
    with pytest.raises(UserError) as refusal:
        translation.prepare(preparation)
    largest = int(re.search(r"the largest possible is (\d+)", str(refusal.value))[1])
    preparation = replace(preparation, vocab_size=largest)
    translation.prepare(preparation)
    return preparation


@pytest.mark.parametrize(
    ("pairs", "lang", "rule", "keeps", "change"),
    [
        (CHINESE, "zh_CN", "nmt_nfkc", "identity", "U+FF0C to U+002C"),
        (PERSIAN, "fa", "nmt_nfkc", "nfkc", "U+200C to U+0020"),
        (PERSIAN, "pes", "nmt_nfkc", "identity", "U+200C to U+0020"),
        (DECOMPOSED, "de", "nfkc", "identity", "U+0061 U+0308 to U+00E4"),
    ],
)
def test_what_the_pieces_cost_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    pairs: list,
    lang: str,
    rule: str,
    keeps: str,
    change: str,
) -> None:
    """A model without any error is scored by what fairseq reads back of the references."""
    changing = prepare_text(tmp_path / "changing", pairs, lang, normalization=rule)
    printed = capsys.readouterr().out
    ceiling = report(changing)["ceilings"]["test"]
    references = [target for _, target in pairs]
    built = build_metrics(references, "zh" if lang == "zh_CN" else "13a", lowercase=False)
    normalize = normalizer(rule).normalize
    said = [normalize(line).replace("\u2581", " ").strip() for line in references]
    assert ceiling["scores"] == scores_of(built, said)
    assert max(ceiling["scores"].values()) < 90
    assert ceiling["signatures"] == signatures_of(built)
    assert ceiling["changed"] == ceiling["lines"] == len(pairs)
    assert f"score {ceiling['scores']['BLEU']:.2f} BLEU" in printed
    assert change in printed and "--normalization identity" in printed

    keeping = prepare_text(tmp_path / "keeping", pairs, lang, normalization=keeps)
    assert report(keeping)["ceilings"] == {}
    assert "without any error" not in capsys.readouterr().out


def test_text_that_the_pieces_keep_has_no_ceiling(toy: Preparation) -> None:
    write_pairs(toy.test[0], [("Ab  ab ", " ba  ba"), ("Ab", "ba")])  # white space is none's matter
    translation.prepare(toy)
    assert report(toy)["ceilings"] == {}


def test_unknown_characters_are_counted(toy: Preparation, capsys: pytest.CaptureFixture) -> None:
    rare = [("Ab ab", f"ba {char}") for char in "€ßüöäéèñçø"]
    write_pairs(toy.train, toy_pairs(200, 0) + rare)
    write_pairs(toy.valid, [("Ab", "ba 漢")])
    translation.prepare(replace(toy, sentencepiece_sample=100))
    unknown = report(toy)["counts"]["unknown"]
    assert unknown["valid.en"] == {"tokens": 1, "lines": 1}
    assert 0 < unknown["train.en"]["tokens"] == unknown["train.en"]["lines"] < len(rare)
    for split in ("train", "valid", "test"):
        data = load(toy.destdir, split)
        for lang, side in (("de", data.src), ("en", data.tgt)):
            unk = data.src_dict.unk()
            assert (
                sum(int((line == unk).sum()) for line in side)
                == (unknown[f"{split}.{lang}"]["tokens"])
            )
    printed = capsys.readouterr().out
    assert f"train.en {unknown['train.en']['tokens']}, valid.en 1;" in printed
    assert "--sentencepiece-sample" in printed and "test.en" not in printed


def test_pairs_that_only_look_full_are_dropped(toy: Preparation) -> None:
    empty = [("Ab", char) for char in ("\u200b", "\ufeff", "\u200e", "\x7f", "\u2581")]
    write_pairs(toy.train, toy_pairs(200, 0) + empty)
    translation.prepare(toy)
    assert report(toy)["counts"]["dropped"]["empty"] == len(empty)
    assert decoded(toy.destdir, "train") == toy_pairs(200, 0)


def test_a_ratio_that_drops_most_pairs_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    made = prepare_text(tmp_path / "narrow", CHINESE, "zh_TW", max_ratio=1.5)
    dropped = report(made)["counts"]["dropped"]["ratio"]
    assert dropped > 100
    printed = capsys.readouterr().out
    assert f"{dropped} of 200 pairs were dropped by --max-ratio 1.5: zh_TW is written" in printed
    assert "without spaces" in printed and "--max-ratio 50" in printed
    prepare_text(tmp_path / "wide", CHINESE, "zh_TW")
    assert "pairs were dropped by" not in capsys.readouterr().out


def test_pairs_that_do_not_match_are_said(toy: Preparation, capsys: pytest.CaptureFixture) -> None:
    write_pairs(toy.train, toy_pairs(200, 0) + [("Ab ab", "ba ba ba ba")] * 60)
    translation.prepare(toy)
    assert "60 of 260 pairs were dropped by --max-ratio 1.5: the sides may not match" in (
        capsys.readouterr().out
    )


def test_a_tokeniser_that_is_missing_is_said_before_the_work(
    toy: Preparation, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_installed(**_: Any) -> None:
        raise RuntimeError("pip install sacrebleu[ja]")

    monkeypatch.setattr(metrics, "BLEU", not_installed)
    with pytest.raises(UserError, match="cannot read .*jpn"):
        translation.prepare(replace(toy, target_lang="jpn"))
    assert "tokeniser ja-mecab, which" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [1, 2])
def test_odd_characters_and_empty_lines_keep_pairs_together(toy: Preparation, workers: int) -> None:
    odd = [(f"Ab{char}ab {n}", f"ba{char}ba {n}") for n, char in enumerate(ODD_CHARACTERS)]
    write_pairs(toy.train, toy_pairs(200, 0) + odd * 3)
    test = [*odd, ("", "ba"), ("Ab", ""), ("", ""), *toy_pairs(4, 4)]
    write_pairs(toy.test[0], test)
    translation.prepare(replace(toy, workers=workers))

    train = load(toy.destdir, "train")
    assert len(train) == 200 + 3 * len(odd)
    assert all(piece.split() == [piece] for piece in train.src_dict.symbols)
    made = decoded(toy.destdir, "test")
    assert made[len(odd) :] == test[len(odd) :]
    for n, char in enumerate(ODD_CHARACTERS):
        between = f"( ?|{char})"
        assert re.fullmatch(f"Ab{between}ab {n}", made[n][0])
        assert re.fullmatch(f"ba{between}ba {n}", made[n][1])
    empty = load(toy.destdir, "test")[len(odd) + 2]
    assert empty["source"].tolist() == empty["target"].tolist() == [Dictionary().eos()]
    references = (toy.destdir / "test.ref.en").read_bytes().decode().split("\n")
    assert references == [*(target for _, target in test), ""]


def test_second_run_does_nothing(toy: Preparation, capsys: pytest.CaptureFixture) -> None:
    translation.prepare(toy)
    before = {path: path.stat().st_mtime_ns for path in toy.destdir.iterdir()}
    capsys.readouterr()
    translation.prepare(replace(toy, workers=2))
    assert "nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in toy.destdir.iterdir()} == before


class Killed(BaseException):
    """The run ends here."""


def kill_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """End the run just before the file ``name`` gets its name."""
    rename = os.replace

    def rename_or_die(source: Path, target: Path) -> None:
        if target.name == name:
            raise Killed
        rename(source, target)

    monkeypatch.setattr(os, "replace", rename_or_die)


@pytest.mark.parametrize(
    "name",
    [
        "request.json",
        "train.en",
        "sentencepiece.vocab",
        "test.ref.en",
        "valid.de-en.de.idx",
        "train.de-en.en.bin",
        "prepare.json",
    ],
)
@pytest.mark.parametrize("changes", [{}, {"valid": None, "hold_out": 9}])
def test_killed_run_is_completed_by_the_next(
    toy: Preparation, monkeypatch: pytest.MonkeyPatch, name: str, changes: dict
) -> None:
    toy = replace(toy, **changes)
    whole = replace(toy, destdir=toy.destdir.with_name("whole"))
    translation.prepare(whole)
    expected = contents(whole.destdir)
    with monkeypatch.context() as patch:
        kill_at(patch, name)
        with pytest.raises(Killed):
            translation.prepare(toy)
    left = {k: v for k, v in contents(toy.destdir).items() if not k.startswith(".partial/")}
    left.pop("prepare.json.tmp", None)
    assert "prepare.json" not in left
    assert left.items() <= expected.items()
    translation.prepare(toy)
    assert contents(toy.destdir) == expected
    assert not toy.work.exists()


def test_half_written_binary_has_no_final_name(
    toy: Preparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    binarise = translation.binarise

    def die_after_source_side(*args: Any) -> dict[str, int]:
        unknown = binarise(*args)
        if "train.de-en.de" in str(args):
            raise Killed
        return unknown

    with monkeypatch.context() as patch:
        patch.setattr(translation, "binarise", die_after_source_side)
        with pytest.raises(Killed):
            translation.prepare(toy)
    assert list((toy.work / "scratch").glob("*.bin"))
    assert not list(toy.destdir.glob("*.bin"))
    monkeypatch.setattr(translation, "write_text", None)
    monkeypatch.setattr(translation, "write_sentencepiece", None)
    translation.prepare(toy)  # without the steps done before
    assert decoded(toy.destdir, "test1") == toy_pairs(5, 3)


def test_text_of_an_unknown_preparation_is_not_taken_up(toy: Preparation) -> None:
    toy.work.mkdir(parents=True)
    for name in [*translation.text_names(toy), "counts.json"]:
        (toy.work / name).write_text("stale\n")
    translation.prepare(toy)
    assert decoded(toy.destdir, "valid") == toy_pairs(12, 1)


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda toy: replace(toy, vocab_size=70), "--vocab-size 80, not 70"),
        (lambda toy: replace(toy, max_ratio=2.0), "--max-ratio 1.5, not 2.0"),
        (lambda toy: replace(toy, lowercase=True), "--lowercase False, not True"),
        (lambda toy: replace(toy, valid=None, hold_out=5), "--hold-out None, not 5"),
        (
            lambda toy: replace(toy, sentencepiece_text="all"),
            "--sentencepiece-text train, not all",
        ),
        (lambda toy: replace(toy, test=toy.test[:1]), "another number of --test sets"),
        (
            lambda toy: replace(toy, valid=toy.test[0]),
            r"another valid.de text \(.*/valid.de as it was then, not .*/a.de of now\)",
        ),
    ],
)
def test_other_preparation_is_refused(
    toy: Preparation,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Preparation], Preparation],
    difference: str,
    finished: bool,
) -> None:
    if finished:
        translation.prepare(toy)
    else:
        kill_at(monkeypatch, "train.en")
        with pytest.raises(Killed):
            translation.prepare(toy)
    before = contents(toy.destdir)
    with pytest.raises(UserError, match=f"prepared with {difference}: choose another --destdir"):
        translation.prepare(change(toy))
    assert contents(toy.destdir) == before


def test_changed_text_is_refused(toy: Preparation) -> None:
    translation.prepare(toy)
    write_pairs(toy.train, toy_pairs(201, 0))
    with pytest.raises(UserError, match="another train.de text"):
        translation.prepare(toy)


@pytest.mark.parametrize("is_file", [True, False])
def test_destdir_of_something_else_is_left_alone(toy: Preparation, is_file: bool) -> None:
    precious = toy.destdir if is_file else toy.destdir / "precious"
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("kept")
    with pytest.raises(UserError, match="is not a directory|holds files of something else"):
        translation.prepare(toy)
    assert precious.read_text() == "kept"


def test_destdir_that_cannot_be_made_is_refused(toy: Preparation) -> None:
    with pytest.raises(UserError, match="cannot write in --destdir .*Not a directory"):
        translation.prepare(replace(toy, destdir=Path(f"{toy.train}.de") / "data"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_lang": "de"}, "--source-lang and --target-lang are both de"),
        ({"target_lang": "zh-CN"}, "--target-lang 'zh-CN': .* rename it, such as zh_CN$"),
        ({"vocab_size": 0}, "--vocab-size must be at least 4 .*, not 0"),
        ({"max_ratio": 0.9}, "--max-ratio must be at least 1, not 0.9"),
        ({"max_ratio": float("nan")}, "--max-ratio must be at least 1, not nan"),
        ({"max_length": 0}, "--max-length must be at least 1, not 0"),
        ({"train_pairs": 0}, "--train-pairs must be at least 1, not 0"),
        ({"workers": 0}, "--workers must be at least 1, not 0"),
        ({"sentencepiece_sample": 0}, "--sentencepiece-sample must be at least 1, not 0"),
        ({"valid": None}, "give one of --valid, --hold-out-every, --hold-out .*, not none"),
        ({"hold_out": 5}, "give one of .*, not --valid and --hold-out"),
        ({"valid": None, "hold_out": 5, "hold_out_every": 5}, "not --hold-out-every and --hold-o"),
        ({"valid": None, "hold_out_every": 1}, "--hold-out-every must be at least 2, not 1"),
        ({"valid": None, "hold_out": 0}, "--hold-out must be at least 1, not 0"),
        ({"test": ("x", "y", "x")}, "--test names x 2 times"),
        ({"destdir": Path("a,b")}, "--destdir a,b has a ','"),
        ({"train": "nowhere"}, "cannot read nowhere.de: No such file"),
    ],
)
def test_bad_option_is_refused(toy: Preparation, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        translation.prepare(replace(toy, **changes))
    assert not toy.destdir.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("valid.de", b"\xef\xbb\xbfa\n", "valid.de, line 1: there is a byte order mark or NUL"),
        ("valid.de", b"\xef\xbb\xbf\n", "valid.de, line 1: there is a byte order mark or NUL"),
        ("train.en", b"a\nb\n\xef\xbb\xbfc\n", "train.en, line 3: there is a byte order mark"),
        ("a.de", b"a\nb\0c\n", "a.de, line 2: there is a byte order mark or NUL"),
        ("valid.en", b"a\nb\x85c\x0bd\n", "valid.de has 12 lines but .*valid.en has 2"),
        ("a.de", b"fine\ncaf\xe9\n", r"a.de, line 2: not UTF-8"),
        ("b.en", b"", "b.de has 5 lines but .*b.en has 0"),
    ],
)
def test_bad_text_is_refused(toy: Preparation, name: str, content: bytes, message: str) -> None:
    text = Path(toy.train).with_name(name)
    text.write_bytes(content.replace(b"\x85", "\x85".encode()))
    with pytest.raises(UserError, match=message):
        translation.prepare(toy)
    assert not toy.destdir.exists()


def test_empty_split_is_refused(toy: Preparation) -> None:
    for lang in ("de", "en"):
        Path(f"{toy.valid}.{lang}").write_bytes(b"")
    with pytest.raises(UserError, match="valid.de and .*valid.en are empty"):
        translation.prepare(toy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hold_out": 200}, "--hold-out 200 makes 200 validation pairs of the 200 that the filt"),
        ({"hold_out_every": 201}, "--hold-out-every 201 makes 0 validation pairs of the 200"),
    ],
)
def test_a_split_that_leaves_a_side_empty_is_refused(
    toy: Preparation, changes: dict, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        translation.prepare(replace(toy, valid=None, **changes))
    translation.prepare(toy)  # in the same directory


@pytest.mark.parametrize("name", ["train.de", "b.en"])
def test_text_that_changes_while_it_is_read_is_refused(
    toy: Preparation, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    changing = Path(toy.train).with_name(name)

    def change_and_clean(*args: Any) -> Iterator[Any]:
        changing.write_text(changing.read_text() + "One line more\n")
        return cleaning.clean_in_parallel(*args)

    monkeypatch.setattr(translation, "clean_in_parallel", change_and_clean)
    with pytest.raises(UserError, match=f"{name} was changed while it was read"):
        translation.prepare(replace(toy, train_pairs=100))


def test_full_disk_ends_the_run_with_a_line_and_the_next_goes_on(toy: Preparation) -> None:
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, unlimited[1]))  # bytes a file
    try:
        with pytest.raises(UserError, match="cannot write .*: File too large"):
            translation.prepare(toy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    translation.prepare(toy)
    assert decoded(toy.destdir, "train") == toy_pairs(200, 0)


def test_nothing_left_to_train_on_is_refused(toy: Preparation) -> None:
    with pytest.raises(UserError, match="the filters drop all 200 training pairs"):
        translation.prepare(replace(toy, max_length=1))


@pytest.mark.parametrize(
    ("vocab_size", "message"),
    [(5, r"no room for .* the smallest possible is (\d+)"), (5000, r"largest possible is (\d+)")],
)
def test_impossible_vocabulary_size_names_one_that_works(
    toy: Preparation, vocab_size: int, message: str
) -> None:
    with pytest.raises(UserError, match=f"--vocab-size {vocab_size} .*{message}") as refusal:
        translation.prepare(replace(toy, vocab_size=vocab_size))
    possible = int(re.search(message, str(refusal.value))[1])
    translation.prepare(replace(toy, vocab_size=possible))  # in the same directory
    assert len(load(toy.destdir, "train").src_dict) == possible + 1
