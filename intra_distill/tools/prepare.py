"""make a fairseq data directory out of raw parallel text

The raw text PREFIX.SOURCE and PREFIX.TARGET of each split, one sentence a line, becomes

- ``sentencepiece.model`` and ``sentencepiece.vocab``: one unigram SentencePiece model of both
  languages (Kudo, 2018), learnt from the filtered training text alone;
- ``dict.LANG.txt`` and ``{train,valid,test,test1,...}.SOURCE-TARGET.LANG.{bin,idx}``: the
  dictionary and the binaries that fairseq-train reads;
- ``{valid,test,test1,...}.ref.TARGET``: the detokenised references;
- ``prepare.json``: what was made from what, written last: it marks a finished directory.

Training pairs are filtered as in Xu et al. (2022), appendix A; no other pair is ever dropped.
The files depend on the options and the text only, so two runs make the same bytes. They are
written in ``.partial`` inside the directory and moved out when whole, so a run that was killed
goes on from the last whole file.
"""

import argparse
import functools
import io
import logging
import multiprocessing
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from importlib import metadata
from itertools import chain, islice
from pathlib import Path
from typing import Any

import fairseq
from fairseq import options
from sacremoses import MosesTokenizer
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from . import UserError
from .files import read_json, read_lines, sha256, write_json, write_lines

SPECIAL_PIECES = ("<unk>", "<s>", "</s>")
MODEL_NAMES = ("sentencepiece.model", "sentencepiece.vocab")


@dataclass(frozen=True)
class Preparation:
    """What to prepare and how: the options of the command.

    ``train``, ``valid`` and each of ``test`` is a PREFIX of the files PREFIX.SOURCE_LANG and
    PREFIX.TARGET_LANG. ``max_length`` counts Moses tokens, ``workers`` processes, and
    ``train_pairs`` the training pairs that are read, from the first one on.
    """

    source_lang: str
    target_lang: str
    train: str
    valid: str
    test: tuple[str, ...]
    destdir: Path
    vocab_size: int = 12000
    max_ratio: float = 1.5
    max_length: int = 175
    train_pairs: int | None = None
    lowercase: bool = False
    workers: int = 1

    @property
    def langs(self) -> tuple[str, str]:
        return self.source_lang, self.target_lang

    @property
    def held_out(self) -> dict[str, str]:
        """The prefixes of the validation and test sets by the split names fairseq gives them."""
        tests = {f"test{k or ''}": prefix for k, prefix in enumerate(self.test)}
        return {"valid": self.valid, **tests}

    @property
    def splits(self) -> dict[str, str]:
        """The prefix of each split by its name."""
        return {"train": self.train, **self.held_out}

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
    parser.add_argument("--valid", required=True, metavar="PREFIX", help="validation text")
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
        default=Preparation.workers,
        metavar="N",
        help="parallel processes; the files do not depend on it (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    prepare(
        Preparation(
            source_lang=args.source_lang,
            target_lang=args.target_lang,
            train=args.train,
            valid=args.valid,
            test=tuple(args.test.split(",")),
            destdir=args.destdir,
            vocab_size=args.vocab_size,
            max_ratio=args.max_ratio,
            max_length=args.max_length,
            train_pairs=args.train_pairs,
            lowercase=args.lowercase,
            workers=args.workers,
        )
    )


def prepare(preparation: Preparation) -> None:
    """Make the data directory ``preparation.destdir``, or what an unfinished one lacks.

    Raises:
        UserError: an option or an input file is wrong, the directory holds something else, or
            the training text does not support such a vocabulary.
    """
    check_options(preparation)
    request = {"options": recorded_options(preparation), "inputs": check_inputs(preparation)}
    destdir, work = preparation.destdir, preparation.work
    if is_finished(preparation, request):
        print(f"{destdir} is finished, from the same options and text: nothing to do")
        return
    if not (work / "request.json").exists():
        shutil.rmtree(work, ignore_errors=True)  # what it holds, if anything, is of who knows what
    try:
        work.mkdir(parents=True, exist_ok=True)
        write_json(work / "request.json", request)
    except OSError as error:
        raise UserError(f"cannot write in --destdir {destdir}: {error.strerror}") from error
    try:
        make_files(preparation, work, [*text_names(preparation), "counts.json"], write_text)
        counts = read_json(work / "counts.json")
        print_counts(preparation, counts)
        make_files(preparation, destdir, MODEL_NAMES, write_sentencepiece)
    except UserError:
        # What is here would only have the corrected options refused as another preparation.
        shutil.rmtree(work)
        raise
    make_files(preparation, destdir, reference_names(preparation), write_references)
    make_files(preparation, destdir, fairseq_names(preparation), write_fairseq)
    write_json(destdir / "prepare.json", {**request, "counts": counts, **provenance()})
    shutil.rmtree(work)
    print(f"{destdir} is finished")


def check_options(preparation: Preparation) -> None:
    """Raise UserError for an option that can never work."""
    least_pieces = len(SPECIAL_PIECES) + 1
    if preparation.source_lang == preparation.target_lang:
        raise UserError(f"--source-lang and --target-lang are both {preparation.source_lang}")
    if preparation.vocab_size < least_pieces:
        raise UserError(
            f"--vocab-size must be at least {least_pieces} ({', '.join(SPECIAL_PIECES)} and a "
            f"piece of text), not {preparation.vocab_size}"
        )
    for name in ("max_ratio", "max_length", "train_pairs", "workers"):
        value = getattr(preparation, name)
        if value is not None and not value >= 1:  # put so that it refuses nan too
            raise UserError(f"{option(name)} must be at least 1, not {value}")
    for prefix, times in Counter(preparation.test).items():
        if times > 1:
            raise UserError(f"--test names {prefix} {times} times: name each test set once")
    if {",", ":"} & set(str(preparation.destdir)):
        raise UserError(
            f"--destdir {preparation.destdir} has a ',' or ':', at which fairseq splits paths: "
            "choose another name"
        )


def check_inputs(preparation: Preparation) -> dict[str, dict[str, Any]]:
    """Return the file, SHA-256 and number of lines of each input, by SPLIT.LANG.

    Raises:
        UserError: a file cannot be read, is not UTF-8 or has no lines, or the two sides of a
            split differ in their numbers of lines.
    """
    inputs = {}
    for split, prefix in preparation.splits.items():
        files = [f"{prefix}.{lang}" for lang in preparation.langs]
        lines = [sum(1 for _ in read_lines(file)) for file in files]
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
        if old["options"][name] != value:
            return f"{option(name)} {old['options'][name]}, not {value}"
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
    verdicts = judge_training_pairs(preparation)
    counts = Counter(verdicts)
    if not counts["kept"]:
        raise UserError(
            f"the filters drop all {len(verdicts)} training pairs of {preparation.train}: "
            "check that the two sides match, or raise --max-ratio or --max-length"
        )
    for split, prefix in preparation.splits.items():
        for lang in preparation.langs:
            lines = read_lines(f"{prefix}.{lang}")
            if split == "train":
                lines = (line for verdict, line in zip(verdicts, lines) if verdict == "kept")
            if preparation.lowercase:
                lines = map(str.lower, lines)
            write_lines(scratch / f"{split}.{lang}", lines)
    dropped = {rule: counts[rule] for rule in ("empty", "ratio", "length")}
    write_json(
        scratch / "counts.json",
        {"read": len(verdicts), "dropped": dropped, "kept": counts["kept"]},
    )


def judge_training_pairs(preparation: Preparation) -> list[str]:
    """Return for each training pair the filter that drops it, or "kept"."""
    with multiprocessing.Pool(preparation.workers) as pool:
        source_lengths, target_lengths = (
            pool.imap(
                functools.partial(moses_length, lang=lang),
                islice(read_lines(f"{preparation.train}.{lang}"), preparation.train_pairs),
                chunksize=256,
            )
            for lang in preparation.langs
        )
        return [
            judge_pair(source_length, target_length, preparation.max_ratio, preparation.max_length)
            for source_length, target_length in zip(source_lengths, target_lengths)
        ]


def judge_pair(source_length: int, target_length: int, max_ratio: float, max_length: int) -> str:
    """Return the first filter of Xu et al. (2022), appendix A, that drops a pair, or "kept".

    Args:
        source_length, target_length: Moses tokens on either side.
        max_ratio: of the longer side to the shorter.
        max_length: of the longer side.
    """
    shorter, longer = sorted((source_length, target_length))
    if shorter == 0:
        return "empty"
    if longer / shorter > max_ratio:
        return "ratio"
    if longer > max_length:
        return "length"
    return "kept"


def moses_length(line: str, lang: str) -> int:
    """The number of Moses tokens in a line."""
    return len(moses_tokenizer(lang).tokenize(line, escape=False))


@functools.cache
def moses_tokenizer(lang: str) -> MosesTokenizer:
    """The Moses tokeniser of a language, with the rules of English where it knows none."""
    return MosesTokenizer(lang)


def print_counts(preparation: Preparation, counts: dict[str, Any]) -> None:
    """Print what the filters did."""
    dropped = counts["dropped"]
    print(
        f"{counts['read']} training pairs read; dropped: {dropped['empty']} with an empty side, "
        f"{dropped['ratio']} with a length ratio over {preparation.max_ratio}, "
        f"{dropped['length']} with over {preparation.max_length} tokens; {counts['kept']} kept"
    )


def write_sentencepiece(preparation: Preparation, scratch: Path) -> None:
    """Learn the joint SentencePiece model from the filtered training text."""
    lines = chain.from_iterable(
        read_lines(preparation.work / f"train.{lang}") for lang in preparation.langs
    )
    model = io.BytesIO()
    try:
        # Given file names instead, SentencePiece would store them in the model.
        SentencePieceTrainer.train(
            sentence_iterator=map(without_next_line, lines),
            model_writer=model,
            model_type="unigram",
            vocab_size=preparation.vocab_size,
            character_coverage=1.0,
            max_sentence_length=2**30,  # bytes, the most it takes; by default it skips long lines
            num_threads=16,  # its default; the scores depend on it
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(explain_sentencepiece(str(error), preparation.vocab_size)) from error
    (scratch / "sentencepiece.model").write_bytes(model.getvalue())
    processor = SentencePieceProcessor(model_proto=model.getvalue())
    write_lines(
        scratch / "sentencepiece.vocab",
        (f"{piece}\t{processor.get_score(i):g}" for i, piece in enumerate(pieces_of(processor))),
    )


def explain_sentencepiece(message: str, vocab_size: int) -> str:
    """Say what a failure of SentencePiece's training means for --vocab-size."""
    if too_high := re.search(r"too high .* <= (\d+)", message):
        return (
            f"--vocab-size {vocab_size} is more than the training text supports: "
            f"the largest possible is {too_high[1]}"
        )
    if too_low := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return (
            f"--vocab-size {vocab_size} has no room for all characters of the training text: "
            f"the smallest possible is {too_low[1]}"
        )
    return f"SentencePiece cannot learn from the training text: {message}"


def write_references(preparation: Preparation, scratch: Path) -> None:
    """Write the target side of the validation and test sets as plain text."""
    for split in preparation.held_out:
        shutil.copyfile(
            preparation.work / f"{split}.{preparation.target_lang}",
            scratch / f"{split}.ref.{preparation.target_lang}",
        )


def write_fairseq(preparation: Preparation, scratch: Path) -> None:
    """Write the dictionaries and binaries with fairseq-preprocess."""
    processor = SentencePieceProcessor(model_file=str(preparation.destdir / "sentencepiece.model"))
    pieces = scratch / "pieces"
    pieces.mkdir()
    for name in text_names(preparation):
        write_lines(pieces / name, encode(processor, read_lines(preparation.work / name)))
    # fairseq's Dictionary has its own special symbols; it wants a count, which nothing reads here.
    text_pieces = (piece for piece in pieces_of(processor) if piece not in SPECIAL_PIECES)
    write_lines(pieces / "dict.txt", (f"{piece} 1" for piece in text_pieces))
    fairseq_preprocess(
        *("--source-lang", preparation.source_lang, "--target-lang", preparation.target_lang),
        *("--srcdict", str(pieces / "dict.txt"), "--tgtdict", str(pieces / "dict.txt")),
        *("--trainpref", str(pieces / "train"), "--validpref", str(pieces / "valid")),
        *("--testpref", ",".join(str(pieces / s) for s in preparation.held_out if s != "valid")),
        *("--destdir", str(scratch), "--workers", str(preparation.workers)),
    )


def fairseq_preprocess(*arguments: str) -> None:
    """Run fairseq-preprocess in this process, without its log."""
    logging.disable(logging.INFO)
    try:
        # Imported here since it sets up logging for the whole process.
        from fairseq_cli import preprocess

        preprocess.main(options.get_preprocessing_parser().parse_args(arguments))
    finally:
        logging.disable(logging.NOTSET)


def encode(processor: SentencePieceProcessor, lines: Iterable[str]) -> Iterator[str]:
    """Split each line into pieces, joined by spaces; what the model does not know is <unk>.

    The pieces are looked up by id since SentencePiece gives unknown text as it stands, which
    fairseq would take for its own symbol where it says "</s>" or "<pad>".
    """
    pieces = pieces_of(processor)
    for line in lines:
        yield " ".join(pieces[i] for i in processor.encode(without_next_line(line)))


def without_next_line(line: str) -> str:
    """Put a space for the control character NEXT LINE (U+0085).

    SentencePiece's normalisation makes spaces of, or removes, all else that Python calls white
    space; a piece with this one in it would come apart when fairseq splits a line at white space.
    """
    return line.replace("\x85", " ")


def pieces_of(processor: SentencePieceProcessor) -> list[str]:
    """The pieces of a SentencePiece model in the order of their ids."""
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


def text_names(preparation: Preparation) -> list[str]:
    return [f"{split}.{lang}" for split in preparation.splits for lang in preparation.langs]


def reference_names(preparation: Preparation) -> list[str]:
    return [f"{split}.ref.{preparation.target_lang}" for split in preparation.held_out]


def fairseq_names(preparation: Preparation) -> list[str]:
    pair = "-".join(preparation.langs)
    return [f"dict.{lang}.txt" for lang in preparation.langs] + [
        f"{split}.{pair}.{lang}.{extension}"
        for split in preparation.splits
        for lang in preparation.langs
        for extension in ("bin", "idx")
    ]


def recorded_options(preparation: Preparation) -> dict[str, Any]:
    """The options that the files depend on, apart from the text."""
    no_matter = {"train", "valid", "test", "destdir", "workers"}
    return {
        field.name: getattr(preparation, field.name)
        for field in fields(preparation)
        if field.name not in no_matter
    }


def provenance() -> dict[str, Any]:
    """What made the files."""
    return {
        "versions": {
            "sentencepiece": metadata.version("sentencepiece"),
            "sacremoses": metadata.version("sacremoses"),
            "fairseq": fairseq.__version__,
        },
        "sentencepiece_trained_on": "train",
    }


def option(name: str) -> str:
    """The command-line option of a field of Preparation."""
    return f"--{name.replace('_', '-')}"
