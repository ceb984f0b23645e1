"""Further test sets for a data directory that is finished, whose other files stay as they are.

::

    DIR/testN.{src.SOURCE,ref.TARGET}, DIR/testN.SOURCE-TARGET.LANG.{bin,idx}
                              as ``prepare`` makes them
    DIR/prepare.testN.json    written last: it marks the set as finished
    DIR/.add-test/            the files of the set that is being made
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from fairseq.data import Dictionary

from ...errors import UserError
from ...files import read_json, wait_for_lock, write_json
from ..directory import MALFORMED, Content
from ..prepared import PreparedData, open_prepared, read_inputs
from ..scoring.ceiling import Ceiling
from ..scoring.metrics import tokenizer_advice
from .pieces import read_sentencepiece
from .request import check_split, check_unchanged, usable_cores
from .splits import (
    Encoder,
    binary_files,
    describe_long_pairs,
    describe_unknown,
    find_ceiling,
    find_long_pairs,
    raw_files,
    versions,
    write_plain_text,
    write_text,
)

SCRATCH = ".add-test"


def add_test_sets(data: Path, prefixes: Sequence[str]) -> None:
    """Make the raw texts PREFIX.LANG the next test sets of a data directory.

    Prints which test set each has become or is already, and what is to know of it. A set that was
    left unfinished is replaced.

    Raises:
        UserError: the directory is not prepared or cannot be written to, or a text is wrong; then
            all test sets before that one are finished, and nothing is there of the others.
    """
    prepared = open_prepared(data)
    langs = prepared.text_format.langs
    if advice := tokenizer_advice(prepared.text_format.target_lang):
        print(advice)
    pairs = {prefix: check_split("test", prefix, langs) for prefix in prefixes}
    for prefix, inputs in pairs.items():
        with only_one_in(data):
            shutil.rmtree(data / SCRATCH, ignore_errors=True)  # of a run that was killed
            sets = find_test_sets(prepared)
            texts = [inputs[f"test.{lang}"]["sha256"] for lang in langs]
            if same := next((name for name, other in sets.items() if other == texts), None):
                print(f"{raw_files(prefix, langs)} are {same} already: nothing to do")
                continue
            name = next(f"test{k}" for k in count(1) if f"test{k}" not in sets)
            add_test_set(prepared, name, prefix, inputs)


def find_test_sets(prepared: PreparedData) -> dict[str, list[str]]:
    """The SHA-256 of the two sides of the raw text of all finished test sets, by their names."""
    inputs = dict(prepared.inputs)
    for path in sorted(prepared.path.glob(report_name("*"))):
        try:
            inputs |= read_inputs(read_json(path))
        except MALFORMED as error:
            raise UserError(f"{path} is not what intra-distill add-test wrote") from error
    names = {name.partition(".")[0] for name in inputs}
    return {
        name: [inputs.get(f"{name}.{lang}") for lang in prepared.text_format.langs]
        for name in sorted(names - {"train", "valid"})
    }


def add_test_set(prepared: PreparedData, name: str, prefix: str, inputs: Content) -> None:
    """Make the files of one test set, and print what is to know of it."""
    data, text_format = prepared.path, prepared.text_format
    scratch = data / SCRATCH
    # in this order: without references, evaluate sees no test set
    files = [*binary_files(text_format, name), *text_format.text(name), report_name(name)]
    try:
        scratch.mkdir()
        report = write_test_set(prepared, scratch, name, prefix, inputs)
        write_json(scratch / report_name(name), report)
        for file in reversed(files):  # of a set that was left unfinished
            (data / file).unlink(missing_ok=True)
        for file in files:
            os.replace(scratch / file, data / file)
    except OSError as error:
        raise UserError(f"cannot write to {data}: {error.strerror}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    describe(prepared, name, prefix, report)


def write_test_set(
    prepared: PreparedData, scratch: Path, name: str, prefix: str, inputs: Content
) -> Content:
    """Write the files of a test set into an empty folder, and return the report on it."""
    data, text_format = prepared.path, prepared.text_format
    dictionary = Dictionary.load(str(data / f"dict.{text_format.target_lang}.txt"))
    encoder = Encoder(text_format, read_sentencepiece(data), dictionary, usable_cores())
    lines = inputs[f"test.{text_format.source_lang}"]["lines"]
    write_text(text_format, prefix, scratch, name)
    check_unchanged(inputs)
    write_plain_text(text_format, scratch, scratch, name)
    unknown = encoder.write_binaries(scratch, scratch, name, lines)
    return {
        "inputs": {f"{name}.{lang}": inputs[f"test.{lang}"] for lang in text_format.langs},
        "unknown": unknown,
        "too_long": find_long_pairs(text_format, scratch, name),
        "ceiling": find_ceiling(text_format, dictionary, scratch, name),
        "versions": versions(),
    }


def describe(prepared: PreparedData, name: str, prefix: str, report: Content) -> None:
    """Print what the pieces do to a test set, and its name."""
    langs = prepared.text_format.langs
    files = raw_files(prefix, langs)
    if unknown := describe_unknown(report["unknown"]):
        print(unknown)
    if long := report["too_long"]:
        print(describe_long_pairs(prepared.text_format, name, files, long))
    if ceiling := report["ceiling"]:
        print(f"{name}: {Ceiling(**ceiling)}")
    print(f"{files} are {name} of {prepared.path}")


def report_name(test_set: str) -> str:
    """The name of a set's report: not testN.json, which is a result of ``evaluate``."""
    return f"prepare.{test_set}.json"


@contextmanager
def only_one_in(folder: Path) -> Iterator[None]:
    """Have other processes wait that add to the same folder, where its file system has locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        wait_for_lock(descriptor)
        yield
    finally:
        os.close(descriptor)
