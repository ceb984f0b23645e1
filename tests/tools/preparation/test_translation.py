import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fairseq.data import Dictionary
from sentencepiece import SentencePieceProcessor

from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.tools.preparation import cleaning, splits, subwords, translation
from intra_distill.tools.preparation.normalization import normalizer
from intra_distill.tools.preparation.pieces import pieces_of
from intra_distill.tools.preparation.request import TranslationPreparation
from intra_distill.tools.scoring import metrics
from intra_distill.tools.scoring.metrics import (
    DEFAULT_METRICS,
    Text,
    build_scorers,
    scores_of,
    signatures_of,
)

from ...support.files import contents
from ...support.kills import Killed, kill_before_rename
from ...support.preparations import PAIRS, VOCAB_SIZE, decoded, load, prepare
from ...support.text import toy_pairs, write_pairs


def report(preparation: TranslationPreparation) -> dict:
    return json.loads((preparation.destdir / "prepare.json").read_text())


def test_command_makes_a_directory_that_fairseq_reads(toy, capsys):
    command = f"""prepare --source-lang de --target-lang en --train {toy.train}
        --valid {toy.valid} --test {",".join(toy.test)} --vocab-size {VOCAB_SIZE} --max-ratio 1.5
        --max-length 175 --destdir {toy.destdir}""".split()
    main(command)
    assert f"{toy.destdir} is finished" in capsys.readouterr().out
    plain_text = set()
    for split, pairs in PAIRS.items():
        assert decoded(toy.destdir, split) == toy_pairs(*pairs)
        if split != "train":
            for name, side in zip(("src.de", "ref.en"), zip(*toy_pairs(*pairs)), strict=True):
                plain_text.add(f"{split}.{name}")
                text = (toy.destdir / f"{split}.{name}").read_text()
                assert text == "".join(f"{line}\n" for line in side)
    dictionaries = {"dict.de.txt", "dict.en.txt"}
    sides = {f"{split}.de-en.{lang}" for split in PAIRS for lang in ("de", "en")}
    binaries = {f"{side}.{extension}" for side in sides for extension in ("bin", "idx")}
    others = {"sentencepiece.model", "sentencepiece.vocab", "prepare.json"}
    assert contents(toy.destdir).keys() == dictionaries | binaries | plain_text | others
    before = {path: path.stat().st_mtime_ns for path in toy.destdir.iterdir()}
    main([*command, "--workers", "2"])
    assert "nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in toy.destdir.iterdir()} == before


def test_vocabulary_has_the_pieces_and_no_padding(finished):
    model = SentencePieceProcessor(model_file=str(finished.destdir / "sentencepiece.model"))
    data = load(finished.destdir, "train")
    pieces = pieces_of(model)
    assert len(pieces) == VOCAB_SIZE
    assert data.src_dict.symbols == data.tgt_dict.symbols
    assert len(data.src_dict) == VOCAB_SIZE + 1
    assert data.src_dict.symbols[data.src_dict.nspecial :] == pieces[3:]
    vocab = (finished.destdir / "sentencepiece.vocab").read_text().splitlines()
    assert [line.split("\t")[0] for line in vocab] == pieces


@pytest.mark.parametrize(
    "train, valid, expected",
    [
        # trained on the training pairs that are kept, of which the second is not
        ([("ab ü", "ba ü"), ("ß", "ba " * 9)], ("ab 漢", "ba ß ü"), ("ab <unk>", "ba <unk> ü")),
        ([], ("</s>", "x <s>"), ("<unk>", "<unk> <unk>")),  # never a special symbol
    ],
)
def test_text_outside_the_vocabulary_is_unknown(toy, train, valid, expected):
    write_pairs(toy.train, toy_pairs(200, 0) + train)
    write_pairs(toy.valid, [valid])
    prepare(toy)
    assert decoded(toy.destdir, "valid") == [expected]


def test_filters_count_moses_tokens_of_training_pairs_alone(toy, capsys):
    pairs = toy_pairs(200, 0)
    dropped = [
        ("", "ab"),
        ("ab", " \t"),
        *(("Ab", invisible) for invisible in "\u200b\ufeff\u200e\x7f\u2581"),
        ("ab, ab.", "ab"),  # 4 tokens to 1
        ("ab ab", "ab ab ab ab"),
        (" ".join(["ab"] * 10), " ".join(["ab"] * 9 + ["ab."])),  # 10 tokens to 11
    ]
    write_pairs(toy.train, pairs[:100] + dropped + pairs[100:])
    write_pairs(toy.valid, dropped[:4] + dropped[5:])
    prepare(toy, max_length=10)
    counts = report(toy)["counts"]
    del counts["unknown"]
    assert counts == {
        "read": 210,
        "dropped": {"empty": 7, "word": 0, "ratio": 2, "length": 1},
        "kept": 200,
        "held_out": 0,
        "lines": {"train": 200, "valid": 9, "test": 9, "test1": 5},
        "too_long": {},
    }
    assert "210 training pairs read; dropped: 7 with an empty side, 0 " in capsys.readouterr().out
    assert decoded(toy.destdir, "train") == pairs
    assert len(load(toy.destdir, "valid")) == 9


def test_train_pairs_takes_the_first_ones(toy):
    first = prepare(toy, train_pairs=50, vocab_size=60)
    assert report(first)["counts"]["read"] == report(first)["options"]["train_pairs"] == 50
    write_pairs(f"{toy.train}-head", toy_pairs(200, 0)[:50])
    head = {"train": f"{toy.train}-head", "destdir": toy.destdir.with_name("head")}
    prepare(toy, vocab_size=60, **head)
    for name in ("sentencepiece.model", "train.de-en.de.bin", "train.de-en.en.bin"):
        assert (first.destdir / name).read_bytes() == (head["destdir"] / name).read_bytes()


def held_out_numbers(
    preparation: TranslationPreparation, pairs: list[tuple[str, str]]
) -> list[int]:
    """The places of the validation pairs among ``pairs``; the rest must be the training pairs."""
    valid = decoded(preparation.destdir, "valid")
    train = decoded(preparation.destdir, "train")
    numbers = [n for n, pair in enumerate(pairs, start=1) if pair in valid]
    assert [pairs[n - 1] for n in numbers] == valid
    assert [pair for pair in pairs if pair not in valid] == train
    references = (preparation.destdir / "valid.ref.en").read_text()
    assert references == "".join(target + "\n" for _, target in valid)
    return numbers


def test_every_nth_pair_that_the_filters_keep_is_held_out(toy):
    pairs = toy_pairs(200, 0)
    write_pairs(toy.train, [("ab", ""), *pairs[:30], ("ab ab", "ab ab ab ab"), *pairs[30:]])
    every = prepare(toy, valid=None, hold_out_every=23)
    assert held_out_numbers(every, pairs) == [23, 46, 69, 92, 115, 138, 161, 184]
    counts = report(every)["counts"]
    assert counts["kept"] == 200 and counts["held_out"] == 8
    assert counts["lines"] == {"train": 192, "valid": 8, "test": 9, "test1": 5}


def test_pairs_are_held_out_at_random(toy, capsys):
    held_out = prepare(toy, valid=None, hold_out=40)
    assert "200 kept, 40 of them held out for validation" in capsys.readouterr().out
    numbers = held_out_numbers(held_out, toy_pairs(200, 0))
    assert len(numbers) == report(held_out)["counts"]["held_out"] == 40
    assert len({n % 5 for n in numbers}) == 5 and min(numbers) < 25 and max(numbers) > 175
    assert report(held_out)["seed"] == 1
    elsewhere = prepare(held_out, destdir=toy.destdir.with_name("elsewhere"), workers=4)
    assert contents(elsewhere.destdir) == contents(held_out.destdir)


@pytest.mark.parametrize(
    ("text", "changes", "known"),
    [
        ("train", {"valid": None, "hold_out": 2}, {"ü"}),
        ("all", {}, {"ü", "漢", "ß"}),
        ("all", {"valid": None, "hold_out": 2}, {"ü", "ß"}),
    ],
)
def test_vocabulary_is_of_the_text_asked_for(toy, text, changes, known):
    write_pairs(toy.train, [("ab ü", "ba ü"), *toy_pairs(200, 0)])
    write_pairs(toy.valid, [("ab 漢", "ba")])
    write_pairs(toy.test[1], [("ab", "ß ba")])
    prepare(toy, sentencepiece_text=text, **changes)
    symbols = "".join(load(toy.destdir, "train").src_dict.symbols)
    assert {char for char in "ü漢ß" if char in symbols} == known
    assert report(toy)["sentencepiece_trained_on"] == text


def test_vocabulary_is_of_a_sample(toy, monkeypatch):
    texts = []

    def train_sentencepiece(lines: Iterable[str], *options: Any) -> bytes:
        texts.append(list(lines))
        return subwords.train_sentencepiece(texts[-1], *options)

    monkeypatch.setattr(translation, "train_sentencepiece", train_sentencepiece)
    prepare(toy, sentencepiece_sample=150)
    everything = [line for side in zip(*toy_pairs(200, 0)) for line in side]
    remaining = iter(everything)
    assert len(texts[0]) == 150
    assert all(line in remaining for line in texts[0])  # in their order
    prepare(toy, sentencepiece_sample=5000, destdir=toy.destdir.with_name("more"))
    assert texts[1] == everything


def test_more_workers_than_lines(toy):
    for prefix in (toy.valid, *toy.test):
        write_pairs(prefix, [("Ab", "ba")])
    prepare(toy, workers=7)
    assert decoded(toy.destdir, "test") == decoded(toy.destdir, "valid") == [("Ab", "ba")]


def test_report_says_what_was_made_from_what(finished):
    content = report(finished)
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
        f"{split}.{lang}": number for split, (number, _) in PAIRS.items() for lang in ("de", "en")
    }


def test_same_bytes_wherever_and_with_however_many_workers(finished, tmp_path):
    prepare(finished, destdir=tmp_path, workers=3)
    assert contents(tmp_path) == contents(finished.destdir)


def test_line_ends_of_other_systems_change_nothing(finished, toy):
    for split in ("train", "valid"):
        write_pairs(toy.destdir.with_name("raw") / split, toy_pairs(*PAIRS[split]), end="\r\n")
    prepare(toy)
    made, expected = contents(toy.destdir), contents(finished.destdir)
    del made["prepare.json"], expected["prepare.json"]  # the inputs have other bytes
    assert made == expected


def test_lowercase_lowers_all_text(toy):
    write_pairs(toy.test[0], [("AB Ab", "BA Ba")])
    prepare(toy, lowercase=True)
    assert decoded(toy.destdir, "train") == [(s.lower(), t) for s, t in toy_pairs(200, 0)]
    assert decoded(toy.destdir, "test") == [("ab ab", "ba ba")]
    assert (toy.destdir / "test.ref.en").read_text() == "ba ba\n"


# White space or line ends to Python, Unicode or a terminal, and others that confuse text tools.
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


def prepare_text(
    folder: Path, pairs: list, target_lang: str, **changes: Any
) -> TranslationPreparation:
    """Prepare these pairs, many times for training, once to validate and to test.

    The vocabulary is as large as the text allows.
    """
    folder.mkdir()
    for split, times in {"train": 40, "valid": 1, "test": 1}.items():
        for lang, side in zip(("en", target_lang), zip(*pairs)):
            text = "".join(f"{line}\n" for line in side * times)
            (folder / f"{split}.{lang}").write_text(text, encoding="utf-8")
    preparation = TranslationPreparation(
        source_lang="en",
        target_lang=target_lang,
        train=str(folder / "train"),
        valid=str(folder / "valid"),
        test=(str(folder / "test"),),
        destdir=folder / "data",
        **{"vocab_size": 10_000, "max_ratio": 50.0, **changes},
    )
    with pytest.raises(UserError) as refusal:
        prepare(preparation)
    largest = int(re.search(r"the largest possible is (\d+)", str(refusal.value))[1])
    return prepare(preparation, vocab_size=largest)


@pytest.mark.parametrize(
    ("pairs", "lang", "rule", "keeps", "change"),
    [
        (CHINESE, "zh_CN", "nmt_nfkc", "identity", "U+FF0C to U+002C"),
        (PERSIAN, "fa", "nmt_nfkc", "nfkc", "U+200C to U+0020"),
        (PERSIAN, "pes", "nmt_nfkc", "identity", "U+200C to U+0020"),
        (DECOMPOSED, "de", "nfkc", "identity", "U+0061 U+0308 to U+00E4"),
    ],
)
def test_what_the_pieces_cost_is_said(tmp_path, capsys, pairs, lang, rule, keeps, change):
    """A model without any error is scored by what fairseq reads back of the references."""
    changing = prepare_text(tmp_path / "changing", pairs, lang, normalization=rule)
    printed = capsys.readouterr().out
    ceiling = report(changing)["ceilings"]["test"]
    references = [target for _, target in pairs]
    text = Text(lang, lowercase=False, tokenizer="zh" if lang == "zh_CN" else "13a")
    built = build_scorers(DEFAULT_METRICS, text, references)
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


def test_text_that_the_pieces_keep_has_no_ceiling(toy):
    write_pairs(toy.test[0], [("Ab  ab ", " ba  ba"), ("Ab", "ba")])  # white space does not count
    prepare(toy)
    assert report(toy)["ceilings"] == {}


def test_unknown_characters_are_counted(toy, capsys):
    rare = [("Ab ab", f"ba {char}") for char in "€ßüöäéèñçø"]
    write_pairs(toy.train, toy_pairs(200, 0) + rare)
    write_pairs(toy.valid, [("Ab", "ba 漢")])
    prepare(toy, sentencepiece_sample=100)
    unknown = report(toy)["counts"]["unknown"]
    assert unknown["valid.en"] == {"tokens": 1, "lines": 1}
    assert 0 < unknown["train.en"]["tokens"] == unknown["train.en"]["lines"] < len(rare)
    for split in ("train", "valid", "test"):
        data = load(toy.destdir, split)
        for lang, side in (("de", data.src), ("en", data.tgt)):
            tokens = sum(int((line == data.src_dict.unk()).sum()) for line in side)
            assert tokens == unknown[f"{split}.{lang}"]["tokens"]
    printed = capsys.readouterr().out
    assert f"train.en {unknown['train.en']['tokens']}, valid.en 1;" in printed
    assert "--sentencepiece-sample" in printed and "test.en" not in printed


LONG = " ".join(["Ab"] * 1100)


def test_lines_that_models_do_not_take_are_named(toy, capsys):
    """By the raw text; the training pairs, which fairseq drops itself, are not."""
    write_pairs(toy.train, [*toy_pairs(200, 0), (LONG, LONG)])
    write_pairs(toy.valid, [("Ab", "ba"), ("Ab", LONG), (f"{LONG} {LONG}", "ba")])
    write_pairs(toy.test[1], [(LONG, "ba")])
    prepare(toy, max_length=5000)
    too_long = report(toy)["counts"]["too_long"]
    assert too_long.keys() == {"valid", "test1"}
    for split, (pairs, line) in {"valid": (2, 2), "test1": (1, 1)}.items():
        pieces = [(len(pair["source"]), len(pair["target"])) for pair in load(toy.destdir, split)]
        assert too_long[split] == {
            "pairs": pairs,
            "line": line,
            "pieces": dict(zip(("de", "en"), pieces[line - 1])),
            "longest": dict(zip(("de", "en"), map(max, zip(*pieces)))),
        }
    valid, test1 = (line for line in capsys.readouterr().out.splitlines() if "longer than" in line)
    assert valid.startswith("valid: 2 pairs are longer than models take by default, which is 1024")
    assert f"line 2 of {toy.valid}.de and {toy.valid}.en has " in valid
    assert "fairseq-train --skip-invalid-size-inputs-valid-test" in valid
    assert test1.startswith("test1: 1 pair is longer") and f"line 1 of {toy.test[1]}.de" in test1
    assert "--max-target-positions 1024" in test1 and "--skip" not in test1


def test_a_line_of_as_many_pieces_as_models_take_is_not_long(finished, monkeypatch):
    longest = max(len(pair["source"]) for pair in load(finished.destdir, "test"))
    for limit, found in {longest: False, longest - 1: True}.items():
        monkeypatch.setattr(splits, "MODELS_TAKE", limit)
        long = splits.find_long_pairs(finished.text_format, finished.destdir, "test")
        assert (long is not None) == found


def test_a_long_pair_that_is_held_out_is_named_by_its_reference(toy, capsys):
    write_pairs(toy.train, [*toy_pairs(200, 0), (LONG, LONG)])
    prepare(toy, valid=None, hold_out_every=67, max_length=5000)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "longer than" in line)
    assert f"line 3 of {toy.destdir}/valid.src.de and {toy.destdir}/valid.ref.en has" in line


def test_a_ratio_that_drops_many_pairs_is_said(toy, tmp_path, capsys):
    made = prepare_text(tmp_path / "narrow", CHINESE, "zh_TW", max_ratio=1.5)
    dropped = report(made)["counts"]["dropped"]["ratio"]
    assert dropped > 100
    printed = capsys.readouterr().out
    assert f"{dropped} of 200 pairs were dropped by --max-ratio 1.5: zh_TW is written" in printed
    assert "without spaces" in printed and "--max-ratio 50" in printed
    prepare_text(tmp_path / "wide", CHINESE, "zh_TW")
    assert "pairs were dropped by" not in capsys.readouterr().out
    write_pairs(toy.train, toy_pairs(200, 0) + [("Ab ab", "ba ba ba ba")] * 60)
    prepare(toy)
    printed = capsys.readouterr().out
    assert "60 of 260 pairs were dropped by --max-ratio 1.5: the sides may not match" in printed


def test_a_tokeniser_that_is_missing_is_said_before_the_work(toy, capsys, monkeypatch):
    def not_installed(**_: Any) -> None:
        raise RuntimeError("pip install sacrebleu[ja]")

    monkeypatch.setattr(metrics, "BLEU", not_installed)
    with pytest.raises(UserError, match="cannot read .*jpn"):
        prepare(toy, target_lang="jpn")
    assert "tokeniser ja-mecab, which" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [1, 2])
def test_odd_characters_and_empty_lines_keep_pairs_together(toy, workers):
    odd = [(f"Ab{char}ab {n}", f"ba{char}ba {n}") for n, char in enumerate(ODD_CHARACTERS)]
    write_pairs(toy.train, toy_pairs(200, 0) + odd * 3)
    test = [*odd, ("", "ba"), ("Ab", ""), ("", ""), *toy_pairs(4, 4)]
    write_pairs(toy.test[0], test)
    prepare(toy, workers=workers)

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


@pytest.fixture(scope="module", params=[{}, {"valid": None, "hold_out": 9}])
def whole(request, finished, tmp_path_factory) -> TranslationPreparation:
    """The finished preparation, and one that holds out its validation pairs."""
    if not request.param:
        return finished
    return prepare(finished, destdir=tmp_path_factory.mktemp("held"), **request.param)


@pytest.mark.parametrize(
    "name",
    [
        "request.json",
        "train.en",
        "sentencepiece.vocab",
        "test.src.de",
        "test.ref.en",
        "valid.de-en.de.idx",
        "train.de-en.en.bin",
        "prepare.json",
    ],
)
def test_killed_run_is_completed_by_the_next(whole, tmp_path, monkeypatch, name):
    expected = contents(whole.destdir)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, name)
        prepare(whole, destdir=tmp_path)
    left = {k: v for k, v in contents(tmp_path).items() if not k.startswith(".partial/")}
    left.pop("prepare.json.tmp", None)
    assert "prepare.json" not in left
    assert left.items() <= expected.items()
    prepare(whole, destdir=tmp_path)
    assert contents(tmp_path) == expected


@pytest.fixture(scope="module")
def unfinished(finished, tmp_path_factory) -> TranslationPreparation:
    """A preparation that was killed; it is not to be changed."""
    preparation = replace(finished, destdir=tmp_path_factory.mktemp("killed"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, "train.en")
        prepare(preparation)
    return preparation


@pytest.mark.parametrize(
    "change, difference",
    [
        (lambda _: {"vocab_size": 70}, "--vocab-size 80, not 70"),
        (lambda _: {"max_ratio": 2.0}, "--max-ratio 1.5, not 2.0"),
        (lambda _: {"lowercase": True}, "--lowercase False, not True"),
        (lambda _: {"valid": None, "hold_out": 5}, "--hold-out None, not 5"),
        (lambda _: {"sentencepiece_text": "all"}, "--sentencepiece-text train, not all"),
        (lambda made: {"test": made.test[:1]}, "another number of --test sets"),
        (
            lambda made: {"test": (*made.test, made.valid)},
            r"another number of --test sets \(intra-distill add-test adds some to .*\)",
        ),
        (lambda made: {"train": f"{made.train}-longer"}, r"another train.de text \(.*\)"),
        (
            lambda made: {"valid": made.test[0]},
            r"another valid.de text \(.*/valid.de as it was then, not .*/test.de\)",
        ),
    ],
)
def test_another_preparation_is_refused(finished, unfinished, change, difference):
    write_pairs(f"{finished.train}-longer", toy_pairs(201, 0))
    for preparation in (finished, unfinished):
        before = contents(preparation.destdir)
        with pytest.raises(UserError, match=f"made with {difference}: choose another --destdir"):
            prepare(preparation, **change(preparation))
        assert contents(preparation.destdir) == before


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"hold_out": 5, "hold_out_every": 5}, "not --hold-out-every and --hold-out"),
        ({"hold_out_every": 1}, "--hold-out-every must be at least 2, not 1"),
        ({"hold_out": 0}, "--hold-out must be at least 1, not 0"),
    ],
)
def test_bad_hold_out_is_refused(toy, changes, message):
    with pytest.raises(UserError, match=message):
        prepare(toy, valid=None, **changes)
    assert not toy.destdir.exists()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("valid.de", "\ufeff\n", "valid.de, line 1: a byte order mark or NUL"),
        ("train.en", "a\nb\n\ufeffc\n", "train.en, line 3: a byte order mark or NUL"),
        ("test.de", "a\nb\0c\n", "test.de, line 2: a byte order mark or NUL"),
        ("valid.en", "a\nb\x85c\x0bd\n", "valid.de has 12 lines but .*valid.en has 2"),
        ("test.de", b"fine\ncaf\xe9\n", "test.de, line 2: not UTF-8"),
        ("test1.en", "", "test1.de has 5 lines but .*test1.en has 0"),
    ],
)
def test_bad_text_is_refused(toy, name, content, message):
    content = content if isinstance(content, bytes) else content.encode()
    Path(toy.train).with_name(name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        prepare(toy)
    assert not toy.destdir.exists()


@pytest.mark.parametrize("name", ["train.de", "test1.en"])
def test_text_that_changes_while_it_is_read_is_refused(toy, monkeypatch, name):
    changing = Path(toy.train).with_name(name)

    def change_and_clean(*args: Any) -> Iterator[Any]:
        changing.write_text(changing.read_text() + "One line more\n")
        return cleaning.clean_in_parallel(*args)

    monkeypatch.setattr(translation, "clean_in_parallel", change_and_clean)
    with pytest.raises(UserError, match=f"{name} was changed while it was read"):
        prepare(toy, train_pairs=100)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"valid": None, "hold_out": 200}, "--hold-out 200 makes 200 validation pairs of the 200 "),
        (
            {"valid": None, "hold_out_every": 201},
            "--hold-out-every 201 makes 0 validation pairs of",
        ),
        ({"max_length": 1}, "the filters drop all 200 training pairs"),
        ({"vocab_size": 5}, r"--vocab-size 5 .*no room for .* the smallest possible is (\d+)"),
        ({"vocab_size": 5000}, r"--vocab-size 5000 .*largest possible is (\d+)"),
    ],
)
def test_options_that_the_text_does_not_support_can_be_corrected(toy, changes, message):
    with pytest.raises(UserError, match=message) as refusal:
        prepare(toy, **changes)
    possible = re.search(r"possible is (\d+)", str(refusal.value))
    size = int(possible[1]) if possible else VOCAB_SIZE
    prepare(toy, vocab_size=size)  # in the same directory
    assert len(load(toy.destdir, "train").src_dict) == size + 1
