"""x"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ....errors import UserError
from ....files import read_lines, write_lines
from .grammar import Grammar
from .lexicon import Pair

MAX_PAIRS = 100_000  # of all splits together: up to here new sentences come quickly
MIN_WORDS, MAX_WORDS = 4, 25  # of a sentence, in either language


def toy_corpus(train: int, valid: int, test: int, seed: int) -> dict[str, list[Pair]]:
    """Draw the splits ``train``, ``valid`` and ``test``, of so many sentence pairs each.

    No sentence of either language occurs twice, within a split or between two. Training pairs are
    drawn last, so that with one seed training sets of any size have the same test set.

    Raises:
        UserError: a size is below 1, or all together are more than ``MAX_PAIRS``.
    """
    sizes = {"test": test, "valid": valid, "train": train}
    for split, size in sizes.items():
        if size < 1:
            raise UserError(f"--{split} {size}: ask for at least 1 sentence pair")
    total = sum(sizes.values())
    if total > MAX_PAIRS:
        raise UserError(
            f"--train, --valid and --test add up to {total} sentence pairs: "
            f"the grammar gives up to {MAX_PAIRS}, ask for fewer"
        )
    drawn = distinct_pairs(seed)
    return {split: list(islice(drawn, size)) for split, size in sizes.items()}


def distinct_pairs(seed: int) -> Iterator[Pair]:
    """Yield pairs of which no two have the same German or the same English."""
    grammar = Grammar(seed)
    german: set[str] = set()
    english: set[str] = set()
    while True:
        pair = grammar.pair()
        lengths = [len(text.split()) for text in pair]
        fits = MIN_WORDS <= min(lengths) and max(lengths) <= MAX_WORDS
        if fits and pair.de not in german and pair.en not in english:
            german.add(pair.de)
            english.add(pair.en)
            yield pair


def write_corpus(corpus: dict[str, list[Pair]], destdir: Path) -> None:
    """Write the files ``SPLIT.de`` and ``SPLIT.en``, a sentence a line.

    Raises:
        UserError: such a file is there with other content, or cannot be written; no file that was
            there is touched then.
    """
    files = {
        destdir / f"{split}.{language}": list(sentences)
        for split, drawn in corpus.items()
        for language, sentences in zip(Pair._fields, zip(*drawn))
    }
    for path, sentences in files.items():
        if path.exists() and list(read_lines(path)) != sentences:
            raise UserError(f"{path} has other content: remove it or choose another --destdir")
    try:
        destdir.mkdir(parents=True, exist_ok=True)
        for path, sentences in files.items():
            write_lines(path, sentences)
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}") from error
