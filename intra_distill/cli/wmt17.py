"""fetch the text of WMT'17 English-German without Rapid, 4.5 million pairs

The text becomes

- ``train.LANG``: Europarl v7, Common Crawl and News Commentary v12, one after the other;
- ``test.LANG``: newstest2014, as sacreBLEU's wmt14/full has it;
- ``raw.json``: what they were made from, and the lines of each corpus.

One sentence a line, cased, not tokenised, without NUL and a byte order mark; no pair is dropped
here: ``intra-distill prepare`` filters. The memory needed does not depend on the size of the
corpora.
"""

import argparse

from ..tools.corpora import raw_text
from ..tools.corpora.wmt17 import CORPORA, write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill wmt17``."""
    archives = ", ".join(corpus.remote.name for corpus in CORPORA.values())
    raw_text.add_arguments(
        parser,
        "FOLDER|URL",
        f"a folder or URL that holds {archives}, or a folder of the files unpacked from them "
        "(default: fetched from statmt.org)",
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    source, downloads = raw_text.source_and_downloads(args)
    raw_text.make_raw_text(
        args.destdir,
        {"command": "wmt17", "source": source},
        lambda folder: write_text(source, downloads, folder),
    )
