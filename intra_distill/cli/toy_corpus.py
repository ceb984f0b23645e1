"""write a small made-up German-English parallel corpus to try things out on

The sentences come from a hand-written grammar: real words, inflected and ordered by the rules of
both languages. They are correct, if not always sensible. What there is to learn in them:

- German articles, adjectives and nouns inflect for gender, case and number, verbs for person;
- the German verb stands second, at the end (subordinate and relative clauses), or is split over
  both places (perfect, separable prefixes), where English has one place for it;
- the English of some words depends on the rest of the sentence: ``Schloss`` (castle, lock),
  ``tragen`` (wear, carry), ``sie`` (she, they, it), a present tense that is a future beside
  ``morgen``;
- new compounds and surnames.

German varies (synonyms, word order). The English is a function of the German, so that BLEU
against one reference is meaningful.
"""

import argparse
from pathlib import Path

from ..tools.corpora.toy.grammar import toy_corpus, write_corpus


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
