"""Questions made up for tests, as TyDiQA, XQuAD and folders of own data have them."""

import json
from pathlib import Path
from typing import Any

from intra_distill.tools.corpora.squad import Answer, SquadQuestion, write_squad
from intra_distill.tools.corpora.tydiqa import LANGUAGES

from .archives import tgz

PASSAGES = {
    "ar": "تقع برلين في ألمانيا، وتأسست سنة 1237 على نهر شبريه.",
    "de": "Berlin  liegt in Deutschland; es wurde 1237 an der Spree gegru\u0308ndet.",
    "en": "Berlin is in Germany, and was founded in 1237 on the river Spree.",
    "zh": "柏林位于德国，建于1237年，在施普雷河畔。",
}
WHERE = {"ar": "ألمانيا", "de": "Deutschland", "en": "Germany", "zh": "德国"}


def ask(
    name: str, passage: str, *answers: str | Answer, text: str = "Where?", title: str = ""
) -> SquadQuestion:
    """A question; an answer is at its first place in the passage unless it says another."""
    found = [
        answer if isinstance(answer, Answer) else Answer(answer, passage.index(answer))
        for answer in answers
    ]
    return SquadQuestion(title, passage, name, text, tuple(found))


def berlin(lang: str, name: str, title: str = "Berlin") -> list[SquadQuestion]:
    """Two questions on a passage in Arabic, German, English or Chinese."""
    passage = PASSAGES[lang]
    return [
        ask(f"{name}-0", passage, WHERE[lang], text="Where is Berlin?", title=title),
        ask(f"{name}-1", passage, "1237", text="When was Berlin founded?", title=title),
    ]


def write_questions_folder(folder: Path, numbers: int = 1) -> Path:
    """Write a folder of raw questions with the test sets ar, en and zh, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test-ar", "test-en", "test-zh"):
        lang = split[5:] if split.startswith("test-") else "en"
        asked = [each for n in range(numbers) for each in berlin(lang, f"{split}-{n}")]
        write_squad(folder / f"{split}.json", asked)
    return folder


def tydiqa_files() -> dict[str, list[SquadQuestion]]:
    """The questions of the training file, and of the file of each language in the archive."""
    train = [
        each for n, lang in enumerate(LANGUAGES.values()) for each in berlin("en", f"{lang}-{n}")
    ]
    dev = {
        f"tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-{name}.json": berlin(
            lang if lang in PASSAGES else "en", f"{name}--9"
        )
        for lang, name in LANGUAGES.items()
    }
    return {"tydiqa-goldp-v1.1-train.json": train, **dev}


def write_tydiqa(folder: Path) -> Path:
    """Write TyDiQA's training file, and the unpacked ones of the development set."""
    for name, questions in tydiqa_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_squad(folder / name, questions)
    return folder


def pack_dev(folder: Path) -> Path:
    """Replace the unpacked development set by its archive, which is returned."""
    unpacked = folder / "tydiqa-goldp-v1.1-dev"
    members = {f"{unpacked.name}/{path.name}": path.read_bytes() for path in unpacked.iterdir()}
    for path in unpacked.iterdir():
        path.unlink()
    unpacked.rmdir()
    archive = folder / f"{unpacked.name}.tgz"
    archive.write_bytes(tgz(members))
    return archive


def write_xquad(folder: Path, languages: list[str], articles: int = 6) -> Path:
    """Write XQuAD in these languages: the same questions on the same articles."""
    folder.mkdir(parents=True, exist_ok=True)
    for lang in languages:
        asked = [each for n in range(articles) for each in berlin(lang, f"q{n}", f"Article {n}")]
        write_squad(folder / f"xquad.{lang}.json", asked)
    return folder


def squad_json(**changes: Any) -> dict[str, Any]:
    """The content of a file of one question, with other members of the question."""
    entry = {"id": "7", "question": "Where?", "answers": [{"text": "here", "answer_start": 3}]}
    paragraph = {"context": "is here", "qas": [{**entry, **changes}]}
    return {"data": [{"title": "A", "paragraphs": [paragraph]}]}


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
