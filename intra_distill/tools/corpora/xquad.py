"""The same questions in eleven languages: XQuAD (Artetxe et al., 2020), split by article.

XQuAD is a part of SQuAD's development set and its translations, with a test set only. Where its
English is trained on, a question in any language is a test question only if nothing of its article
is in the training or the validation set.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...files import sha256
from .download import Remote, is_url
from .sources import fetch_from, find_in_folder
from .squad import SquadQuestion, read_squad, write_squad
from .transfer import TEST, TRAIN, VALID, file_names

BASE = "https://raw.githubusercontent.com/google-deepmind/xquad/master/"


def xquad_remote(lang: str, size: int, sha256: str) -> Remote:
    return Remote(f"{BASE}xquad.{lang}.json", size, sha256)


REMOTES = {
    "ar": xquad_remote(
        "ar", 1_582_988, "abdabd7afed5c635d99cca0f3f0d0c9d9ed0bc77451e963c2e4e0638c29e486d"
    ),
    "de": xquad_remote(
        "de", 669_810, "990b5d746746ed65ed4702ea5f35f99ffa4e2f1c390c07d003642acd937916f9"
    ),
    "el": xquad_remote(
        "el", 1_918_889, "821cf0f88e73fa258fd2f548b19b6ec39f7025059e16f6f9fc8cd797c9c3663e"
    ),
    "en": xquad_remote(
        "en", 609_383, "e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29"
    ),
    "es": xquad_remote(
        "es", 684_322, "dcbae93ec3a9f4b9e78fd834a171d6f96c1a875e10e15b7530b7e4ef4971e37e"
    ),
    "hi": xquad_remote(
        "hi", 1_680_538, "df2cce3532b37e9beb8979704b5c9a4bf874358f105395a298b89427b43b9d24"
    ),
    "ru": xquad_remote(
        "ru", 1_896_368, "208d5b1aa154c52b1b5c5eda16281e455e8fd198cdb9af3f469f0d6037d973bf"
    ),
    "th": xquad_remote(
        "th", 1_809_143, "5cdda11d0e1e075f7872abf4e6ae830388ce7f617964d542308e9ae4257e0f43"
    ),
    "tr": xquad_remote(
        "tr", 729_506, "92179a564774b7696100d144c1e10870d0a966b6fccbdd254a65b9d2ab1971cc"
    ),
    "vi": xquad_remote(
        "vi", 911_401, "f619a1eb11fb42d3ab0834259e488a65f585447ef6154437bfb7199d85161a04"
    ),
    "zh": xquad_remote(
        "zh", 808_652, "691d0b3359bc6b8faa8de931dfdfe21d50a65861ae348e32a0d1a0190b0c8835"
    ),
}
ENGLISH = "en"
TRAIN_ARTICLES, VALID_ARTICLES = 32, 4  # of 48


def check_languages(languages: Sequence[str]) -> None:
    """Raise UserError for a language that XQuAD does not have."""
    for lang in languages:
        if lang not in REMOTES:
            raise UserError(f"--languages: XQuAD has {', '.join(REMOTES)}, but no {lang}")


def write_xquad(
    source: str | None,
    downloads: Path,
    languages: Sequence[str],
    folder: Path,
    train_articles: int,
    valid_articles: int,
) -> dict[str, Any]:
    """Write the files of all splits into ``folder``, and return what the report says of them.

    Prints the number of questions of each split.

    Args:
        source: a folder, or a URL below which the files are; None to fetch them to ``downloads``.
        languages: of the test sets; the other two sets are English.
        train_articles: how many there are, from the first of the English file on.
        valid_articles: how many follow; the test sets have the others.

    Raises:
        UserError: the source lacks a file, or one cannot be fetched or read, or no article is left
            for the tests, or a language has other articles than English.
    """
    paths = {lang: find_language(lang, source, downloads) for lang in sorted({ENGLISH, *languages})}
    questions = {lang: read_squad(path) for lang, path in paths.items()}
    titles = list_articles(questions[ENGLISH])
    for lang, path in paths.items():
        if set(list_articles(questions[lang])) != set(titles):
            raise UserError(f"{path} has other articles than {paths[ENGLISH]}")
    known = train_articles + valid_articles
    if known >= len(titles):
        raise UserError(
            f"--train-articles {train_articles} and --valid-articles {valid_articles} leave none "
            f"of the {len(titles)} articles for the tests"
        )
    splits = {
        TRAIN: select(questions[ENGLISH], titles[:train_articles]),
        VALID: select(questions[ENGLISH], titles[train_articles:known]),
        **{TEST + lang: select(questions[lang], titles[known:]) for lang in languages},
    }
    for split, name in file_names(languages, "json").items():
        chosen = splits[split]
        write_squad(folder / name, chosen)
        print(f"{split}: {len(chosen):,} questions")
    return {
        "questions": {split: len(chosen) for split, chosen in splits.items()},
        "files": {
            path.name: {"from": str(path), "sha256": sha256(path)} for path in paths.values()
        },
    }


def find_language(lang: str, source: str | None, downloads: Path) -> Path:
    """The file of a language, in a folder or fetched."""
    remote = REMOTES[lang]
    if source is None or is_url(source):
        return fetch_from(source, remote, downloads)
    return find_in_folder(source, [remote.name], remote)


def list_articles(questions: list[SquadQuestion]) -> list[str]:
    """The titles of the articles, in the order of the file."""
    return list(dict.fromkeys(question.title for question in questions))


def select(questions: list[SquadQuestion], titles: list[str]) -> list[SquadQuestion]:
    wanted = set(titles)
    return [question for question in questions if question.title in wanted]
