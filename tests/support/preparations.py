"""Preparations of toy text, and what is in the data directories that they make."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairseq.data import Dictionary, LanguagePairDataset
from fairseq.tasks.translation import load_langpair_dataset

from intra_distill.tools.preparation import translation
from intra_distill.tools.preparation.request import TranslationPreparation

from .text import toy_pairs, write_pairs

VOCAB_SIZE = 80
PAIRS = {"train": (200, 0), "valid": (12, 1), "test": (9, 2), "test1": (5, 3)}


def make_toy(folder: Path) -> TranslationPreparation:
    """A preparation of toy text with two test sets, that has not been run."""
    raw = folder / "raw"
    raw.mkdir()
    for name, pairs in PAIRS.items():
        write_pairs(raw / name, toy_pairs(*pairs))
    return TranslationPreparation(
        source_lang="de",
        target_lang="en",
        train=str(raw / "train"),
        valid=str(raw / "valid"),
        test=(str(raw / "test"), str(raw / "test1")),
        destdir=folder / "data",
        vocab_size=VOCAB_SIZE,
    )


def prepare(preparation: TranslationPreparation, **changes: Any) -> TranslationPreparation:
    """Run a preparation with some changes, which it returns."""
    preparation = replace(preparation, **changes)
    assert translation.prepare(preparation)
    return preparation


def load(destdir: Path, split: str) -> LanguagePairDataset:
    german, english = (Dictionary.load(str(destdir / f"dict.{lang}.txt")) for lang in ("de", "en"))
    positions = {"max_source_positions": 1024, "max_target_positions": 1024}
    padding = {"left_pad_source": True, "left_pad_target": False}
    others = {"combine": False, "dataset_impl": "mmap", "upsample_primary": 1, "shuffle": False}
    return load_langpair_dataset(
        str(destdir), split, "de", german, "en", english, **positions, **padding, **others
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


def files_of(split: str, langs: Collection[str] = ("de", "en")) -> set[str]:
    """The names of the files of a validation or test set."""
    binaries = {f"{split}.de-en.{lang}.{end}" for lang in langs for end in ("bin", "idx")}
    return {*binaries, f"{split}.src.de", f"{split}.ref.en"}
