"""The steps from tagged words to the data directory that fairseq trains a tagger on."""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch

from ...errors import UserError
from ...files import write_lines
from ..corpora.tagged_text import OUTSIDE, TagCounts, describe_entities, read_tagged, tag_order
from ..corpora.transfer import TEST, TRAIN, find_splits
from ..directory import Content
from ..labelled import FIRST, LABEL, reference
from ..options import check_number
from .binarised import indexed
from .splits import progress
from .tag_items import SPECIAL_SYMBOLS, TagEncoder
from .transfer import GREATEST_LENGTH, prepare_transfer
from .xlmr_pieces import DICTIONARY, XlmrPieces


@dataclass(frozen=True)
class TagPreparation:
    """The tagged words to prepare, and how: the options of ``intra-distill prepare-tags``.

    Attributes:
        raw: the folder of train.tsv, valid.tsv and test-NAME.tsv.
        xlmr: the folder of the pieces, made by ``intra-distill xlmr``.
        destdir: the data directory to make.
        max_length: the most symbols of a sentence.
    """

    EXTENSION = "tsv"
    OPTIONS = {"max_length": "--max-length"}

    raw: Path
    xlmr: Path
    destdir: Path
    max_length: int = 128


def prepare_tags(preparation: TagPreparation) -> bool:
    """Make the data directory ``preparation.destdir``, as :func:`.transfer.prepare_transfer` says.

    Raises:
        UserError: an option or an input file is wrong, or the directory was made from another
            request or cannot be written to.
    """
    check_number("--max-length", preparation.max_length, SPECIAL_SYMBOLS + 1, GREATEST_LENGTH)

    def write(pieces: XlmrPieces, folder: Path) -> Content:
        return Writer(preparation.raw, pieces, preparation.max_length).write(folder)

    return prepare_transfer(preparation, write, describe_split, describe_data)


def describe_data(splits: Content) -> Content:
    """What the report says of the whole data directory."""
    classes = list(splits[TRAIN]["tags"])
    return {"form": "words", "dataset": "words", "classes": classes, "metrics": ["entity-F1"]}


@dataclass(frozen=True)
class Writer:
    """Writes the files of a data directory."""

    raw: Path
    pieces: XlmrPieces
    max_length: int

    def write(self, folder: Path) -> Content:
        """Write all files of the data directory, and return what the report says of the splits."""
        files = find_splits(self.raw, TagPreparation.EXTENSION)
        counts = check_splits(files)
        encoder = TagEncoder(self.pieces, list(counts[TRAIN].tags), self.max_length)
        for name in (FIRST, LABEL):
            (folder / name).mkdir()
        shutil.copyfile(self.pieces.folder / DICTIONARY, folder / FIRST / DICTIONARY)
        frequencies = (f"{tag} {number}" for tag, number in counts[TRAIN].tags.items())
        write_lines(folder / LABEL / DICTIONARY, frequencies)
        return {
            split: self.write_split(split, path, counts[split], encoder, folder)
            for split, path in files.items()
        }

    def write_split(
        self, split: str, path: Path, read: TagCounts, encoder: TagEncoder, folder: Path
    ) -> Content:
        """Write the files of a split, and return what the report says of it."""
        scored, references = TagCounts(), []
        cut = replaced = 0
        sentences = read_tagged(path, encoder.classes)
        with (
            indexed(folder / FIRST / split, len(self.pieces.dictionary)) as inputs,
            indexed(folder / LABEL / split, len(encoder.labels)) as targets,
        ):
            for sentence in progress(sentences, read.sentences, f"encoding {split}", "sentences"):
                items, words = encoder.encode(sentence)
                cut += len(items) > 1
                replaced += words
                for item in items:
                    inputs.add_item(torch.tensor(item.symbols))
                    targets.add_item(torch.tensor(item.labels))
                    references.append(" ".join(item.tags))
                    scored.add(item.tags)
        if split != TRAIN:
            write_lines(folder / reference(split), references)
        return {
            "dataset": split.removeprefix(TEST),
            "sentences": scored.sentences,
            "labelled": True,
            "read": read.sentences,
            "cut": cut,
            "replaced": replaced,
            "tags": {tag: scored.tags[tag] for tag in encoder.classes},
            "entities": scored.entities,
        }


def check_splits(files: dict[str, Path]) -> dict[str, TagCounts]:
    """Read all splits through, and count what they hold; the tags of the training set in order.

    Raises:
        UserError: as :func:`read_tagged`; the training set has no entity, or another split a tag
            that the training set has not.
    """
    train = count_tags(files[TRAIN])
    if not train.entities:
        raise UserError(f"{files[TRAIN]} has no entity: there is nothing to learn")
    tags = sorted({OUTSIDE, *train.tags}, key=tag_order)
    train.tags = Counter({tag: train.tags[tag] for tag in tags})
    others = {split: count_tags(path, tags) for split, path in files.items() if split != TRAIN}
    return {TRAIN: train, **others}


def count_tags(path: Path, known: list[str] | None = None) -> TagCounts:
    counts = TagCounts()
    for sentence in read_tagged(path, known):
        counts.add(sentence.tags)
    return counts


def describe_split(split: str, counts: Content) -> str:
    """Say what a split holds, and what was cut or replaced."""
    said = f"{split}: {counts['read']:,} sentences; {describe_entities(counts['entities'])}"
    if counts["cut"]:
        said += f"; {counts['cut']:,} cut, which makes {counts['sentences']:,} items"
    if counts["replaced"]:
        said += f"; <unk> for words: {counts['replaced']:,}"
    return said
