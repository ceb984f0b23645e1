"""The steps from raw parallel text to the data directory that fairseq trains a translation on."""

import os
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from itertools import chain, compress, islice
from pathlib import Path
from typing import Any

from fairseq.data import Dictionary
from sentencepiece import SentencePieceProcessor

from ...errors import UserError
from ...files import read_json, read_lines, write_json, write_lines
from ..directory import Content, Directory
from ..languages import WITHOUT_SPACES, base_language
from ..prepared import REPORT
from ..scoring.ceiling import Ceiling
from ..scoring.metrics import tokenizer_advice
from .cleaning import FILTERS, LONGEST_WORD, Cleaner, clean_in_parallel
from .pieces import MODEL, pieces_of, read_sentencepiece
from .request import (
    Preparation,
    TranslationPreparation,
    check_preparation,
    check_unchanged,
    find_other_input,
    make_request,
)
from .sampling import SEED, sample_mask
from .splits import (
    Encoder,
    binary_files,
    describe_long_pairs,
    describe_unknown,
    find_ceiling,
    find_long_pairs,
    progress,
    raw_files,
    versions,
    write_plain_text,
    write_text,
)
from .subwords import make_dictionary, train_sentencepiece

MODEL_NAMES = (MODEL, "sentencepiece.vocab")
MANY_DROPPED = 0.2  # of the pairs, by their ratio: then the text or the ratio is wrong


def prepare(preparation: TranslationPreparation) -> bool:
    """Make the data directory ``preparation.destdir``, or complete it, unless it is finished.

    Prints what the filters, the pieces and the normalisation did to the text.

    Returns:
        Whether there was anything to do.

    Raises:
        UserError: an option or an input file is wrong, the directory was made from another request
            or cannot be written to, or the training text is too small for such a vocabulary or so
            many validation pairs.
    """
    check_preparation(preparation)
    if advice := tokenizer_advice(preparation.target_lang):
        print(advice)
    request = make_request(preparation)
    directory = Directory(preparation.destdir, REPORT, request, find_other_input)
    return directory.make(partial(take_steps, preparation))


def take_steps(preparation: TranslationPreparation, directory: Directory) -> dict[str, Any]:
    """Take the steps that have not been taken yet, and return what the report says of them."""
    destdir, work = directory.path, directory.work

    def make(
        folder: Path,
        names: Collection[str],
        write: Callable[[TranslationPreparation, Directory, Path], None],
    ) -> None:
        directory.make_files(folder, names, lambda scratch: write(preparation, directory, scratch))

    make(work, [*text_names(preparation), "counts.json"], write_filtered_text)
    counts = read_json(work / "counts.json")
    print_counts(preparation, counts)
    make(destdir, MODEL_NAMES, write_sentencepiece)
    make(destdir, plain_text_names(preparation), write_all_plain_text)
    make(destdir, fairseq_names(preparation), write_fairseq)
    counts["unknown"] = read_json(work / "unknown.json")
    print_unknown(counts["unknown"])
    counts["too_long"] = find_all_long_pairs(preparation, destdir)
    print_long_pairs(preparation, counts["too_long"])
    make(work, ["ceilings.json"], write_ceilings)
    ceilings = read_json(work / "ceilings.json")
    print_ceilings(preparation, ceilings)
    return {"counts": counts, "ceilings": ceilings, **provenance(preparation)}


def write_filtered_text(
    preparation: TranslationPreparation, directory: Directory, scratch: Path
) -> None:
    """Write the text of all splits, with the training text filtered, and ``counts.json``."""
    counts = filter_text(preparation, directory.request["inputs"], scratch)
    write_json(scratch / "counts.json", counts)


def filter_text(
    preparation: TranslationPreparation, inputs: dict[str, dict[str, Any]], scratch: Path
) -> Content:
    """Write the text of all splits, with the training text filtered.

    Returns:
        How many training pairs were read, dropped, kept and held out, and the lines of each split.
    """
    lines = {
        split: inputs[f"{split}.{preparation.source_lang}"]["lines"]
        for split in preparation.prefixes
    }
    read = min(lines["train"], preparation.train_pairs or lines["train"])
    verdicts = write_training_text(preparation, scratch, read)
    kept = verdicts["kept"]
    if not kept:
        raise UserError(
            f"the filters drop all {read} training pairs of {preparation.train}: "
            "check that the two sides match, or raise --max-ratio or --max-length"
        )
    lines["train"] = kept
    if preparation.valid is None:
        lines["valid"] = hold_out(preparation, scratch, kept)
        lines["train"] -= lines["valid"]
    for split, prefix in preparation.prefixes.items():
        if split != "train":
            write_text(preparation.text_format, prefix, scratch, split)
    check_unchanged(inputs)
    return {
        "read": read,
        "dropped": {name: verdicts[name] for name in FILTERS},
        "kept": kept,
        "held_out": kept - lines["train"],
        "lines": {split: lines[split] for split in preparation.splits},
    }


def write_training_text(
    preparation: TranslationPreparation, scratch: Path, number: int
) -> Counter[str]:
    """Write those of the first ``number`` training pairs that the filters keep.

    Returns:
        How many were kept, and how many were dropped by each filter.
    """
    cleaner = Cleaner(
        *preparation.langs,
        max_ratio=preparation.max_ratio,
        max_length=preparation.max_length,
        lowercase=preparation.lowercase,
        normalization=preparation.normalization,
    )
    pairs = zip(*(read_lines(f"{preparation.train}.{lang}") for lang in preparation.langs))
    pairs = progress(islice(pairs, number), number, "filtering")
    verdicts = Counter()
    source_name, target_name = (scratch / f"train.{lang}" for lang in preparation.langs)
    with open(source_name, "wb") as source_file, open(target_name, "wb") as target_file:
        for kept, counts in clean_in_parallel(cleaner, pairs, preparation.workers):
            verdicts += counts
            source_file.writelines(f"{source}\n".encode() for source, _ in kept)
            target_file.writelines(f"{target}\n".encode() for _, target in kept)
    return verdicts


def hold_out(preparation: TranslationPreparation, scratch: Path, kept: int) -> int:
    """Move validation pairs out of the ``kept`` training pairs, and return their number."""
    every, number = preparation.hold_out_every, preparation.hold_out
    asked = f"--hold-out-every {every}" if every else f"--hold-out {number}"
    number = number or kept // every
    if not 0 < number < kept:
        raise UserError(
            f"{asked} makes {number} validation pairs of the {kept} that the filters keep: "
            "some must be for validation and some left to train on"
        )
    for lang in preparation.langs:
        train, valid, both = (scratch / f"{name}.{lang}" for name in ("train", "valid", "both"))
        os.replace(train, both)
        every_nth = (n % every == 0 for n in range(1, kept + 1))
        held = every_nth if every else sample_mask(number, kept)
        with open(both, "rb") as text, open(train, "wb") as rest, open(valid, "wb") as drawn:
            for line, is_held in zip(text, held):
                (drawn if is_held else rest).write(line)
        both.unlink()
    return number


def print_counts(
    preparation: TranslationPreparation, counts: dict[str, Any], which: str = ""
) -> None:
    """Print how many pairs the filters dropped, and advice if the ratio dropped many."""
    dropped = counts["dropped"]
    print(
        f"{counts['read']} {which}training pairs read; "
        f"dropped: {dropped['empty']} with an empty side, "
        f"{dropped['word']} with a word of over {LONGEST_WORD} characters, "
        f"{dropped['ratio']} with a length ratio over {preparation.max_ratio}, "
        f"{dropped['length']} with over {preparation.max_length} tokens; {counts['kept']} kept, "
        f"{counts['held_out']} of them held out for validation"
    )
    if dropped["ratio"] > MANY_DROPPED * counts["read"]:
        langs = [lang for lang in preparation.langs if base_language(lang) in WITHOUT_SPACES]
        why = "the sides may not match"
        if len(langs) == 1:
            why = f"{langs[0]} is written without spaces, and a clause of it counts as one token"
        print(
            f"{dropped['ratio']} of {counts['read']} {which}pairs were dropped by --max-ratio "
            f"{preparation.max_ratio:g}: {why}; a larger one, such as --max-ratio 50, keeps them"
        )


def write_sentencepiece(
    preparation: TranslationPreparation, directory: Directory, scratch: Path
) -> None:
    """Train the joint SentencePiece model."""
    counts = read_json(directory.work / "counts.json")["lines"]
    texts = {
        directory.work / f"{split}.{lang}": counts[split]
        for split in preparation.splits_of_pieces
        for lang in preparation.langs
    }
    train_pieces(preparation, texts, scratch)


def train_pieces(preparation: Preparation, texts: dict[Path, int], scratch: Path) -> None:
    """Train one SentencePiece model on texts, of which the numbers of lines are given."""
    lines = chain.from_iterable(map(read_lines, texts))
    total = number = sum(texts.values())
    if preparation.sentencepiece_sample is not None:
        number = min(preparation.sentencepiece_sample, total)
        lines = compress(lines, sample_mask(number, total))
    lines = progress(lines, number, "training SentencePiece")
    model = train_sentencepiece(lines, preparation.vocab_size, preparation.normalization)
    (scratch / MODEL).write_bytes(model)
    processor = SentencePieceProcessor(model_proto=model)
    write_lines(
        scratch / "sentencepiece.vocab",
        (f"{piece}\t{processor.get_score(i):g}" for i, piece in enumerate(pieces_of(processor))),
    )


def write_all_plain_text(
    preparation: TranslationPreparation, directory: Directory, scratch: Path
) -> None:
    """Write both sides of the validation and test sets as plain text."""
    for split in preparation.splits[1:]:
        write_plain_text(preparation.text_format, directory.work, scratch, split)


def write_fairseq(preparation: TranslationPreparation, directory: Directory, scratch: Path) -> None:
    """Write the dictionaries and binaries that fairseq-train reads, and ``unknown.json``."""
    processor = read_sentencepiece(directory.path)
    dictionary = make_dictionary(processor)
    for lang in preparation.langs:
        dictionary.save(str(scratch / f"dict.{lang}.txt"))
    encoder = Encoder(preparation.text_format, processor, dictionary, preparation.workers)
    unknown: dict[str, dict[str, int]] = {}
    for split, lines in read_json(directory.work / "counts.json")["lines"].items():
        unknown |= encoder.write_binaries(directory.work, scratch, split, lines)
    write_json(directory.work / "unknown.json", unknown)


def print_unknown(unknown: dict[str, dict[str, int]]) -> None:
    """Print where the text has characters that are in no piece, and what to do about it."""
    if description := describe_unknown(unknown):
        print(
            f"{description}; train SentencePiece on more text: --sentencepiece-sample, "
            "--sentencepiece-text all"
        )


def find_all_long_pairs(preparation: TranslationPreparation, destdir: Path) -> dict[str, Content]:
    """Find the pairs of the validation and test sets that models do not take, by split.

    Of the training pairs fairseq drops those itself.
    """
    found = {
        split: find_long_pairs(preparation.text_format, destdir, split)
        for split in preparation.splits[1:]
    }
    return {split: long for split, long in found.items() if long is not None}


def print_long_pairs(preparation: TranslationPreparation, found: dict[str, Content]) -> None:
    """Print which lines models do not take, of the raw text where there is some."""
    text_format = preparation.text_format
    for split, long in found.items():
        if split in preparation.prefixes:
            files = raw_files(preparation.prefixes[split], preparation.langs)
        else:
            both = (str(preparation.destdir / name) for name in text_format.text(split))
            files = " and ".join(both)
        print(describe_long_pairs(text_format, split, files, long))


def write_ceilings(
    preparation: TranslationPreparation, directory: Directory, scratch: Path
) -> None:
    """Measure the score of a model without any error on each test set; keep those below 100."""
    dictionary = Dictionary.load(str(directory.path / f"dict.{preparation.target_lang}.txt"))
    ceilings = {
        split: find_ceiling(preparation.text_format, dictionary, directory.path, split)
        for split in preparation.splits[2:]
    }
    found = {split: ceiling for split, ceiling in ceilings.items() if ceiling is not None}
    write_json(scratch / "ceilings.json", found)


def print_ceilings(preparation: Preparation, ceilings: dict[str, Content]) -> None:
    """Print what normalisation and pieces alone cost, and what to do about it."""
    for split, content in ceilings.items():
        ceiling = Ceiling(**content)
        remedy = ""
        if preparation.normalization != "identity" and "<unk>" not in ceiling.pieces_say:
            remedy = "; --normalization identity changes no text"
        print(f"{split}: {ceiling}{remedy}")


def text_names(preparation: TranslationPreparation) -> list[str]:
    return [f"{split}.{lang}" for split in preparation.splits for lang in preparation.langs]


def plain_text_names(preparation: TranslationPreparation) -> list[str]:
    return list(chain.from_iterable(map(preparation.text_format.text, preparation.splits[1:])))


def fairseq_names(preparation: TranslationPreparation) -> list[str]:
    dictionaries = [f"dict.{lang}.txt" for lang in preparation.langs]
    binaries = (binary_files(preparation.text_format, split) for split in preparation.splits)
    return [*dictionaries, *chain.from_iterable(binaries)]


def provenance(preparation: Preparation) -> dict[str, Any]:
    """Return the versions and the seed that the files depend on."""
    return {
        "versions": versions(),
        "sentencepiece_trained_on": preparation.sentencepiece_text,
        "seed": SEED,
    }
