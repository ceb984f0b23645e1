"""The steps from raw parallel text to the data directory that fairseq trains a translation on."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict
from functools import partial
from importlib import metadata
from itertools import chain, compress, islice
from pathlib import Path
from typing import Any

import fairseq
from fairseq.data import Dictionary
from sentencepiece import SentencePieceProcessor
from tqdm import tqdm

from ...errors import UserError
from ...files import read_json, read_lines, sha256, write_json, write_lines
from ..directory import Directory
from ..languages import WITHOUT_SPACES, base_language
from ..scoring.ceiling import Ceiling, measure_ceiling
from ..scoring.metrics import tokenizer_advice
from .cleaning import FILTERS, LONGEST_WORD, Cleaner, clean_in_parallel
from .request import TranslationPreparation, check_preparation, find_other_input, make_request
from .sampling import SEED, sample_mask
from .subwords import binarise, decode, make_dictionary, pieces_of, train_sentencepiece

REPORT = "prepare.json"
MODEL_NAMES = ("sentencepiece.model", "sentencepiece.vocab")
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
    make(destdir, reference_names(preparation), write_references)
    make(destdir, fairseq_names(preparation), write_fairseq)
    counts["unknown"] = read_json(work / "unknown.json")
    print_unknown(counts["unknown"])
    make(work, ["ceilings.json"], write_ceilings)
    ceilings = read_json(work / "ceilings.json")
    print_ceilings(preparation, ceilings)
    return {"counts": counts, "ceilings": ceilings, **provenance(preparation)}


def write_filtered_text(
    preparation: TranslationPreparation, directory: Directory, scratch: Path
) -> None:
    """Write the text of all splits, with the training text filtered, and ``counts.json``."""
    inputs = directory.request["inputs"]
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
            for lang in preparation.langs:
                text = read_lines(f"{prefix}.{lang}")
                text = map(str.lower, text) if preparation.lowercase else text
                write_lines(scratch / f"{split}.{lang}", text)
    check_unchanged(inputs)
    counts = {
        "read": read,
        "dropped": {name: verdicts[name] for name in FILTERS},
        "kept": kept,
        "held_out": kept - lines["train"],
        "lines": {split: lines[split] for split in preparation.splits},
    }
    write_json(scratch / "counts.json", counts)


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


def check_unchanged(inputs: dict[str, dict[str, Any]]) -> None:
    """Raise UserError if an input file has changed since it was checked."""
    for entry in inputs.values():
        if sha256(entry["file"]) != entry["sha256"]:
            raise UserError(f"{entry['file']} was changed while it was read: run again")


def print_counts(preparation: TranslationPreparation, counts: dict[str, Any]) -> None:
    """Print how many pairs the filters dropped, and advice if the ratio dropped many."""
    dropped = counts["dropped"]
    print(
        f"{counts['read']} training pairs read; dropped: {dropped['empty']} with an empty side, "
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
            f"{dropped['ratio']} of {counts['read']} pairs were dropped by --max-ratio "
            f"{preparation.max_ratio:g}: {why}; a larger one, such as --max-ratio 50, keeps them"
        )


def write_sentencepiece(
    preparation: TranslationPreparation, directory: Directory, scratch: Path
) -> None:
    """Train the joint SentencePiece model."""
    counts = read_json(directory.work / "counts.json")["lines"]
    splits = preparation.splits if preparation.sentencepiece_text == "all" else ["train"]
    lines = chain.from_iterable(
        read_lines(directory.work / f"{split}.{lang}")
        for split in splits
        for lang in preparation.langs
    )
    total = number = sum(counts[split] for split in splits) * len(preparation.langs)
    if preparation.sentencepiece_sample is not None:
        number = min(preparation.sentencepiece_sample, total)
        lines = compress(lines, sample_mask(number, total))
    lines = progress(lines, number, "training SentencePiece")
    model = train_sentencepiece(lines, preparation.vocab_size, preparation.normalization)
    (scratch / "sentencepiece.model").write_bytes(model)
    processor = SentencePieceProcessor(model_proto=model)
    write_lines(
        scratch / "sentencepiece.vocab",
        (f"{piece}\t{processor.get_score(i):g}" for i, piece in enumerate(pieces_of(processor))),
    )


def write_references(
    preparation: TranslationPreparation, directory: Directory, scratch: Path
) -> None:
    """Write the target side of the validation and test sets as plain text."""
    for split in preparation.splits[1:]:
        shutil.copyfile(
            directory.work / f"{split}.{preparation.target_lang}",
            scratch / f"{split}.ref.{preparation.target_lang}",
        )


def write_fairseq(preparation: TranslationPreparation, directory: Directory, scratch: Path) -> None:
    """Write the dictionaries and binaries that fairseq-train reads, and ``unknown.json``."""
    processor = SentencePieceProcessor(model_file=str(directory.path / "sentencepiece.model"))
    dictionary = make_dictionary(processor)
    counts = read_json(directory.work / "counts.json")["lines"]
    unknown: dict[str, dict[str, int]] = {}
    for lang in preparation.langs:
        dictionary.save(str(scratch / f"dict.{lang}.txt"))
        for split, number in counts.items():
            name = f"{split}.{lang}"
            lines = progress(read_lines(directory.work / name), number, f"encoding {name}")
            unknown[name] = binarise(
                processor,
                dictionary,
                lines,
                scratch / binary_name(preparation, split, lang),
                preparation.normalization,
                preparation.workers,
            )
    write_json(directory.work / "unknown.json", unknown)


def print_unknown(unknown: dict[str, dict[str, int]]) -> None:
    """Print where the text has characters that are in no piece."""
    numbers = [f"{name} {counts['tokens']}" for name, counts in unknown.items() if counts["tokens"]]
    if numbers:
        print(
            f"<unk> for characters that are in no piece: {', '.join(numbers)}; train SentencePiece "
            "on more text: --sentencepiece-sample, --sentencepiece-text all"
        )


def write_ceilings(
    preparation: TranslationPreparation, directory: Directory, scratch: Path
) -> None:
    """Measure the score of a model without any error on each test set; keep those below 100."""
    lang = preparation.target_lang
    dictionary = Dictionary.load(str(directory.path / f"dict.{lang}.txt"))
    ceilings = {}
    for split in preparation.splits[2:]:
        references = list(read_lines(directory.path / f"{split}.ref.{lang}"))
        binary = directory.path / binary_name(preparation, split, lang)
        ceiling = measure_ceiling(
            references, list(decode(dictionary, binary)), lang, preparation.lowercase
        )
        if ceiling is not None:
            ceilings[split] = asdict(ceiling)
    write_json(scratch / "ceilings.json", ceilings)


def print_ceilings(
    preparation: TranslationPreparation, ceilings: dict[str, dict[str, Any]]
) -> None:
    """Print what normalisation and pieces alone cost, and what to do about it."""
    for split, content in ceilings.items():
        ceiling = Ceiling(**content)
        remedy = ""
        if preparation.normalization != "identity" and "<unk>" not in ceiling.pieces_say:
            remedy = "; --normalization identity changes no text"
        print(f"{split}: {ceiling}{remedy}")


def progress(lines: Iterable[Any], total: int, doing: str) -> Iterable[Any]:
    """Show on a terminal how many lines have been read."""
    return tqdm(lines, desc=doing, total=total, unit=" lines", unit_scale=True, disable=None)


def text_names(preparation: TranslationPreparation) -> list[str]:
    return [f"{split}.{lang}" for split in preparation.splits for lang in preparation.langs]


def reference_names(preparation: TranslationPreparation) -> list[str]:
    return [f"{split}.ref.{preparation.target_lang}" for split in preparation.splits[1:]]


def fairseq_names(preparation: TranslationPreparation) -> list[str]:
    return [f"dict.{lang}.txt" for lang in preparation.langs] + [
        f"{binary_name(preparation, split, lang)}.{extension}"
        for split in preparation.splits
        for lang in preparation.langs
        for extension in ("bin", "idx")
    ]


def binary_name(preparation: TranslationPreparation, split: str, lang: str) -> str:
    """fairseq's name of the two files of a side of a split, without their extensions."""
    return f"{split}.{'-'.join(preparation.langs)}.{lang}"


def provenance(preparation: TranslationPreparation) -> dict[str, Any]:
    """Return the versions and the seed that the files depend on."""
    return {
        "versions": {
            "sentencepiece": metadata.version("sentencepiece"),
            "sacremoses": metadata.version("sacremoses"),
            "fairseq": fairseq.__version__,
        },
        "sentencepiece_trained_on": preparation.sentencepiece_text,
        "seed": SEED,
    }
