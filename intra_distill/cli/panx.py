"""fetch named entities of WikiAnn: English to train on, and many languages to test

The sentences, as XTREME divides them (PAN-X), become

- ``train.tsv``, ``valid.tsv``: the English training and development set, 20,000 and 10,000
  sentences;
- ``test-LANG.tsv``: the test set of each language;
- ``raw.json``: what they were made from, and of each file the sentences, words and entities.

A line is a word, a tab and its tag: O, or B- or I- and LOC, ORG or PER. An empty line comes after
each sentence. ``intra-distill prepare-tags`` makes a data directory of them.
"""

import argparse

from ..tools.corpora import raw_text
from ..tools.corpora.panx import LANGUAGES, PUBLISHED, TEST_SPLITS, write_panx
from ..tools.corpora.transfer import check_languages, file_names
from ..tools.directory import outcome
from ..tools.options import names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    raw_text.add_arguments(
        parser,
        "FOLDER|ARCHIVE|URL",
        f"{PUBLISHED.name}, a folder that holds it, or its URL; or a folder of the archives in it "
        "(LANG.tar.gz) or of the files that XTREME's script makes of them (train-en.tsv, "
        f"dev-LANG.tsv, test-LANG.tsv) (default: {PUBLISHED.url})",
    )
    parser.add_argument(
        "--languages",
        type=names,
        default=LANGUAGES,
        metavar="LANG,...",
        help=f"the languages to test (default: all {len(LANGUAGES)} of XTREME)",
    )
    parser.add_argument(
        "--test-split",
        choices=TEST_SPLITS,
        default=TEST_SPLITS[0],
        help="dev tests on the development sets, since XTREME's own files of the test sets have no "
        "tags (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> None:
    source, downloads = raw_text.source_and_downloads(args)
    languages = list(dict.fromkeys(args.languages))
    check_languages(languages)
    made = raw_text.make_raw_text(
        args.destdir,
        names=file_names(languages, "tsv").values(),
        request={
            "command": "panx",
            "source": source,
            "languages": ",".join(sorted(languages)),
            "test_split": args.test_split,
        },
        write=lambda folder: write_panx(source, downloads, languages, args.test_split, folder),
    )
    print(outcome(args.destdir, made))
