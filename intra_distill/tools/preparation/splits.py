"""The files of a split in a data directory: ``prepare`` and ``add-test`` make them alike."""

import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import fairseq
import numpy as np
from fairseq.data import Dictionary
from fairseq.data.indexed_dataset import MMapIndexedDataset
from sentencepiece import SentencePieceProcessor
from tqdm import tqdm

from ...files import read_lines, write_lines
from ..directory import Content
from ..prepared import TextFormat
from ..scoring.ceiling import measure_ceiling
from .subwords import binarise, decode

MODELS_TAKE = 1024  # pieces with </s>: fairseq's --max-source-positions and --max-target-positions


def write_text(text_format: TextFormat, prefix: str, folder: Path, split: str) -> None:
    """Write the raw text PREFIX.LANG as SPLIT.LANG, lower-cased where the directory is."""
    for lang in text_format.langs:
        lines = map(text_format.in_case, read_lines(f"{prefix}.{lang}"))
        write_lines(folder / f"{split}.{lang}", lines)


def write_plain_text(text_format: TextFormat, text: Path, folder: Path, split: str) -> None:
    """Write both sides of a split as text: what metrics read, some of them the source too."""
    for lang, name in zip(text_format.langs, text_format.text(split), strict=True):
        shutil.copyfile(text / f"{split}.{lang}", folder / name)


def binary_files(text_format: TextFormat, split: str) -> list[str]:
    """The names of the files that :meth:`Encoder.write_binaries` writes."""
    return [
        f"{text_format.binary(split, lang)}.{extension}"
        for lang in text_format.langs
        for extension in ("bin", "idx")
    ]


@dataclass(frozen=True)
class Encoder:
    """Makes pieces of text, and of pieces their indices in fairseq's dictionary."""

    text_format: TextFormat
    processor: SentencePieceProcessor
    dictionary: Dictionary
    threads: int

    def write_binaries(
        self, text: Path, folder: Path, split: str, lines: int
    ) -> dict[str, dict[str, int]]:
        """Write the pieces of a split's ``text``, which has so many lines, as fairseq reads them.

        Returns:
            Of SPLIT.LANG, how many ``tokens`` are <unk>, and how many ``lines`` have one.
        """
        unknown = {}
        for lang in self.text_format.langs:
            name = f"{split}.{lang}"
            unknown[name] = binarise(
                self.processor,
                self.dictionary,
                progress(read_lines(text / name), lines, f"encoding {name}"),
                folder / self.text_format.binary(split, lang),
                self.text_format.normalization,
                self.threads,
            )
        return unknown


def describe_unknown(unknown: dict[str, dict[str, int]]) -> str | None:
    """Say where the text has characters that are in no piece; None if it has none."""
    numbers = [f"{name} {counts['tokens']}" for name, counts in unknown.items() if counts["tokens"]]
    return f"<unk> for characters that are in no piece: {', '.join(numbers)}" if numbers else None


def find_long_pairs(text_format: TextFormat, folder: Path, split: str) -> Content | None:
    """Count the pairs with a side of more pieces than models take by default; None without one.

    Returns:
        Their number ``pairs``; the number ``line`` of the first of them, from 1, and its ``pieces``
        by language; and the ``longest`` sides of the split. ``</s>`` is counted as fairseq does.
    """
    langs = text_format.langs
    sizes = {lang: read_sizes(folder / text_format.binary(split, lang)) for lang in langs}
    long = np.flatnonzero(np.maximum(*sizes.values()) > MODELS_TAKE)
    if not len(long):
        return None
    return {
        "pairs": len(long),
        "line": int(long[0]) + 1,
        "pieces": {lang: int(lengths[long[0]]) for lang, lengths in sizes.items()},
        "longest": {lang: int(lengths.max()) for lang, lengths in sizes.items()},
    }


def read_sizes(binary: Path) -> np.ndarray:
    """Read the number of pieces of each line of a binary file, ``</s>`` included."""
    dataset = MMapIndexedDataset(str(binary))
    return dataset.sizes.copy()  # which are unmapped with the dataset


def describe_long_pairs(text_format: TextFormat, split: str, files: str, long: Content) -> str:
    """Name the first pair of a split that models do not take by default, and what to do about it.

    Args:
        files: where the user finds the line
        long: what :func:`find_long_pairs` returned
    """
    source, target = (long["pieces"][lang] for lang in text_format.langs)
    positions = (max(MODELS_TAKE, long["longest"][lang]) for lang in text_format.langs)
    remedies = "train with --max-source-positions {} --max-target-positions {}".format(*positions)
    if split.startswith("valid"):
        remedies += ", leave it out by fairseq-train --skip-invalid-size-inputs-valid-test"
    pairs = "1 pair is" if long["pairs"] == 1 else f"{long['pairs']} pairs are"
    return (
        f"{split}: {pairs} longer than models take by default, which is {MODELS_TAKE} pieces with "
        f"</s>: line {long['line']} of {files} has {source} and {target}; {remedies}, or shorten it"
    )


def raw_files(prefix: str, langs: tuple[str, str]) -> str:
    return f"{prefix}.{langs[0]} and {prefix}.{langs[1]}"


def find_ceiling(
    text_format: TextFormat, dictionary: Dictionary, folder: Path, split: str
) -> Content | None:
    """Measure the score of a model without any error on a test set; None if it is 100."""
    lang = text_format.target_lang
    references = list(read_lines(folder / text_format.reference(split)))
    said = list(decode(dictionary, folder / text_format.binary(split, lang)))
    ceiling = measure_ceiling(references, said, lang, text_format.lowercase)
    return None if ceiling is None else asdict(ceiling)


def progress(lines: Iterable[Any], total: int, doing: str, unit: str = "lines") -> Iterable[Any]:
    """Show on a terminal how many lines have been read."""
    return tqdm(lines, desc=doing, total=total, unit=f" {unit}", unit_scale=True, disable=None)


def versions() -> dict[str, str]:
    """The versions that the files depend on."""
    return {
        "sentencepiece": metadata.version("sentencepiece"),
        "sacremoses": metadata.version("sacremoses"),
        "fairseq": fairseq.__version__,
    }
