"""Made-up sentences with tagged words in a few languages, in WikiAnn's layouts and as raw text."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from .archives import tgz, zipped

Tagged = list[tuple[str, str]]  # the words of a sentence, with their tags

# entities side by side, of one type and of two; none; an I- that no B- begins
ENGLISH: list[Tagged] = [
    [("Angela", "B-PER"), ("Merkel", "I-PER"), ("lives", "O"), ("in", "O"), ("Berlin", "B-LOC")],
    [("Berlin", "B-LOC"), ("Denver", "B-LOC"), ("United", "B-ORG"), ("Nations", "I-ORG")],
    [("and", "O"), ("for", "O"), ("the", "O"), (".", "O")],
    [("the", "O"), ("Merkel", "I-PER"), ("works", "O"), ("Denver", "I-LOC")],
]
SENTENCES: dict[str, list[Tagged]] = {
    "en": ENGLISH,
    "de": [
        [("Die", "O"), ("Stadt", "O"), ("Berlin", "B-LOC"), ("liegt", "O"), ("in", "O")],
        [("''", "O"), ("12:30", "O"), (":", "O"), ("", "O"), ("Müller", "B-PER")],
    ],
    "ar": [[("القاهرة", "B-LOC"), ("(", "I-LOC"), ("(", "O")], [("\u200b", "O"), ("2", "B-ORG")]],
    "zh": [[("東", "B-LOC"), ("京", "I-LOC"), ("都", "I-LOC"), ("\ufeff", "O"), ("1\u3000", "O")]],
}
LANGUAGES = ("de", "ar", "en")
SIZES = {"train": 4, "dev": 3, "test": 2}  # of the published splits


def published_split(language: str, split: str) -> list[Tagged]:
    """The sentences of a published split: the same ones, from another on in each."""
    sentences = SENTENCES[language]
    first = list(SIZES).index(split)
    return [sentences[(first + i) % len(sentences)] for i in range(SIZES[split])]


def to_text(sentences: Iterable[Tagged], prefix: str = "", tags: bool = True) -> str:
    lines = []
    for sentence in sentences:
        lines += [f"{prefix}{word}\t{tag}" if tags else f"{prefix}{word}" for word, tag in sentence]
        lines.append("")
    return "".join(f"{line}\n" for line in lines)


def published(language: str) -> dict[str, bytes]:
    """The members of a language's archive."""
    return {
        split: to_text(published_split(language, split), f"{language}:").encode() for split in SIZES
    }


def language_archive(language: str) -> bytes:
    return tgz(published(language))


def panx_zip(languages: Iterable[str] = SENTENCES) -> bytes:
    """The published archive of all languages."""
    archives = {f"panx_dataset/{lang}.tar.gz": language_archive(lang) for lang in languages}
    return zipped({"panx_dataset/": b"", **archives})


def write_processed(folder: Path, tags_of_tests: bool = False) -> Path:
    """Write the files that XTREME's script makes, where test sets lose their tags."""
    folder.mkdir(parents=True, exist_ok=True)
    for language in SENTENCES:
        for split in SIZES:
            tagged = split != "test" or tags_of_tests
            text = to_text(published_split(language, split), tags=tagged)
            (folder / f"{split}-{language}.tsv").write_text(text, encoding="utf-8")
    return folder


def raw_splits(
    languages: Iterable[str] = LANGUAGES, tests: str = "test"
) -> dict[str, list[Tagged]]:
    """What raw text is to hold."""
    return {
        "train": published_split("en", "train"),
        "valid": published_split("en", "dev"),
        **{f"test-{language}": published_split(language, tests) for language in languages},
    }


def write_raw(folder: Path, splits: Mapping[str, list[Tagged]] | None = None) -> Path:
    """Write raw text as ``intra-distill panx`` does, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, sentences in (raw_splits() if splits is None else splits).items():
        (folder / f"{split}.tsv").write_text(to_text(sentences), encoding="utf-8")
    return folder
