"""Questions in nine languages: the gold passages of TyDi QA (Clark et al., 2020), version 1.1."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...files import sha256
from .archive import unpack
from .download import Remote, fetch, is_url
from .squad import SquadQuestion, read_squad, write_squad

BASE = "https://storage.googleapis.com/tydiqa/v1.1/"
TRAIN = Remote(
    f"{BASE}tydiqa-goldp-v1.1-train.json",
    size=58_004_076,
    sha256="cefc8e09ff2548d9b10a678d3a6bbbe5bc036be543f92418819ea676c97be23b",
)
DEV = Remote(
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
NAMES = ["train.json", "valid.json", *(f"test-{lang}.json" for lang in LANGUAGES)]


def write_tydiqa(source: str | None, downloads: Path, folder: Path) -> dict[str, Any]:
    """Write the files :data:`NAMES` into ``folder``, and return what the report says of them.

    The development set has the test questions, as in XTREME, since the test set is not public.
    Prints the number of questions of each file.

    Raises:
        UserError: the source lacks a file, or one cannot be fetched or read, or has questions of
            another language.
    """
    if source is None or is_url(source):
        train, dev = (fetch_file(remote, source, downloads) for remote in (TRAIN, DEV))
    else:
        train, dev = find_train(Path(source)), find_dev(Path(source))
    splits = {"train": of_language("en", read_squad(train))}
    if not splits["train"]:
        raise UserError(f"{train} has no English questions: their ids begin with english-")
    for lang, path in find_languages(dev, folder).items():
        questions = read_squad(path)
        if len(of_language(lang, questions)) < len(questions):
            raise UserError(f"{path} has questions whose ids do not begin with {LANGUAGES[lang]}-")
        splits[f"test-{lang}"] = questions
    splits["valid"] = splits["test-en"]
    for split, questions in splits.items():
        write_squad(folder / f"{split}.json", questions)
        print(f"{split}: {len(questions):,} questions")
    return {
        "questions": {split: len(questions) for split, questions in splits.items()},
        "files": {
            path.name: {"from": str(path), "sha256": sha256(path)}
            for path in (train, dev)
            if path.is_file()
        },
    }


def of_language(lang: str, questions: list[SquadQuestion]) -> list[SquadQuestion]:
    return [each for each in questions if each.id.startswith(f"{LANGUAGES[lang]}-")]


def fetch_file(remote: Remote, source: str | None, downloads: Path) -> Path:
    if source is not None:
        remote = replace(remote, url=f"{source.rstrip('/')}/{remote.name}")
    return fetch(remote, downloads, f"put {remote.name} into a folder and give it as --source")


def find_train(source: Path) -> Path:
    """The training file in a folder: of all languages, or XTREME's of English."""
    names = (TRAIN.name, f"{Path(TRAIN.name).stem}/tydiqa.en.train.json", "tydiqa.en.train.json")
    return find_in_folder(source, names, TRAIN)


def find_dev(source: Path) -> Path:
    """The archive of the development set in a folder, or the folder of its files."""
    if (source / FOLDER).is_dir():
        return source / FOLDER
    if any((source / name).is_file() for name in spellings("en")):
        return source
    return find_in_folder(source, (DEV.name,), DEV)


def find_in_folder(source: Path, names: tuple[str, ...], remote: Remote) -> Path:
    if not source.is_dir():
        raise UserError(f"--source {source}: there is no such folder")
    for name in names:
        if (source / name).is_file():
            return source / name
    raise UserError(f"--source {source} holds no {' or '.join(names)}, which is at {remote.url}")


def find_languages(dev: Path, folder: Path) -> dict[str, Path]:
    """The file of each language, in a folder or in an archive, which is unpacked in ``folder``."""
    files = dev
    if not dev.is_dir():
        names = [name for lang in LANGUAGES for name in spellings(lang)]
        files = folder / "unpacked"
        unpack(dev, {*names, *(f"{FOLDER}/{name}" for name in names)}, files)
    found = {}
    for lang in LANGUAGES:
        paths = [files / name for name in spellings(lang) if (files / name).is_file()]
        if not paths:
            raise UserError(f"{dev} holds no {' or '.join(spellings(lang))}")
        found[lang] = paths[0]
    return found


def spellings(lang: str) -> list[str]:
    """The names that the development file of a language has: its own and XTREME's."""
    return [f"tydiqa-goldp-dev-{LANGUAGES[lang]}.json", f"tydiqa.{lang}.dev.json"]
