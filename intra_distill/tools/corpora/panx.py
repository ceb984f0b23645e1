"""Makes English training text and test sets in many languages of WikiAnn, as XTREME divides it.

WikiAnn (Pan et al., 2017; divided by Rahimi et al., 2019) has words of Wikipedia's sentences tagged
with places, organisations and persons. XTREME calls it PAN-X.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError
from ...files import read_lines, write_lines
from .archive import fingerprint, unpack
from .download import Remote, fetch, is_url, remove_fetched
from .tagged_text import TagCounts, TaggedSentence, describe_entities, read_tagged
from .transfer import TEST, TRAIN, VALID, file_names
from .zip_archive import copy_member, member_names

# in the order of the paper's Table 7
LANGUAGES = (
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th "
    "sw yo my zh kk tr et fi hu qu pl uk az lt pa gu ro"
).split()
TRAINED_ON = "en"
TEST_SPLITS = ("test", "dev")
TAGS = ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")
PUBLISHED = Remote(
    "https://s3.amazonaws.com/datasets.huggingface.co/wikiann/1.1.0/panx_dataset.zip",
    size=234_008_884,
    sha256="164814b64f749ad000988b5ab45050b5116913b3db466ab173008955ddf649a4",
)
FOLDER = "panx_dataset"  # in the archive


class Part(NamedTuple):
    """A language's sentences of a published split: train, dev or test."""

    language: str
    split: str

    @property
    def processed(self) -> str:
        """The name of its file where XTREME's script has processed it."""
        return f"{self.split}-{self.language}.tsv"

    @property
    def archive(self) -> str:
        """The name of the archive of its language."""
        return f"{self.language}.tar.gz"

    @property
    def member(self) -> str:
        """That archive in the archive of all languages."""
        return f"{FOLDER}/{self.archive}"


@dataclass(frozen=True)
class Text:
    """The file of a part.

    Attributes:
        name: of the file in error messages.
        prefixed: whether each word comes after its language and a colon.
    """

    path: Path
    name: str
    prefixed: bool


def write_panx(
    source: str | None,
    downloads: Path,
    languages: Collection[str],
    test_split: str,
    folder: Path,
) -> dict[str, Any]:
    """Write the files of all splits into ``folder``, and return what the report says of them.

    Prints the counts of each split.

    Args:
        source: a folder, the published archive or its URL; None to fetch it to ``downloads``.
        languages: of the test sets.
        test_split: the published split that they are, one of :data:`TEST_SPLITS`.

    Raises:
        UserError: a language is not there, a file cannot be read or has no sentences, or a line,
            which is named, is malformed.
    """
    origin, described = find_origin(source, downloads)
    tests = {f"{TEST}{language}": Part(language, test_split) for language in languages}
    parts = {TRAIN: Part(TRAINED_ON, "train"), VALID: Part(TRAINED_ON, "dev"), **tests}
    refuse_missing(origin, parts.values())
    splits = {}
    for split, name in file_names(languages, "tsv").items():
        counts = TagCounts()
        scratch = folder / f"source of {split}"
        scratch.mkdir()
        text = open_part(origin, parts[split], scratch)
        sentences = read_tagged(text.path, TAGS, text.name, text.prefixed)
        write_lines(folder / name, to_lines(sentences, counts))
        print(f"{split}: {counts.sentences:,} sentences; {describe_entities(counts.entities)}")
        splits[split] = vars(counts)
    return {"from": described, "splits": splits}


def to_lines(sentences: Iterable[TaggedSentence], counts: TagCounts) -> Iterator[str]:
    """Yield the lines of sentences, and count the sentences."""
    for sentence in sentences:
        counts.add(sentence.tags)
        yield from map("\t".join, zip(*sentence))
        yield ""


def find_origin(source: str | None, downloads: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder or the archive of all languages, and what the report says of it."""
    if source is None or is_url(source):
        remote = PUBLISHED if source is None else Remote(source)
        archive = fetch(remote, downloads, f"give {PUBLISHED.name}, or a folder, as --source")
        try:
            member_names(archive)
        except UserError:
            remove_fetched(archive)
            raise
        return archive, {"place": remote.url, **fingerprint(archive)}
    path = Path(source)
    if not path.exists():
        raise UserError(f"--source {path}: No such file or folder")
    if path.is_dir() and (path / PUBLISHED.name).exists():
        path /= PUBLISHED.name
    return path, {"place": str(path), **({} if path.is_dir() else fingerprint(path))}


def refuse_missing(origin: Path, parts: Iterable[Part]) -> None:
    """Raise UserError unless all parts are there."""
    members = member_names(origin) if origin.is_file() else set()
    missing = [part for part in parts if part.member not in members and not find_file(origin, part)]
    if not missing:
        return
    first = missing[0]
    languages = [part.language for part in missing if part.split == first.split]
    remedy = f"get {PUBLISHED.url}"
    if first.language != TRAINED_ON:
        remedy = f"name the other languages by --languages, or {remedy}"
    raise UserError(
        f"{origin} has no {first.split} set of {', '.join(languages)} ({first.processed}, "
        f"{first.archive} or {PUBLISHED.name}): {remedy}"
    )


def find_file(folder: Path, part: Part) -> Path | None:
    """Find a part in a folder: its own file, or its language's archive."""
    paths = [folder / name for name in (part.processed, part.archive, part.member)]
    return next((path for path in paths if path.is_file()), None)


def open_part(origin: Path, part: Part, scratch: Path) -> Text:
    """Find the file of a part; what is in an archive is unpacked in ``scratch``."""
    path = find_file(origin, part)
    if path is not None and path.name == part.processed:
        if part.split == "test":
            refuse_unlabelled(path)
        return Text(path, str(path), prefixed=False)
    if path is not None:
        return unpack_part(path, part, scratch)
    nested = scratch / part.archive
    copy_member(origin, part.member, nested)
    try:
        text = unpack_part(nested, part, scratch)
    except UserError as error:
        raise UserError(f"in {origin}: {error}") from error
    return replace(text, name=f"{origin}, {part.archive}, {part.split}")


def unpack_part(archive: Path, part: Part, scratch: Path) -> Text:
    """Unpack a part from the archive of its language."""
    folder = scratch / "unpacked"
    if not unpack(archive, {part.split}, folder):
        raise UserError(f"{archive} does not hold {part.split}")
    return Text(folder / part.split, f"{archive}, {part.split}", prefixed=True)


def refuse_unlabelled(path: Path) -> None:
    """Raise UserError for a test set from which XTREME's script has removed the tags."""
    first = next((line for line in read_lines(path) if line.strip(" \ufeff")), "")
    if first and "\t" not in first:
        raise UserError(
            f"{path} has no tags, which XTREME's script removes from test sets: test on the "
            f"development sets by --test-split dev, or get {PUBLISHED.url}"
        )
