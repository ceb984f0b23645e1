"""fetch the text of WMT'17 English-German without Rapid, 4.5 million pairs

The text becomes

- ``train.LANG``: Europarl v7, Common Crawl and News Commentary v12, concatenated;
- ``test.LANG``: newstest2014, from sacreBLEU's wmt14/full;
- ``raw.json``: what they were made from, and the lines of each corpus.

It is cased and not tokenised, one sentence a line, without NUL and byte order marks. No pair is
dropped here: ``intra-distill prepare`` filters. The memory needed does not depend on the size of
the corpora.
"""

import argparse

from ..tools.corpora import raw_text
from ..tools.corpora.wmt17 import CORPORA, LANGS, write_wmt17
from ..tools.directory import outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    archives = ", ".join(corpus.remote.name for corpus in CORPORA.values())
    raw_text.add_arguments(
        parser,
        "FOLDER|URL",
        f"a folder or URL that holds {archives}, or a folder of the files unpacked from them "
        "(default: fetched from statmt.org)",
    )


def main(args: argparse.Namespace) -> None:
    source, downloads = raw_text.source_and_downloads(args)
    made = raw_text.make_raw_text(
        args.destdir,
        names=raw_text.parallel_files(LANGS),
        request={"command": "wmt17", "source": source},
        write=lambda folder: write_wmt17(source, downloads, folder),
    )
    print(outcome(args.destdir, made))
