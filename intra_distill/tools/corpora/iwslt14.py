"""Makes plain parallel text of the official IWSLT'14 archives, release 2014-01."""

import html
import re
import sys
from collections import Counter
from collections.abc import Callable
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError
from ...files import plain, read_lines, sha256, write_lines
from .archive import fingerprint, unpack
from .download import Remote, fetch, is_url, remove_fetched

PAIRS = [f"{lang}-en" for lang in ("ar", "de", "es", "fa", "he", "it", "nl", "pl")]
TEST_SETS = ["TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012"]
RELEASE = "2014-01.tgz"
INNER = "2014-01/texts/{lang}/en/{lang}-en.tgz"  # of the release, and on mirrors
GERMAN = Remote("http://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz", size=19_982_877)
BY_HAND = (
    f"get {RELEASE} (1.09 GB) with a browser from https://wit3.fbk.eu/2014-01, which leads to "
    "https://drive.google.com/uc?id=12HrS9S2DEvw746SosPojfgY5I6HXFVEA, and give the file as "
    f"--source {RELEASE}"
)

METADATA = re.compile(
    r"[\s\ufeff]*</?(?:(url|keywords|talkid|speaker|reviewer|translator)\b[^>]*>"
    r"|(doc|transcript)\b[^>]*>\s*$)"
)
KEPT_TAGS = re.compile(r"</?(?:title|description)>")
DOCUMENT_OR_SEGMENT = re.compile(r'<doc\b([^>]*)>|<seg id="(\d+)">(.*?)</seg>', re.DOTALL)
DOCUMENT_ID = re.compile(r"""\bdocid\s*=\s*["']?([^"'\s>]+)""")
TALK_ID = re.compile(r"<talkid>\s*([^<\s]+)\s*</talkid>")
ENTITY = re.compile(r"&(?:#\d+|#[xX][\da-fA-F]+|[a-zA-Z][a-zA-Z\d]*);")


class Sentence(NamedTuple):
    """A line of text, its talk and its number in the talk."""

    talk: str  # its identifier, or its number in the file if it has none
    number: int
    text: str


def write_iwslt14(pair: str, source: str | None, downloads: Path, folder: Path) -> dict[str, Any]:
    """Write the four files of text into ``folder``, and return what the report says of them.

    Prints the counts of each file.

    Raises:
        UserError: the source does not have the pair's files, a file cannot be read, or the two
            sides of a set have different numbers of sentences.
    """
    texts, origin = find_texts(pair, source, downloads, folder)
    langs = pair.split("-")
    files: dict[str, Any] = {}
    train = read_pairs([texts / f"train.tags.{pair}.{lang}" for lang in langs], read_tags, files)
    test = []
    for name in TEST_SETS:
        paths = [texts / f"IWSLT14.{name}.{pair}.{lang}.xml" for lang in langs]
        if any(path.exists() for path in paths):
            test += read_pairs(paths, read_xml, files)
    for name, counts in files.items():
        print_lines(name, counts)
    for split, pairs in {"train": train, "test": test}.items():
        if not pairs:
            raise UserError(f"{origin['from']} has no sentences for the {split} set of {pair}")
        for lang, sentences in zip(langs, zip(*pairs)):
            write_lines(folder / f"{split}.{lang}", (sentence.text for sentence in sentences))
        print(f"{split}: {len(pairs)} pairs")
    return {"archive": origin, "pairs": {"train": len(train), "test": len(test)}, "files": files}


def find_texts(
    pair: str, source: str | None, downloads: Path, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """Return the folder of the pair's unpacked files, and their origin.

    Archives are fetched to ``downloads`` and unpacked in ``folder``.
    """
    if source is None and pair != "de-en":
        raise UserError(f"the archive of {pair} cannot be fetched by a program: {BY_HAND}")
    if source is None or is_url(source):
        remote = GERMAN if source is None else Remote(source)
        if source is not None and source.endswith("/"):
            remote = Remote(source + inner_archive(pair))
        archive = fetch(remote, downloads, BY_HAND)
        try:
            texts = unpack_pair(archive, pair, folder)
        except UserError:
            remove_fetched(archive)
            raise
        return texts, {"from": remote.url, **fingerprint(archive)}
    path = find_archive_or_folder(Path(source), pair)
    if path.is_dir():
        return path, {"from": str(path)}
    return unpack_pair(path, pair, folder), {"from": str(path), **fingerprint(path)}


def inner_archive(pair: str) -> str:
    return INNER.format(lang=pair.split("-")[0])


def find_archive_or_folder(source: Path, pair: str) -> Path:
    """Return the archive of a local source, or the folder of its unpacked files."""
    if not source.is_dir():
        if not source.is_file():
            raise UserError(f"--source {source}: No such file or folder")
        return source
    inner = source / inner_archive(pair)
    for folder in (source, source / pair, inner.with_suffix("")):
        if (folder / f"train.tags.{pair}.en").exists():
            return folder
    for archive in (source / f"{pair}.tgz", inner, source / RELEASE):
        if archive.exists():
            return archive
    raise UserError(
        f"--source {source} holds neither {RELEASE} nor {pair}.tgz nor the folder {pair} with "
        f"train.tags.{pair}.en"
    )


def unpack_pair(archive: Path, pair: str, folder: Path) -> Path:
    """Unpack the files of a pair from its own archive or the release; return their folder."""
    langs = pair.split("-")
    train = {f"{pair}/train.tags.{pair}.{lang}" for lang in langs}
    wanted = train | {
        f"{pair}/IWSLT14.{name}.{pair}.{lang}.xml" for name in TEST_SETS for lang in langs
    }
    inner = inner_archive(pair)
    texts = folder / "unpacked"
    found = unpack(archive, wanted | {inner}, texts)
    if inner in found:
        nested, texts = texts / f"{pair}.tgz", texts / pair
        try:
            found = unpack(nested, wanted, texts)
        except UserError as error:
            raise UserError(f"in {archive}: {error}") from error
    if missing := train - found:
        raise UserError(f"{archive} has neither {min(missing)} nor {inner} with it")
    return texts


def read_pairs(
    paths: list[Path],
    read: Callable[[Path], tuple[list[Sentence], dict[str, Any]]],
    files: dict[str, Any],
) -> list[tuple[Sentence, Sentence]]:
    """Read the two sides of a set, and add the counts of each file to ``files``.

    The sentences of a talk are paired in order. If the two sides number them differently there is
    only a warning: a few sentences of the official TEDX.dev2012 are wrongly aligned.

    Raises:
        UserError: a side is missing or cannot be read, or the sides differ in their talks or their
            numbers of sentences.
    """
    for path, other in (paths, paths[::-1]):
        if not path.exists():
            raise UserError(f"there is no {path.name} beside {other.name}")
    source, target = [], []
    for path, side in zip(paths, (source, target)):
        sentences, counts = read(path)
        side += sentences
        files[path.name] = {"sha256": sha256(path), **counts}
    source, target = talk_by_talk(source, target, paths)
    apart = first_mismatch(source, target)
    if len(source) != len(target):
        raise UserError(
            f"{paths[0].name} has {len(source)} sentences but {paths[1].name} has {len(target)}: "
            f"they differ from sentence {apart.number} of talk {apart.talk} on"
        )
    if apart:
        print(
            f"{paths[0].name} and {paths[1].name} number their sentences differently from sentence "
            f"{apart.number} of talk {apart.talk} on: paired in order",
            file=sys.stderr,
        )
    return list(zip(source, target))


def talk_by_talk(
    source: list[Sentence], target: list[Sentence], paths: list[Path]
) -> tuple[list[Sentence], list[Sentence]]:
    """Return the two sides with the target's talks in the order of the source's.

    Raises:
        UserError: the two sides of a test set do not have the same talks.
    """
    ours, theirs = group_by_talk(source), group_by_talk(target)
    if list(ours) == list(theirs):
        return source, target
    if others := sorted(ours.keys() ^ theirs.keys()):
        if paths[0].suffix != ".xml":  # identifiers in training text are unreliable
            return source, target
        side = paths[others[0] in theirs].name
        raise UserError(
            f"{paths[0].name} and {paths[1].name} have different talks: "
            f"{others[0]} is only in {side}"
        )
    in_order = ([*chain.from_iterable(side[talk] for talk in ours)] for side in (ours, theirs))
    return tuple(in_order)


def group_by_talk(sentences: list[Sentence]) -> dict[str, list[Sentence]]:
    talks: dict[str, list[Sentence]] = {}
    for sentence in sentences:
        talks.setdefault(sentence.talk, []).append(sentence)
    return talks


def first_mismatch(source: list[Sentence], target: list[Sentence]) -> Sentence | None:
    """Return the first sentence whose counterpart has another talk or number, or is missing."""
    for one, other in zip_longest(source, target):
        if one is None or other is None:
            return one or other
        if one[:2] != other[:2]:
            return min(one, other)
    return None


def read_tags(path: Path) -> tuple[list[Sentence], dict[str, Any]]:
    """Read one side of the training set: one sentence a line, between lines of metadata.

    A talk begins with its <url>; its identifier is in one of the next lines. Titles and
    descriptions are sentences.
    """
    sentences = []
    dropped: Counter[str] = Counter()
    talks = number = 0
    talk = ""
    for line in read_lines(path):
        if metadata := METADATA.match(line):
            dropped[metadata[1] or metadata[2]] += 1
            if metadata[1] == "url":
                talks, number = talks + 1, 0
                talk = str(talks)
            elif number == 0 and (identifier := TALK_ID.search(line)):
                talk = identifier[1]
        else:
            number += 1
            sentences.append(Sentence(talk, number, text_of(KEPT_TAGS.sub("", line))))
    return sentences, count(len(sentences) + dropped.total(), dropped, sentences)


def read_xml(path: Path) -> tuple[list[Sentence], dict[str, Any]]:
    """Read one side of a test set: the segments of its documents, and nothing else.

    It is read by patterns: with their bare ampersands not all files are XML.

    Raises:
        UserError: the file cannot be read, or a segment has no number, no end or another in it.
    """
    lines = list(read_lines(path))
    content = "\n".join(lines)
    sentences = []
    talks = text_lines = 0
    talk = ""
    for match in DOCUMENT_OR_SEGMENT.finditer(content):
        attributes, number, text = match.groups()
        if number is None:
            talks += 1
            identifier = DOCUMENT_ID.search(attributes)
            talk = identifier[1] if identifier else str(talks)
            continue
        text_lines += 1 + text.count("\n")
        if "<seg" in text:
            raise UserError(f"{path.name}: segment {number} of talk {talk} has no end")
        sentences.append(Sentence(talk, int(number), text_of(text).replace("’", "'")))
    if content.count("<seg") != len(sentences):
        raise UserError(
            f"{path.name} has {content.count('<seg')} segments, of which only {len(sentences)} can "
            'be read: each must begin with <seg id="NUMBER"> and end with </seg>'
        )
    return sentences, count(len(lines), {"markup": len(lines) - text_lines}, sentences)


def text_of(line: str) -> str:
    """Return text on one line, stripped, with its character entities replaced once.

    An ampersand that begins no entity stays. Zero-width and directional characters stay too, except
    for a byte order mark at the start.
    """
    text = ENTITY.sub(lambda entity: html.unescape(entity[0]), line)
    return plain(re.sub(r"[ \t]*[\r\n]+[ \t]*", " ", text).strip(" \t"))


def count(read: int, dropped: dict[str, int], sentences: list[Sentence]) -> dict[str, Any]:
    return {
        "read": read,
        "dropped": dict(dropped),
        "kept": len(sentences),
        "empty": sum(not sentence.text for sentence in sentences),
    }


def print_lines(name: str, counts: dict[str, Any]) -> None:
    dropped = ", ".join(f"{number} {rule}" for rule, number in counts["dropped"].items())
    print(
        f"{name}: {counts['read']} lines read; dropped: {dropped or 'none'}; "
        f"{counts['kept']} kept, {counts['empty']} of them empty"
    )
