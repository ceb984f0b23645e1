"""fetch the questions of TyDiQA-GoldP, in nine languages

The data of version 1.1 (Apache-2.0) become files in the JSON of SQuAD v1.1:

- ``train.json``: the 3,696 English questions of the training set;
- ``valid.json``: the English questions of the development set;
- ``test-LANG.json``: the 5,077 questions of the development set in Arabic (ar), Bengali (bn),
  English (en), Finnish (fi), Indonesian (id), Korean (ko), Russian (ru), Swahili (sw) and Telugu
  (te), which XTREME tests on: the test set is not public;
- ``raw.json``: what they were made from.

test-en and valid are the same questions: select no checkpoint on valid when you report test-en.
``intra-distill prepare-spans`` makes a data directory of them.
"""

import argparse

from ..tools.corpora import raw_text
from ..tools.corpora.tydiqa import BASE, DEV_ARCHIVE, FILE_NAMES, TRAIN_FILE, write_tydiqa
from ..tools.directory import outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    raw_text.add_arguments(
        parser,
        "FOLDER|URL",
        f"a folder that holds {TRAIN_FILE.name} and {DEV_ARCHIVE.name} or the files unpacked "
        f"from it; or a URL below which both are (default: {BASE})",
    )


def main(args: argparse.Namespace) -> None:
    source, downloads = raw_text.source_and_downloads(args)
    made = raw_text.make_raw_text(
        args.destdir,
        names=FILE_NAMES.values(),
        request={"command": "tydiqa", "source": source},
        write=lambda folder: write_tydiqa(source, downloads, folder),
    )
    print(outcome(args.destdir, made))
