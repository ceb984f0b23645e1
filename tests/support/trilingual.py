"""Text of three languages, and the data directory that prepare-multilingual makes of it."""

import random
from pathlib import Path
from typing import Any

from intra_distill.tools.preparation.language_pairs import MultilingualPreparation
from intra_distill.tools.preparation.multilingual import prepare_multilingual

PAIRS = ("de-en", "en-de", "fr-en")
LANGUAGES = ["--langs", "de,en,fr", "--lang-pairs", ",".join(PAIRS)]
LINES = {"train": 120, "valid": 9, "test": 13}
WORDS = {
    "de": "ein mann hund haus rot läuft und im".split(),
    "en": "a man dog house red runs and in".split(),
    "fr": "un homme chien maison rouge court et dans".split(),
}


def sentences(split: str) -> list[list[int]]:
    """The sentences of a split, as numbers of words."""
    rng = random.Random(split)
    return [rng.choices(range(8), k=rng.randint(1, 6)) for _ in range(LINES[split])]


def text_of(split: str, lang: str) -> list[str]:
    return [" ".join(WORDS[lang][word] for word in sentence) for sentence in sentences(split)]


def write_text(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def make_preparation(folder: Path, **changes: Any) -> MultilingualPreparation:
    """A preparation of text where line N is the same in all languages, that has not been run."""
    raw = folder / "raw"
    raw.mkdir()
    for split in LINES:
        for lang in WORDS:
            write_text(raw / f"{split}.{lang}", text_of(split, lang))
    options = {
        **{"train": str(raw / "train"), "valid": str(raw / "valid"), "test": (str(raw / "test"),)},
        **{"lang_pairs": PAIRS, "vocab_size": 45, "destdir": folder / "data"},
    }
    return MultilingualPreparation(**{**options, **changes})


def make_multilingual(folder: Path) -> Path:
    """A data directory."""
    preparation = make_preparation(folder)
    assert prepare_multilingual(preparation)
    return preparation.destdir
