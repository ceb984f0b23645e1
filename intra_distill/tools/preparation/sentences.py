"""The steps from labelled sentences to the data directory that fairseq trains a prediction on."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import fairseq
import torch
from fairseq.data import Dictionary

from ...files import write_lines
from ..corpora.glue.reading import SplitCounts, check_split, read_split
from ..corpora.glue.sources import TextFile, describe_inputs, find_files
from ..corpora.glue.tasks import TASKS, GlueTask
from ..corpora.raw_text import DOWNLOADS
from ..directory import Content, Directory
from ..labelled import FIRST, LABEL, REPORT, SECOND, reference
from ..options import check_data_directory, check_number
from .binarised import find_other_file, indexed, make_binarised
from .splits import progress
from .wordpiece import (
    DICTIONARY,
    VOCABULARY,
    Vocabulary,
    WordPieceEncoder,
    read_vocabulary,
)

LEAST_LENGTH = 5  # [CLS] a [SEP] b [SEP]
GREATEST_LENGTH = 512  # positions of a BERT


@dataclass(frozen=True)
class SentencePreparation:
    """The labelled sentences to prepare, and how: the options of ``intra-distill glue``.

    Attributes:
        task: a name of :data:`.glue.tasks.TASKS`.
        bert: the folder of the vocabulary, made by ``intra-distill bert``.
        source: where the files are, as :func:`.glue.sources.find_files` takes it.
        downloads: the folder to which archives are fetched.
        destdir: the data directory to make.
        max_length: the most pieces of a sentence or a pair, [CLS] and [SEP] included.
    """

    task: str
    bert: Path
    source: str | None
    downloads: Path
    destdir: Path
    max_length: int = 128


def prepare_sentences(preparation: SentencePreparation) -> bool:
    """Make the data directory ``preparation.destdir``, or complete it, unless it is finished.

    Prints the number of sentences, the labels and what was truncated or dropped of each split.

    Returns:
        Whether there was anything to do.

    Raises:
        UserError: an option or an input file is wrong, a file cannot be fetched, or the directory
            was made from another request or cannot be written to.
    """
    check_data_directory(preparation.destdir)
    check_number("--max-length", preparation.max_length, LEAST_LENGTH, GREATEST_LENGTH)
    task = TASKS[preparation.task]
    vocabulary = read_vocabulary(preparation.bert)
    request = {
        "dataset": task.name,
        "max_length": preparation.max_length,
        "lowercase": vocabulary.lowercase,
        VOCABULARY: vocabulary.sha256,
        "inputs": describe_inputs(task, preparation.source),
    }
    encoder = WordPieceEncoder(vocabulary, preparation.max_length)
    find_difference = partial(find_other_input, any_input=preparation.source is None)
    directory = Directory(preparation.destdir, REPORT, request, find_difference, {DOWNLOADS})
    return directory.make(partial(take_steps, preparation, vocabulary, encoder))


def find_other_input(old: Content, new: Content, any_input: bool) -> str | None:
    """Name the first option or file of a new request that changes the files, or None.

    The content of a file matters, its path does not; nothing of it with ``any_input``, where no
    source is given.
    """
    words = {"dataset": "--task", "max_length": "--max-length", "lowercase": "lowercase"}
    for name, word in words.items():
        if old.get(name) != new[name]:
            return f"{word} {old.get(name)}, not {new[name]}"
    if old.get(VOCABULARY) != new[VOCABULARY]:
        return f"another {VOCABULARY} in --bert"
    if any_input:
        return None
    return find_other_file(old["inputs"], new["inputs"])


def take_steps(
    preparation: SentencePreparation,
    vocabulary: Vocabulary,
    encoder: WordPieceEncoder,
    directory: Directory,
) -> dict[str, Any]:
    """Take the steps that have not been taken yet, and return what the report says of them."""
    task = TASKS[preparation.task]

    def write(folder: Path) -> Content:
        files = find_files(task, preparation.source, preparation.downloads)
        return Writer(task, files, vocabulary, encoder).write(folder)

    describe = partial(describe_inputs, task, preparation.source)
    inputs, splits = make_binarised(directory, describe, write)
    for split, counts in splits.items():
        print(describe_split(split, counts))
    return {
        "inputs": inputs,
        "form": "sentences",
        "classes": task.classes,
        "metrics": task.metrics,
        "pairs": task.pairs,
        "splits": splits,
        "versions": {
            "tokenizers": metadata.version("tokenizers"),
            "fairseq": fairseq.__version__,
        },
    }


@dataclass(frozen=True)
class Writer:
    """Writes the files of a data directory."""

    task: GlueTask
    files: dict[str, TextFile]
    vocabulary: Vocabulary
    encoder: WordPieceEncoder

    def write(self, files: Path) -> Content:
        """Write all files of the data directory, and return what the report says of the splits."""
        counts = {split: check_split(self.task, split, self.files) for split in self.task.tables}
        for folder in self.input_folders:
            (files / folder).mkdir()
            shutil.copyfile(self.vocabulary.folder / DICTIONARY, files / folder / DICTIONARY)
        (files / LABEL).mkdir()
        if self.task.classes is not None:
            frequencies = (f"{name} {counts['train'].labels[name]}" for name in self.task.classes)
            write_lines(files / LABEL / DICTIONARY, frequencies)
        return {split: self.write_split(split, counts[split], files) for split in counts}

    @property
    def input_folders(self) -> list[str]:
        return [FIRST, SECOND] if self.task.pairs else [FIRST]

    def write_split(self, split: str, counts: SplitCounts, files: Path) -> Content:
        """Write the files of a split, and return what the report says of it."""
        labels = []
        examples = read_split(self.task, split, self.files)

        def texts() -> Iterator[tuple[str, str | None]]:
            for example in progress(examples, counts.sentences, f"encoding {split}", "sentences"):
                labels.append(example.label)
                yield example.first, example.second

        truncated = 0
        vocab_size = len(self.vocabulary.dictionary)
        with ExitStack() as stack:
            builders = [
                stack.enter_context(indexed(files / folder / split, vocab_size))
                for folder in self.input_folders
            ]
            for encoded in self.encoder.encode(texts()):
                truncated += encoded.truncated
                for builder, indices in zip(builders, (encoded.first, encoded.second)):
                    builder.add_item(torch.from_numpy(indices))
        if counts.labelled:
            self.write_labels(split, labels, files)
        return {
            "dataset": self.task.dataset(split),
            "sentences": len(labels),
            "labelled": counts.labelled,
            "truncated": truncated,
            "dropped": counts.dropped,
            "labels": describe_labels(self.task, counts) if counts.labelled else None,
        }

    def write_labels(self, split: str, labels: list[str], files: Path) -> None:
        """Write the labels as fairseq reads them, and as text, except for the training set."""
        if split != "train":
            write_lines(files / reference(split), labels)
        if self.task.classes is None:
            write_lines(files / LABEL / f"{split}.label", labels)
            return
        dictionary = Dictionary()
        for name in self.task.classes:
            dictionary.add_symbol(name)
        with indexed(files / LABEL / split, len(dictionary)) as builder:
            for label in labels:
                builder.add_item(torch.tensor([dictionary.index(label), dictionary.eos()]))


def describe_labels(task: GlueTask, counts: SplitCounts) -> dict[str, float]:
    """How many examples of a split are in each class; of scores the mean, least and greatest."""
    if task.classes is not None:
        return {name: counts.labels[name] for name in task.classes}
    scores = [float(label) for label in counts.labels.elements()]
    return {"mean": sum(scores) / len(scores), "least": min(scores), "greatest": max(scores)}


def describe_split(split: str, counts: Content) -> str:
    """Say what a split holds, and what was truncated or dropped."""
    labels = ", ".join(f"{name} {value:,.6g}" for name, value in (counts["labels"] or {}).items())
    said = f"{split}: {counts['sentences']:,} of {counts['dataset']}; {labels or 'no labels'}"
    for what in ("truncated", "dropped"):
        if counts[what]:
            said += f"; {counts[what]:,} {what}"
    return said
