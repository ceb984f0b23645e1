import json
from dataclasses import replace
from pathlib import Path

import pytest
from fairseq import tasks

from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.tools.preparation.multilingual import prepare_multilingual
from intra_distill.tools.scoring.search import generator_config

from ...support.files import contents
from ...support.kills import Killed, kill_before_rename
from ...support.trilingual import LINES, PAIRS, WORDS, make_preparation, text_of, write_text


@pytest.fixture
def preparation(tmp_path):
    return make_preparation(tmp_path)


def text_in(data: Path, split: str, direction: str) -> tuple[list[str], list[str]]:
    """Both sides of a split, as fairseq's multilingual task reads them."""
    source, target = direction.split("-")
    options = f"--task translation_multi_simple_epoch -s {source} -t {target} --langs de,en,fr"
    options += f" --lang-pairs {','.join(PAIRS)} --path none"
    task = tasks.setup_task(generator_config([str(data), *options.split()]).task)
    task.load_dataset(split)
    dataset = task.dataset(split)
    read = [
        [
            task.source_dictionary.string(dataset[i][side], "sentencepiece")
            for i in range(len(dataset))
        ]
        for side in ("source", "target")
    ]
    return tuple(read)


def test_command_makes_a_directory_that_fairseq_reads(preparation, capsys):
    main(
        f"""prepare-multilingual --lang-pairs {",".join(PAIRS)} --train {preparation.train}
        --valid {preparation.valid} --test {preparation.test[0]} --vocab-size 45
        --destdir {preparation.destdir}""".split()
    )
    assert f"{preparation.destdir} is finished" in capsys.readouterr().out
    for direction in PAIRS:
        langs = source, target = direction.split("-")
        for split in LINES:
            expected = tuple(text_of(split, lang) for lang in langs)
            assert text_in(preparation.destdir, split, direction) == expected
            if split != "train":
                names = f"{split}-{direction}.src.{source}", f"{split}-{direction}.ref.{target}"
                written = [(preparation.destdir / name).read_text() for name in names]
                assert written == ["".join(f"{line}\n" for line in lines) for lines in expected]
    dictionaries = {(preparation.destdir / f"dict.{lang}.txt").read_bytes() for lang in WORDS}
    assert len(dictionaries) == 1
    assert not list(preparation.destdir.glob("*.en-de.*"))  # both directions share the binaries
    assert not prepare_multilingual(preparation)


def test_the_text_of_a_pair_may_be_its_own(preparation, tmp_path):
    raw = Path(preparation.train).parent
    for lang in ("en", "fr"):  # under the name of the other direction
        write_text(raw / f"train.en-fr.{lang}", text_of("valid", lang))
    assert prepare_multilingual(preparation)
    sizes = {
        direction: len(text_in(preparation.destdir, "train", direction)[0]) for direction in PAIRS
    }
    assert sizes == {"de-en": 120, "en-de": 120, "fr-en": LINES["valid"]}
    counts = json.loads((preparation.destdir / "prepare.json").read_text())["counts"]
    assert {name: count["lines"]["train"] for name, count in counts.items()} == {
        "de-en": 120,
        "fr-en": LINES["valid"],
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    preparation = make_preparation(tmp_path_factory.mktemp("whole"))
    assert prepare_multilingual(preparation)
    return contents(preparation.destdir)


@pytest.mark.parametrize(
    "name",
    ["request.json", "fr-en", "sentencepiece.vocab", "test-en-de.ref.de", "dict.fr.txt"]
    + ["train.fr-en.en.idx", "ceilings.json", "prepare.json"],
)
def test_killed_run_is_completed_by_the_next(whole, preparation, monkeypatch, name):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, name)
        prepare_multilingual(preparation)
    assert not (preparation.destdir / "prepare.json").exists()
    assert prepare_multilingual(preparation)
    made = contents(preparation.destdir)
    assert made.keys() == whole.keys()
    differing = [each for each in whole if made[each] != whole[each]]
    assert differing == ["prepare.json"]  # which names the raw files


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"lang_pairs": ("de",)}, "--lang-pairs 'de' is no pair: write SOURCE-TARGET"),
        ({"lang_pairs": ("de-en-fr",)}, "--lang-pairs 'de-en-fr' is no pair"),
        ({"lang_pairs": ("de-",)}, "--lang-pairs 'de-' is no pair"),
        ({"lang_pairs": ("de-de",)}, "--lang-pairs de-de translates de into itself"),
        ({"lang_pairs": ("de-en", "de-en")}, "--lang-pairs names de-en 2 times"),
        ({"lang_pairs": ("de.x-en",)}, "--lang-pairs 'de.x': fairseq finds a language"),
        ({"lang_pairs": ("de-it", "de-en")}, "it: No such file or directory"),
        ({"lang_pairs": ("es-it",)}, "has no text of es-it: there is neither"),
        ({"vocab_size": 3}, "--vocab-size must be at least 4"),
        ({"vocab_size": 60000}, "the largest possible is"),
        ({"max_ratio": 0.5}, "--max-ratio must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(preparation, changes, message):
    with pytest.raises(UserError, match=message):
        prepare_multilingual(replace(preparation, **changes))
    assert not preparation.destdir.exists()


def test_sides_of_different_lengths_are_refused(preparation):
    Path(f"{preparation.test[0]}.fr").write_text("un\n")
    with pytest.raises(UserError, match=r"test\.fr has 1 lines but .*test\.en has 13"):
        prepare_multilingual(preparation)


def test_another_preparation_is_refused(preparation, tmp_path):
    assert prepare_multilingual(preparation)
    with pytest.raises(
        UserError, match="made with --lang-pairs de-en,en-de,fr-en, not de-en: choose"
    ):
        prepare_multilingual(replace(preparation, lang_pairs=("de-en",)))


@pytest.mark.parametrize(
    "command",
    [
        "add-test DATA --test RAW",
        "encode DATA",
        "translate DATA --path FILE",
        "sensitivity DATA --path FILE --results-path new --batches 1 --seed 1",
        "plot passes DATA --path FILE --plot new.png",
    ],
)
def test_commands_of_one_pair_say_so(preparation, command):
    assert prepare_multilingual(preparation)
    file = str(preparation.destdir / "prepare.json")
    words = {"DATA": str(preparation.destdir), "RAW": preparation.train, "FILE": file}
    with pytest.raises(SystemExit, match="is of several language pairs"):
        main([words.get(word, word) for word in command.split()])
