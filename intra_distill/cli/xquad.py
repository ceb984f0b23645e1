"""fetch the questions of XQuAD, in eleven languages, and split them by article

XQuAD (CC BY-SA 4.0) has 1,190 questions on 48 articles, the same in each language: Arabic (ar),
German (de), Greek (el), English (en), Spanish (es), Hindi (hi), Russian (ru), Thai (th), Turkish
(tr), Vietnamese (vi) and Chinese (zh). They become files in the JSON of SQuAD v1.1:

- ``train.json``, ``valid.json``: English questions on the first articles, and on those that follow;
- ``test-LANG.json``: the questions on all other articles, in each language;
- ``raw.json``: what they were made from.

So no test question, in any language, is on an article of the other sets. As published, XQuAD is a
test set for models that are trained on SQuAD: results on this split are comparable to none of it.
``intra-distill prepare-spans`` makes a data directory of them.
"""

import argparse

from ..tools.corpora import raw_text, xquad
from ..tools.corpora.transfer import file_names
from ..tools.directory import outcome
from ..tools.options import check_number, names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    raw_text.add_arguments(
        parser,
        "FOLDER|URL",
        "a folder that holds xquad.LANG.json of the languages and of English, or a URL below which "
        f"they are (default: {xquad.BASE})",
    )
    parser.add_argument(
        "--languages",
        type=names,
        default=list(xquad.REMOTES),
        metavar="LANG,...",
        help="those of the test sets (default: all)",
    )
    parser.add_argument(
        "--train-articles",
        type=int,
        default=xquad.TRAIN_ARTICLES,
        metavar="N",
        help="train on the first N articles (default: %(default)s)",
    )
    parser.add_argument(
        "--valid-articles",
        type=int,
        default=xquad.VALID_ARTICLES,
        metavar="N",
        help="validate on the N articles after them (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> None:
    languages = list(dict.fromkeys(args.languages))
    xquad.check_languages(languages)
    articles = {"train_articles": args.train_articles, "valid_articles": args.valid_articles}
    for option, number in articles.items():
        check_number(f"--{option.replace('_', '-')}", number, 1)
    source, downloads = raw_text.source_and_downloads(args)
    made = raw_text.make_raw_text(
        args.destdir,
        names=file_names(languages, "json").values(),
        request={
            "command": "xquad",
            "source": source,
            "languages": ",".join(sorted(languages)),
            **articles,
        },
        write=lambda folder: xquad.write_xquad(source, downloads, languages, folder, **articles),
    )
    print(outcome(args.destdir, made))
