"""fetch the text of an IWSLT'14 pair and strip it of its markup

The pair's archive of the 2014-01 release (TED and TEDx talks, CC BY-NC-ND) becomes

- ``train.LANG``: the training text, with the talks' titles and descriptions, as in fairseq's
  prepare-iwslt14.sh: 174,443 pairs of German-English;
- ``test.LANG``: dev2010, dev2012 (TEDx) and tst2010 to tst2012, concatenated, as far as the pair
  has them: 6,750 pairs of German-English;
- ``raw.json``: what they were made from, and the lines read, dropped and kept of each file.

The text is cased and not tokenised, one sentence a line. No pair is dropped here, not even one with
an empty side: ``intra-distill prepare`` filters. Character entities are replaced once. In the test
sets a right single quotation mark becomes an apostrophe, as in that script. Talks that are in
another order on one side are paired by their identifiers.
"""

import argparse

from ..tools.corpora import raw_text
from ..tools.corpora.iwslt14 import INNER, PAIRS, RELEASE, write_iwslt14
from ..tools.directory import outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pair", required=True, choices=PAIRS, help="language pair")
    raw_text.add_arguments(
        parser,
        "ARCHIVE|FOLDER|URL",
        f"{RELEASE} or the pair's own archive in it; a folder that holds one of them or the "
        "unpacked files; the URL of such an archive; or a URL with '/' at its end, below which "
        f"there is {INNER.format(lang='LANG')} (default: for de-en the copy that fairseq uses; "
        "the other pairs can only be downloaded with a browser)",
    )


def main(args: argparse.Namespace) -> None:
    source, downloads = raw_text.source_and_downloads(args)
    made = raw_text.make_raw_text(
        args.destdir,
        names=raw_text.parallel_files(args.pair.split("-")),
        request={"command": "iwslt14", "pair": args.pair, "source": source},
        write=lambda folder: write_iwslt14(args.pair, source, downloads, folder),
    )
    print(outcome(args.destdir, made))
