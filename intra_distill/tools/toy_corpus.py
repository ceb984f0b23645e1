"""write a small made-up German-English parallel corpus to try things out on

The sentences come from a hand-written grammar: real words, inflected and ordered by the rules of
both languages, drawn with long-tailed frequencies. They are correct, if not always sensible. What
there is to learn in them:

- German articles, adjectives and nouns inflect for gender, case and number, verbs for person;
- the German verb stands second, at the end (subordinate and relative clauses), or is split over
  both places (perfect, modals, separable prefixes), where English has one place for it;
- words whose English hangs on the rest of the sentence: ``Schloss`` (castle, lock), ``tragen``
  (wear, carry), ``sie`` (she, they, it), a present tense that is a future beside ``morgen``;
- numbers with the units first, ``halb drei`` (half past two), dates, names, new compounds,
  ``kein`` and ``nicht``.

German varies (synonyms, word order); the English is a function of the German, so that BLEU
against the one reference means something.
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from . import UserError
from .files import read_lines, write_lines
from .toy_grammar import Grammar
from .toy_lexicon import Pair

MAX_PAIRS = 100_000  # of all splits together: up to here new sentences come quickly
MIN_WORDS, MAX_WORDS = 4, 25  # of a sentence, in either language


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill toy-corpus``."""
    parser.add_argument(
        "--destdir", type=Path, required=True, metavar="DIR", help="directory to write to"
    )
    for split, size in (("train", 5000), ("valid", 300), ("test", 500)):
        parser.add_argument(
            f"--{split}",
            type=int,
            default=size,
            metavar="N",
            help=f"sentence pairs of {split}.de and {split}.en (default: %(default)s)",
        )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="random seed (default: %(default)s)"
    )


def main(args: argparse.Namespace) -> None:
    corpus = toy_corpus(args.train, args.valid, args.test, args.seed)
    write_corpus(corpus, args.destdir)
    for split, drawn in corpus.items():
        print(f"{args.destdir / split}.de and .en: {len(drawn)} sentence pairs")


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
