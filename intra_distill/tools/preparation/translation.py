"""The steps from raw parallel text to fairseq's data directory, each made whole or not at all."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
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
from ..languages import WITHOUT_SPACES, base_language
from ..scoring.ceiling import Ceiling, measure_ceiling
from ..scoring.metrics import tokenizer_advice
from .cleaning import LONGEST_WORD, RULES, Cleaner, clean_in_parallel
from .request import Preparation, check_inputs, check_options, find_difference, recorded_options
from .sampling import SEED, draw
from .subwords import binarise, decode, learn, make_dictionary, pieces_of

MODEL_NAMES = ("sentencepiece.model", "sentencepiece.vocab")
MANY_DROPPED = 0.2  # of the pairs, by their ratio: then something is wrong with the text or it


def prepare(preparation: Preparation) -> None:
    """Make the data directory ``preparation.destdir``, or what an unfinished one lacks.

    Raises:
        UserError: an option or an input file is wrong, the directory holds something else or
            cannot be written in, or the training text does not support such a vocabulary or as
            many validation pairs.
    """
    check_options(preparation)
    if advice := tokenizer_advice(preparation.target_lang):
        print(advice)
    request = {"options": recorded_options(preparation), "inputs": check_inputs(preparation)}
    destdir = preparation.destdir
    if is_finished(preparation, request):
        shutil.rmtree(preparation.work, ignore_errors=True)  # a kill at the last moment left it
        print(f"{destdir} is finished, from the same options and text: nothing to do")
        return
    try:
        make_directory(preparation, request)
    except OSError as error:
        raise UserError(f"cannot write in --destdir {destdir}: {error.strerror}") from error
    print(f"{destdir} is finished")


def make_directory(preparation: Preparation, request: dict[str, Any]) -> None:
    """Take the steps that are not yet taken."""
    destdir, work = preparation.destdir, preparation.work
    if not (work / "request.json").exists():
        shutil.rmtree(work, ignore_errors=True)  # what it holds, if anything, is of who knows what
    work.mkdir(parents=True, exist_ok=True)
    write_json(work / "request.json", request)
    try:
        make_files(preparation, work, [*text_names(preparation), "counts.json"], write_text)
        counts = read_json(work / "counts.json")
        print_counts(preparation, counts)
        make_files(preparation, destdir, MODEL_NAMES, write_sentencepiece)
    except UserError as error:
        # What is here would only have the corrected options refused as another preparation.
        if not isinstance(error.__cause__, OSError):  # a full disk, for one, is no wrong option
            shutil.rmtree(work)
            if not any(destdir.iterdir()):
                destdir.rmdir()
        raise
    make_files(preparation, destdir, reference_names(preparation), write_references)
    make_files(preparation, destdir, fairseq_names(preparation), write_fairseq)
    make_files(preparation, work, ["ceilings.json"], write_ceilings)
    counts["unknown"] = read_json(work / "unknown.json")
    ceilings = read_json(work / "ceilings.json")
    print_unknown(counts["unknown"])
    print_ceilings(preparation, ceilings)
    report = {**request, "counts": counts, "ceilings": ceilings, **provenance(preparation)}
    write_json(destdir / "prepare.json", report)
    shutil.rmtree(work)


def is_finished(preparation: Preparation, request: dict[str, Any]) -> bool:
    """Whether ``request`` is done: if not, the directory is free for it or holds a part of it.

    Raises:
        UserError: the directory holds another preparation or other files.
    """
    destdir, work = preparation.destdir, preparation.work
    advice = "choose another --destdir or delete this one"
    if destdir.exists() and not destdir.is_dir():
        raise UserError(f"--destdir {destdir} is not a directory")
    for state in (destdir / "prepare.json", work / "request.json"):
        if state.exists():
            difference = find_difference(read_json(state), request)
            if difference:
                raise UserError(f"{destdir} was prepared with {difference}: {advice}")
            return state.name == "prepare.json"
    if destdir.exists() and any(path != work for path in destdir.iterdir()):
        raise UserError(f"{destdir} holds files of something else: {advice}")
    return False


def make_files(
    preparation: Preparation,
    directory: Path,
    names: Sequence[str],
    write: Callable[[Preparation, Path], None],
) -> None:
    """Have ``write`` make the files ``names`` of ``directory`` unless all of them are there.

    It writes them in a scratch directory, so that no file has its name before it is whole.
    """
    if all((directory / name).exists() for name in names):
        return
    scratch = preparation.work / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    write(preparation, scratch)
    for name in names:
        os.replace(scratch / name, directory / name)


def write_text(preparation: Preparation, scratch: Path) -> None:
    """Write the text of all splits that is left by the filters, and ``counts.json``."""
    inputs = read_json(preparation.work / "request.json")["inputs"]
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
        "dropped": {rule: verdicts[rule] for rule in RULES},
        "kept": kept,
        "held_out": kept - lines["train"],
        "lines": {split: lines[split] for split in preparation.splits},
    }
    write_json(scratch / "counts.json", counts)


def write_training_text(preparation: Preparation, scratch: Path, number: int) -> Counter[str]:
    """Write those of the first ``number`` training pairs that the filters keep.

    Returns:
        How many were kept, and how many dropped by each rule.
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


def hold_out(preparation: Preparation, scratch: Path, kept: int) -> int:
    """Move validation pairs out of the ``kept`` training pairs; return their number."""
    every, number = preparation.hold_out_every, preparation.hold_out
    asked = f"--hold-out-every {every}" if every else f"--hold-out {number}"
    number = number or kept // every
    if not 0 < number < kept:
        raise UserError(
            f"{asked} makes {number} validation pairs of the {kept} that the filters keep: "
            "there must be some for validation, and some left to train on"
        )
    for lang in preparation.langs:
        train, valid, both = (scratch / f"{name}.{lang}" for name in ("train", "valid", "both"))
        os.replace(train, both)
        held = (n % every == 0 for n in range(1, kept + 1)) if every else draw(number, kept)
        with open(both, "rb") as text, open(train, "wb") as rest, open(valid, "wb") as drawn:
            for line, is_held in zip(text, held):
                (drawn if is_held else rest).write(line)
        both.unlink()
    return number


def check_unchanged(inputs: dict[str, dict[str, Any]]) -> None:
    """Raise UserError if an input file is not what it was when it was checked."""
    for entry in inputs.values():
        if sha256(entry["file"]) != entry["sha256"]:
            raise UserError(f"{entry['file']} was changed while it was read: start again")


def print_counts(preparation: Preparation, counts: dict[str, Any]) -> None:
    """Print what the filters did."""
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


def write_sentencepiece(preparation: Preparation, scratch: Path) -> None:
    """Learn the joint SentencePiece model."""
    counts = read_json(preparation.work / "counts.json")["lines"]
    splits = preparation.splits if preparation.sentencepiece_text == "all" else ["train"]
    lines = chain.from_iterable(
        read_lines(preparation.work / f"{split}.{lang}")
        for split in splits
        for lang in preparation.langs
    )
    total = number = sum(counts[split] for split in splits) * len(preparation.langs)
    if preparation.sentencepiece_sample is not None:
        number = min(preparation.sentencepiece_sample, total)
        lines = compress(lines, draw(number, total))
    lines = progress(lines, number, "learning SentencePiece")
    model = learn(lines, preparation.vocab_size, preparation.normalization)
    (scratch / "sentencepiece.model").write_bytes(model)
    processor = SentencePieceProcessor(model_proto=model)
    write_lines(
        scratch / "sentencepiece.vocab",
        (f"{piece}\t{processor.get_score(i):g}" for i, piece in enumerate(pieces_of(processor))),
    )


def write_references(preparation: Preparation, scratch: Path) -> None:
    """Write the target side of the validation and test sets as plain text."""
    for split in preparation.splits[1:]:
        shutil.copyfile(
            preparation.work / f"{split}.{preparation.target_lang}",
            scratch / f"{split}.ref.{preparation.target_lang}",
        )


def write_fairseq(preparation: Preparation, scratch: Path) -> None:
    """Write the dictionaries and binaries that fairseq-train reads, and ``unknown.json``."""
    processor = SentencePieceProcessor(model_file=str(preparation.destdir / "sentencepiece.model"))
    dictionary = make_dictionary(processor)
    counts = read_json(preparation.work / "counts.json")["lines"]
    unknown: dict[str, dict[str, int]] = {}
    for lang in preparation.langs:
        dictionary.save(str(scratch / f"dict.{lang}.txt"))
        for split, number in counts.items():
            name = f"{split}.{lang}"
            lines = progress(read_lines(preparation.work / name), number, f"encoding {name}")
            unknown[name] = binarise(
                processor,
                dictionary,
                lines,
                scratch / binary_name(preparation, split, lang),
                preparation.normalization,
                preparation.workers,
            )
    write_json(preparation.work / "unknown.json", unknown)


def print_unknown(unknown: dict[str, dict[str, int]]) -> None:
    """Say where the text has characters that the pieces do not know."""
    numbers = [f"{name} {counts['tokens']}" for name, counts in unknown.items() if counts["tokens"]]
    if numbers:
        print(
            f"<unk> for characters that no piece was learnt from: {', '.join(numbers)}; learn the "
            "pieces from more text: --sentencepiece-sample, --sentencepiece-text all"
        )


def write_ceilings(preparation: Preparation, scratch: Path) -> None:
    """Measure what a model without any error would score on each test set, where below 100."""
    lang = preparation.target_lang
    dictionary = Dictionary.load(str(preparation.destdir / f"dict.{lang}.txt"))
    ceilings = {}
    for split in preparation.splits[2:]:
        references = list(read_lines(preparation.destdir / f"{split}.ref.{lang}"))
        said = list(decode(dictionary, preparation.destdir / binary_name(preparation, split, lang)))
        ceiling = measure_ceiling(references, said, lang, preparation.lowercase)
        if ceiling is not None:
            ceilings[split] = asdict(ceiling)
    write_json(scratch / "ceilings.json", ceilings)


def print_ceilings(preparation: Preparation, ceilings: dict[str, dict[str, Any]]) -> None:
    """Say what the pieces alone cost, and what to do about it."""
    for split, content in ceilings.items():
        ceiling = Ceiling(**content)
        remedy = ""
        if preparation.normalization != "identity" and "<unk>" not in ceiling.pieces_say:
            remedy = "; --normalization identity leaves text as it is"
        print(f"{split}: {ceiling}{remedy}")


def progress(lines: Iterable[Any], total: int, doing: str) -> Iterable[Any]:
    """Show on a terminal how many lines have been read."""
    return tqdm(lines, desc=doing, total=total, unit=" lines", unit_scale=True, disable=None)


def text_names(preparation: Preparation) -> list[str]:
    return [f"{split}.{lang}" for split in preparation.splits for lang in preparation.langs]


def reference_names(preparation: Preparation) -> list[str]:
    return [f"{split}.ref.{preparation.target_lang}" for split in preparation.splits[1:]]


def fairseq_names(preparation: Preparation) -> list[str]:
    return [f"dict.{lang}.txt" for lang in preparation.langs] + [
        f"{binary_name(preparation, split, lang)}.{extension}"
        for split in preparation.splits
        for lang in preparation.langs
        for extension in ("bin", "idx")
    ]


def binary_name(preparation: Preparation, split: str, lang: str) -> str:
    """What fairseq calls the two files of a side of a split, without their extensions."""
    return f"{split}.{'-'.join(preparation.langs)}.{lang}"


def provenance(preparation: Preparation) -> dict[str, Any]:
    """What made the files."""
    return {
        "versions": {
            "sentencepiece": metadata.version("sentencepiece"),
            "sacremoses": metadata.version("sacremoses"),
            "fairseq": fairseq.__version__,
        },
        "sentencepiece_trained_on": preparation.sentencepiece_text,
        "seed": SEED,
    }
