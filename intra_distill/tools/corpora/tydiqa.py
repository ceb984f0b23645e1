"""Questions in nine languages: the gold passages of TyDi QA (Clark et al., 2020), version 1.1."""

from pathlib import Path
from typing import Any

from ...errors import UserError
from ...files import sha256
from .archive import unpack
from .download import Remote, is_url
from .sources import fetch_from, find_in_folder
from .squad import SquadQuestion, read_squad, write_squad
from .transfer import TEST, TRAIN, VALID, file_names

BASE = "https://storage.googleapis.com/tydiqa/v1.1/"
TRAIN_FILE = Remote(
    f"{BASE}tydiqa-goldp-v1.1-train.json",
    size=58_004_076,
    sha256="cefc8e09ff2548d9b10a678d3a6bbbe5bc036be543f92418819ea676c97be23b",
)
DEV_ARCHIVE = Remote(
    f"{BASE}tydiqa-goldp-v1.1-dev.tgz",
    size=1_725_055,
    sha256="5a415d019a345794c8a83191ecfe4a761eaab69dab79c3c9813d4379e1cc5519",
)
FOLDER = "tydiqa-goldp-v1.1-dev"  # in the archive
LANGUAGES = {
    "ar": "arabic",
    "bn": "bengali",
    "en": "english",
    "fi": "finnish",
    "id": "indonesian",
    "ko": "korean",
    "ru": "russian",
    "sw": "swahili",
    "te": "telugu",
}  # the second name begins the ids of questions
ENGLISH = "en"
FILE_NAMES = file_names(LANGUAGES, "json")


def write_tydiqa(source: str | None, downloads: Path, folder: Path) -> dict[str, Any]:
    """Write the files :data:`FILE_NAMES` into ``folder``, and return what the report says of them.

    Prints the number of questions of each split. The development set has the test questions, as in
    XTREME, since the test set is not public.

    Args:
        source: a folder, or a URL below which the files are; None to fetch them to ``downloads``.

    Raises:
        UserError: the source lacks a file, or one cannot be fetched or read, or has questions of
            another language.
    """
    if source is None or is_url(source):
        train, dev = (fetch_from(source, remote, downloads) for remote in (TRAIN_FILE, DEV_ARCHIVE))
    else:
        train, dev = find_train(source), find_dev(source)
    splits = {TRAIN: of_language(ENGLISH, read_squad(train))}
    if not splits[TRAIN]:
        raise UserError(f"{train} has no English questions: their ids begin with english-")
    for lang, questions in read_dev(dev, folder).items():
        splits[TEST + lang] = questions
    splits[VALID] = splits[TEST + ENGLISH]
    for split, name in FILE_NAMES.items():
        questions = splits[split]
        write_squad(folder / name, questions)
        print(f"{split}: {len(questions):,} questions")
    return {
        "questions": {split: len(splits[split]) for split in FILE_NAMES},
        "files": {
            path.name: {"from": str(path), "sha256": sha256(path)}
            for path in (train, dev)
            if path.is_file()
        },
    }


def of_language(lang: str, questions: list[SquadQuestion]) -> list[SquadQuestion]:
    return [each for each in questions if each.id.startswith(f"{LANGUAGES[lang]}-")]


def find_train(source: str) -> Path:
    """The training file in a folder: of all languages, or XTREME's of English."""
    english = "tydiqa.en.train.json"
    names = [TRAIN_FILE.name, f"{Path(TRAIN_FILE.name).stem}/{english}", english]
    return find_in_folder(source, names, TRAIN_FILE)


def find_dev(source: str) -> Path:
    """The archive of the development set in a folder, or the folder of its files."""
    for files in (Path(source, FOLDER), Path(source)):
        if any((files / name).is_file() for name in spellings(ENGLISH)):
            return files
    return find_in_folder(source, [DEV_ARCHIVE.name], DEV_ARCHIVE)


def read_dev(dev: Path, folder: Path) -> dict[str, list[SquadQuestion]]:
    """Read the file of each language in a folder, or in an archive, unpacked in ``folder``."""
    if dev.is_dir():
        return {lang: read_language(lang, dev) for lang in LANGUAGES}
    names = [name for lang in LANGUAGES for name in spellings(lang)]
    unpack(dev, {*names, *(f"{FOLDER}/{name}" for name in names)}, folder / FOLDER)
    try:
        return read_dev(folder / FOLDER, folder)
    except UserError as error:
        raise UserError(f"in {dev}: {error}") from error


def read_language(lang: str, folder: Path) -> list[SquadQuestion]:
    """Read the development file of a language, whose questions must be of it."""
    paths = [folder / name for name in spellings(lang) if (folder / name).is_file()]
    if not paths:
        raise UserError(f"{folder} holds no {' or '.join(spellings(lang))}")
    questions = read_squad(paths[0])
    if len(of_language(lang, questions)) < len(questions):
        raise UserError(f"{paths[0]} has questions whose ids do not begin with {LANGUAGES[lang]}-")
    return questions


def spellings(lang: str) -> list[str]:
    """The names that the development file of a language has: its own and XTREME's."""
    return [f"tydiqa-goldp-dev-{LANGUAGES[lang]}.json", f"tydiqa.{lang}.dev.json"]
