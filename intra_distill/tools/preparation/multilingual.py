"""The steps from raw text of several language pairs to the data directory of a multilingual model.

The binaries of a pair are written once for both directions, under the name of the direction that
comes first, as fairseq's multilingual tasks read them.
"""

from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from fairseq.data import Dictionary

from ...files import read_json, write_json
from ..directory import Content, Directory
from ..prepared import REPORT
from ..scoring.metrics import tokenizer_advice
from .language_pairs import (
    MultilingualPreparation,
    PairPreparation,
    check_multilingual,
    inputs_of,
    make_multilingual_request,
)
from .pieces import read_sentencepiece
from .request import find_other_input
from .splits import Encoder, binary_files, find_ceiling, write_plain_text
from .subwords import make_dictionary
from .translation import (
    MODEL_NAMES,
    filter_text,
    find_all_long_pairs,
    print_ceilings,
    print_counts,
    print_long_pairs,
    print_unknown,
    provenance,
    train_pieces,
)

COUNTS, UNKNOWN, CEILINGS = "counts.json", "unknown.json", "ceilings.json"


def prepare_multilingual(preparation: MultilingualPreparation) -> bool:
    """Make the data directory ``preparation.destdir``, or complete it, unless it is finished.

    Prints what the filters, the pieces and the normalisation did to the text.

    Returns:
        Whether there was anything to do.

    Raises:
        UserError: as :func:`.translation.prepare`, or a pair has no text.
    """
    check_multilingual(preparation)
    for lang in dict.fromkeys(pair.split("-")[1] for pair in preparation.lang_pairs):
        if advice := tokenizer_advice(lang):
            print(advice)
    request = make_multilingual_request(preparation)
    directory = Directory(preparation.destdir, REPORT, request, find_other_input)
    return directory.make(partial(take_steps, preparation))


def take_steps(preparation: MultilingualPreparation, directory: Directory) -> dict[str, Any]:
    """Take the steps that have not been taken yet, and return what the report says of them."""
    destdir, work, pairs = directory.path, directory.work, preparation.pairs
    for pair in pairs:
        directory.make_files(work, [pair.name], partial(write_filtered_pair, pair, directory))
        print_counts(pair, read_json(work / pair.name / COUNTS), f"{pair.name} ")
    directory.make_files(destdir, MODEL_NAMES, partial(write_pieces, preparation, directory))
    for pair in pairs:
        directory.make_files(destdir, text_names(pair), partial(write_text_files, pair, directory))
    dictionaries = [f"dict.{lang}.txt" for lang in preparation.langs]
    directory.make_files(destdir, dictionaries, partial(write_dictionaries, preparation))
    counts = {}
    for pair in pairs:
        directory.make_files(destdir, binary_names(pair), partial(write_binaries, pair, directory))
        counts[pair.name] = count(pair, directory)
    print_unknown(dict(chain.from_iterable(each["unknown"].items() for each in counts.values())))
    directory.make_files(work, [CEILINGS], partial(write_ceilings, preparation))
    ceilings = read_json(work / CEILINGS)
    print_ceilings(preparation, ceilings)
    return {"counts": counts, "ceilings": ceilings, **provenance(preparation)}


def write_filtered_pair(pair: PairPreparation, directory: Directory, scratch: Path) -> None:
    """Write the text of all splits of a pair, with the training text filtered, into a folder."""
    folder = scratch / pair.name
    folder.mkdir()
    counts = filter_text(pair, inputs_of(pair, directory.request["inputs"]), folder)
    write_json(folder / COUNTS, counts)


def write_pieces(preparation: MultilingualPreparation, directory: Directory, scratch: Path) -> None:
    """Train the joint SentencePiece model on the text of all pairs."""
    texts = {}
    for pair in preparation.pairs:
        folder = directory.work / pair.name
        lines = read_json(folder / COUNTS)["lines"]
        for split in preparation.splits_of_pieces:
            texts |= {folder / f"{split}.{lang}": lines[split] for lang in pair.langs}
    train_pieces(preparation, texts, scratch)


def write_text_files(pair: PairPreparation, directory: Directory, scratch: Path) -> None:
    """Write both sides of the validation and test sets as plain text, for each direction."""
    for split in pair.splits[1:]:
        for text_format in pair.formats:
            write_plain_text(text_format, directory.work / pair.name, scratch, split)


def write_dictionaries(preparation: MultilingualPreparation, scratch: Path) -> None:
    """Write the dictionary of each language: the same for all of them."""
    dictionary = make_dictionary(read_sentencepiece(preparation.destdir))
    for lang in preparation.langs:
        dictionary.save(str(scratch / f"dict.{lang}.txt"))


def write_binaries(pair: PairPreparation, directory: Directory, scratch: Path) -> None:
    """Write the binaries of a pair, and its ``unknown.json``."""
    folder = directory.work / pair.name
    processor, dictionary = read_sentencepiece(directory.path), load_dictionary(pair)
    encoder = Encoder(pair.text_format, processor, dictionary, pair.workers)
    unknown: dict[str, dict[str, int]] = {}
    for split, lines in read_json(folder / COUNTS)["lines"].items():
        unknown |= encoder.write_binaries(folder, scratch, split, lines)
    write_json(folder / UNKNOWN, unknown)


def load_dictionary(pair: PairPreparation) -> Dictionary:
    return Dictionary.load(str(pair.destdir / f"dict.{pair.source_lang}.txt"))


def count(pair: PairPreparation, directory: Directory) -> Content:
    """What the report says of a pair. Prints which lines models do not take."""
    folder = directory.work / pair.name
    unknown = {
        name.replace(".", f".{pair.name}."): numbers
        for name, numbers in read_json(folder / UNKNOWN).items()
    }
    too_long = find_all_long_pairs(pair, directory.path)
    print_long_pairs(pair, too_long)
    return {**read_json(folder / COUNTS), "unknown": unknown, "too_long": too_long}


def write_ceilings(preparation: MultilingualPreparation, scratch: Path) -> None:
    """Measure the score of a model without any error on each test set; keep those below 100."""
    found = {
        text_format.subset(split): find_ceiling(
            text_format, load_dictionary(pair), preparation.destdir, split
        )
        for pair in preparation.pairs
        for split in preparation.splits[2:]
        for text_format in pair.formats
    }
    write_json(scratch / CEILINGS, {name: ceiling for name, ceiling in found.items() if ceiling})


def text_names(pair: PairPreparation) -> list[str]:
    return [
        name
        for split in pair.splits[1:]
        for text_format in pair.formats
        for name in text_format.text(split)
    ]


def binary_names(pair: PairPreparation) -> list[str]:
    return [name for split in pair.splits for name in binary_files(pair.text_format, split)]
