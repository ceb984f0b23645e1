"""make a fairseq data directory out of raw parallel text

The raw text PREFIX.SOURCE and PREFIX.TARGET of each split, one sentence a line, becomes

- ``sentencepiece.model`` and ``sentencepiece.vocab``: one unigram SentencePiece model of both
  languages (Kudo, 2018), learnt from the filtered training text alone unless asked otherwise;
- ``dict.LANG.txt`` and ``{train,valid,test,test1,...}.SOURCE-TARGET.LANG.{bin,idx}``: the
  dictionary and the binaries that fairseq-train reads;
- ``{valid,test,test1,...}.ref.TARGET``: the detokenised references;
- ``prepare.json``: what was made from what, written last: it marks a finished directory.

Training pairs are filtered as in Xu et al. (2022), appendix A; no other pair is ever dropped.
Validation text is given, or held out from the training pairs that the filters keep. The text is
streamed, except that SentencePiece holds what it learns from: --sentencepiece-sample bounds that.

The references stay as they are, while SentencePiece normalises what becomes pieces. What a model
without any error would score is measured on each test set, and said and kept where it is below 100;
so is how many characters of each file are <unk>.

The files depend on the options and the text only, so two runs make the same bytes. They are
written in ``.partial`` inside the directory and moved out when whole, so a run that was killed
goes on from the last whole file.
"""

import argparse
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from itertools import chain, compress, islice
from pathlib import Path
from typing import Any

import fairseq
from fairseq.data import Dictionary
from sentencepiece import SentencePieceProcessor
from tqdm import tqdm

from . import UserError, normalization
from .ceiling import Ceiling, measure_ceiling
from .cleaning import LONGEST_WORD, RULES, Cleaner, clean_in_parallel
from .files import plain, read_json, read_lines, sha256, write_json, write_lines
from .languages import WITHOUT_SPACES, base_language
from .metrics import tokenizer_advice
from .options import check_number
from .sampling import SEED, draw
from .subwords import SPECIAL_PIECES, binarise, decode, learn, make_dictionary, pieces_of

MODEL_NAMES = ("sentencepiece.model", "sentencepiece.vocab")
MAX_PIECES = 10**6  # SentencePiece would fill the memory before it finds its text too short
MAX_WORKERS = 1024
VALIDATION_OPTIONS = ("valid", "hold_out_every", "hold_out")
MANY_DROPPED = 0.2  # of the pairs, by their ratio: then something is wrong with the text or it


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Preparation:
    """What to prepare and how: the options of the command.

    ``train``, ``valid`` and each of ``test`` is a PREFIX of the files PREFIX.SOURCE_LANG and
    PREFIX.TARGET_LANG. Instead of ``valid``, every ``hold_out_every``-th training pair, or
    ``hold_out`` of them drawn at random, are the validation set. ``max_length`` counts Moses
    tokens, ``sentencepiece_sample`` lines, ``workers`` processes, and ``train_pairs`` the training
    pairs that are read, from the first one on.
    """

    source_lang: str
    target_lang: str
    train: str
    test: tuple[str, ...]
    destdir: Path
    valid: str | None = None
    hold_out_every: int | None = None
    hold_out: int | None = None
    vocab_size: int = 12000
    sentencepiece_text: str = "train"
    sentencepiece_sample: int | None = None
    normalization: str = "nmt_nfkc"
    max_ratio: float = 1.5
    max_length: int = 175
    train_pairs: int | None = None
    lowercase: bool = False
    workers: int = 1

    @property
    def langs(self) -> tuple[str, str]:
        return self.source_lang, self.target_lang

    @property
    def prefixes(self) -> dict[str, str]:
        """The prefix of each split that is given, by the name fairseq gives the split."""
        valid = {} if self.valid is None else {"valid": self.valid}
        tests = {f"test{k or ''}": prefix for k, prefix in enumerate(self.test)}
        return {"train": self.train, **valid, **tests}

    @property
    def splits(self) -> list[str]:
        """The names of all splits, training first."""
        return list(dict.fromkeys(["train", "valid", *self.prefixes]))

    @property
    def work(self) -> Path:
        """Where the files are made, and where those stay that only later steps need."""
        return self.destdir / ".partial"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill prepare``."""
    parser.add_argument("--source-lang", required=True, metavar="LANG", help="source language")
    parser.add_argument("--target-lang", required=True, metavar="LANG", help="target language")
    parser.add_argument(
        "--train", required=True, metavar="PREFIX", help="training text PREFIX.LANG, one line each"
    )
    parser.add_argument(
        "--valid", metavar="PREFIX", help="validation text; or give one of the next two options"
    )
    parser.add_argument(
        "--hold-out-every",
        type=int,
        metavar="N",
        help="validate on every N-th training pair that the filters keep",
    )
    parser.add_argument(
        "--hold-out",
        type=int,
        metavar="N",
        help="validate on N training pairs that the filters keep, drawn at random by a fixed seed",
    )
    parser.add_argument(
        "--test",
        required=True,
        metavar="PREFIX[,PREFIX...]",
        help="test sets; they become test, test1, ...",
    )
    parser.add_argument(
        "--train-pairs",
        type=int,
        metavar="N",
        help="take the first N training pairs only (default: all)",
    )
    parser.add_argument(
        "--vocab-size",
        type=int,
        default=Preparation.vocab_size,
        metavar="N",
        help="pieces in the joint SentencePiece model (default: %(default)s)",
    )
    parser.add_argument(
        "--sentencepiece-text",
        choices=("train", "all"),
        default=Preparation.sentencepiece_text,
        help="learn the SentencePiece model from the training text, or also, as the authors of "
        "the paper did, from the validation and test text (default: %(default)s)",
    )
    parser.add_argument(
        "--sentencepiece-sample",
        type=int,
        metavar="N",
        help="learn it from N lines of that text, drawn at random by a fixed seed (default: all)",
    )
    parser.add_argument(
        "--normalization",
        choices=normalization.RULES,
        default=Preparation.normalization,
        help="SentencePiece's rule for the text that it cuts into pieces; identity leaves it as it "
        "is (default: %(default)s)",
    )
    parser.add_argument(
        "--max-ratio",
        type=float,
        default=Preparation.max_ratio,
        metavar="R",
        help="drop training pairs whose longer side has over R times the Moses tokens of the "
        "shorter (default: %(default)s)",
    )
    parser.add_argument(
        "--max-length",
        type=int,
        default=Preparation.max_length,
        metavar="N",
        help="drop training pairs with a side of over N Moses tokens (default: %(default)s)",
    )
    parser.add_argument(
        "--destdir",
        required=True,
        type=Path,
        metavar="DIR",
        help="the data directory to make; an unfinished one is completed",
    )
    parser.add_argument("--lowercase", action="store_true", help="lower-case all text")
    parser.add_argument(
        "--workers",
        type=int,
        default=usable_cores(),
        metavar="N",
        help="parallel processes; the files do not depend on it (default: all cores, %(default)s)",
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    values = {field.name: getattr(args, field.name) for field in fields(Preparation)}
    prepare(Preparation(**{**values, "test": tuple(args.test.split(","))}))


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


def check_options(preparation: Preparation) -> None:
    """Raise UserError for an option that can never work."""
    least_pieces = len(SPECIAL_PIECES) + 1
    for name in ("source_lang", "target_lang"):
        lang = getattr(preparation, name)
        if not re.fullmatch(r"\w+", lang):
            better = re.sub(r"\W+", "_", lang) or "de"
            raise UserError(
                f"{option(name)} {lang!r}: fairseq finds a language in the names of files by "
                f"letters, digits and _ alone: rename it, such as {better}"
            )
    if preparation.source_lang == preparation.target_lang:
        raise UserError(f"--source-lang and --target-lang are both {preparation.source_lang}")
    if preparation.vocab_size < least_pieces:
        raise UserError(
            f"--vocab-size must be at least {least_pieces} ({', '.join(SPECIAL_PIECES)} and a "
            f"piece of text), not {preparation.vocab_size}"
        )
    given = [option(name) for name in VALIDATION_OPTIONS if getattr(preparation, name) is not None]
    if len(given) != 1:
        raise UserError(
            f"give one of {', '.join(map(option, VALIDATION_OPTIONS))} for the validation set, "
            f"not {' and '.join(given) or 'none'}"
        )
    limits = {"vocab_size": (least_pieces, MAX_PIECES), "workers": (1, MAX_WORKERS)}
    limits |= {"max_ratio": (1,), "max_length": (1,), "train_pairs": (1,)}
    limits |= {"hold_out_every": (2,), "hold_out": (1,), "sentencepiece_sample": (1,)}
    for name, least_and_most in limits.items():
        value = getattr(preparation, name)
        if value is not None:
            check_number(option(name), value, *least_and_most)
    for prefix, times in Counter(preparation.test).items():
        if times > 1:
            raise UserError(f"--test names {prefix} {times} times: name each test set once")
    if {",", ":"} & set(str(preparation.destdir)):
        raise UserError(
            f"--destdir {preparation.destdir} has a ',' or ':', at which hydra or fairseq would "
            "split it: choose another name"
        )


def check_inputs(preparation: Preparation) -> dict[str, dict[str, Any]]:
    """Return the file, SHA-256 and number of lines of each input, by SPLIT.LANG.

    Raises:
        UserError: a file cannot be read, is not UTF-8 or has no lines, or the two sides of a
            split differ in their numbers of lines.
    """
    inputs = {}
    for split, prefix in preparation.prefixes.items():
        files = [f"{prefix}.{lang}" for lang in preparation.langs]
        lines = [count_lines(file) for file in files]
        if lines[0] != lines[1]:
            raise UserError(
                f"{files[0]} has {lines[0]} lines but {files[1]} has {lines[1]}: "
                "line N of one must translate line N of the other"
            )
        if lines[0] == 0:
            raise UserError(f"{files[0]} and {files[1]} are empty")
        for lang, file in zip(preparation.langs, files):
            inputs[f"{split}.{lang}"] = {
                "file": file,
                "sha256": sha256(file),
                "lines": lines[0],
            }
    return inputs


def count_lines(file: str) -> int:
    """The lines of an input file, all of which are read to see that they can be."""
    if os.path.exists(file) and not os.path.isfile(file):
        raise UserError(f"{file} is no file: it must be one, which can be read again and again")
    number = 0
    for number, line in enumerate(read_lines(file), start=1):
        # by itself a mark makes an empty line, which the filters drop
        if plain(line) != line and not (number > 1 and line.strip() == "\ufeff"):
            raise UserError(
                f"{file}, line {number}: there is a byte order mark or NUL, which are no text: "
                "convert the file to plain UTF-8"
            )
    return number


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


def find_difference(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """Name the first thing in which two requests would give other files, or None.

    Where a text lies does not matter, only what it says.
    """
    for name, value in new["options"].items():
        if old["options"].get(name) != value:
            return f"{option(name)} {old['options'].get(name)}, not {value}"
    if old["inputs"].keys() != new["inputs"].keys():
        return "another number of --test sets"
    for name, now in new["inputs"].items():
        then = old["inputs"][name]
        if then["sha256"] != now["sha256"]:
            return f"another {name} text ({then['file']} as it was then, not {now['file']} of now)"
    return None


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


def recorded_options(preparation: Preparation) -> dict[str, Any]:
    """The options that the files depend on, apart from the text."""
    no_matter = {"train", "valid", "test", "destdir", "workers"}
    return {
        field.name: getattr(preparation, field.name)
        for field in fields(preparation)
        if field.name not in no_matter
    }


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


def option(name: str) -> str:
    """The command-line option of a field of Preparation."""
    return f"--{name.replace('_', '-')}"
