"""Makes plain parallel text of WMT'17 English-German, without Rapid, and newstest2014."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from sacrebleu.utils import SACREBLEU_DIR, get_reference_files, get_source_file
from tqdm import tqdm

from ...errors import UserError
from ...files import plain, read_lines, write_lines
from .archive import unpack
from .download import Remote, bytes_to_fetch, check_space, disk_errors, fetch, find_fault, is_url

LANGS = ("en", "de")
NEWSTEST = ("wmt14/full", "en-de")


class Corpus(NamedTuple):
    """A training corpus: its archive, and the path of its files there without the language."""

    remote: Remote
    prefix: str


CORPORA = {
    "europarl-v7": Corpus(
        Remote(
            "http://statmt.org/wmt13/training-parallel-europarl-v7.tgz",
            size=657_632_379,
            sha256="0224c7c710c8a063dfd893b0cc0830202d61f4c75c17eb8e31836103d27d96e7",
        ),
        "training/europarl-v7.de-en",
    ),
    "commoncrawl": Corpus(
        Remote(
            "http://statmt.org/wmt13/training-parallel-commoncrawl.tgz",
            size=918_311_367,
            sha256="c7a74e2ea01ac6c920123108627e35278d4ccb5701e15428ffa34de86fa3a9e5",
        ),
        "commoncrawl.de-en",
    ),
    "news-commentary-v12": Corpus(
        Remote(
            "http://data.statmt.org/wmt17/translation-task/training-parallel-nc-v12.tgz",
            size=168_591_139,
            sha256="2b45f30ef1d550d302fd17dd3a5cbe19134ccc4c2cf50c2dae534aee600101a2",
        ),
        "training/news-commentary-v12.de-en",
    ),
}


def write_wmt17(source: str | None, downloads: Path, folder: Path) -> dict[str, Any]:
    """Write the four files of text into ``folder``, and return what the report says of them.

    Prints the numbers of pairs.

    Raises:
        UserError: a corpus or the test set is not available, its sides have different numbers of
            lines, or the disk has too little room.
    """
    test = write_newstest(folder)
    if source is None or is_url(source):
        found = fetch_archives(source, downloads, folder)
    else:
        found = find_corpora(Path(source))
        check_space(folder, room_to_unpack())
    prefixes = {name: unpack_corpus(name, path, folder) for name, path in found.items()}
    lines = {lang: dict.fromkeys(CORPORA, 0) for lang in LANGS}
    for lang in LANGS:
        write_lines(folder / f"train.{lang}", concatenate(prefixes, lang, lines[lang]))
    corpora = {}
    for name, number in lines["en"].items():
        check_sides(name, number, lines["de"][name])
        print(f"{name}: {number} pairs")
        corpora[name] = {"file": str(found[name]), "pairs": number}
        if is_archive(name, found[name]):
            corpora[name]["sha256"] = CORPORA[name].remote.sha256
    train = sum(lines["en"].values())
    print(f"train: {train} pairs\ntest: {test} pairs")
    return {"pairs": {"train": train, "test": test}, "corpora": corpora}


def write_newstest(folder: Path) -> int:
    """Write the test set and return its number of pairs."""
    try:
        paths = [get_source_file(*NEWSTEST), *get_reference_files(*NEWSTEST)]
    except (Exception, SystemExit) as error:  # whatever sacreBLEU's download raises
        raise UserError(
            f"sacreBLEU cannot get newstest2014 ({error}): remove {SACREBLEU_DIR}/wmt14/full and "
            "try again, or copy that folder from a machine where "
            f"`sacrebleu -t {NEWSTEST[0]} -l {NEWSTEST[1]} --echo src` works"
        ) from error
    sides = [list(read_lines(path)) for path in paths]
    check_sides("newstest2014", *map(len, sides))
    for lang, lines in zip(LANGS, sides):
        write_lines(folder / f"test.{lang}", lines)
    return len(sides[0])


def check_sides(name: str, english: int, german: int) -> None:
    """Raise UserError unless both sides have the same number of lines, at least one."""
    if english != german or english == 0:
        raise UserError(
            f"{name} has {english} English lines and {german} German ones: "
            "each line needs its translation"
        )


def fetch_archives(source: str | None, downloads: Path, folder: Path) -> dict[str, Path]:
    """Return the archives of all corpora by name; fetch to ``downloads`` those that it lacks."""
    remotes = {name: corpus.remote for name, corpus in CORPORA.items()}
    if source is not None:
        remotes = {
            name: replace(remote, url=f"{source.rstrip('/')}/{remote.name}")
            for name, remote in remotes.items()
        }
    with disk_errors(downloads):
        downloads.mkdir(parents=True, exist_ok=True)
    to_fetch = sum(bytes_to_fetch(remote, downloads) for remote in remotes.values())
    to_unpack = room_to_unpack()
    print(
        f"{to_fetch / 1e9:.1f} GB to fetch to {downloads}, "
        f"and {to_unpack / 1e9:.1f} GB of free space needed to unpack"
    )
    if downloads.stat().st_dev == folder.stat().st_dev:
        check_space(folder, to_fetch + to_unpack)
    else:
        check_space(downloads, to_fetch)
        check_space(folder, to_unpack)
    return {
        name: fetch(remote, downloads, f"put {remote.name} into a folder and give it as --source")
        for name, remote in remotes.items()
    }


def find_corpora(source: Path) -> dict[str, Path]:
    """Return for each corpus its archive in ``source``, or else the prefix of its files."""
    found = {}
    for name, (remote, prefix) in CORPORA.items():
        archive = source / remote.name
        if archive.exists():
            if fault := find_fault(archive, remote):
                raise UserError(
                    f"{archive} {fault}: damaged or another file; the right one is {remote.url}"
                )
            found[name] = archive
        elif all((source / f"{prefix}.{lang}").exists() for lang in LANGS):
            found[name] = source / prefix
        else:
            raise UserError(
                f"--source {source} holds neither {remote.name}, which is at {remote.url}, nor "
                f"its files {prefix}.en and .de"
            )
    return found


def is_archive(name: str, path: Path) -> bool:
    return path.name == CORPORA[name].remote.name


def room_to_unpack() -> int:
    """Bytes of disk that are enough for the unpacked text and the copy of it that stays.

    The English and German text is at most as large as the archives, which have more languages.
    """
    return 2 * sum(corpus.remote.size for corpus in CORPORA.values())


def unpack_corpus(name: str, path: Path, folder: Path) -> Path:
    """Return the prefix of a corpus's files; unpack them in ``folder`` if it is an archive."""
    if not is_archive(name, path):
        return path
    wanted = {f"{CORPORA[name].prefix}.{lang}" for lang in LANGS}
    if missing := wanted - unpack(path, wanted, folder / name):
        raise UserError(f"{path} does not hold {min(missing)}")
    return folder / name / Path(CORPORA[name].prefix).name


def concatenate(prefixes: dict[str, Path], lang: str, counts: dict[str, int]) -> Iterator[str]:
    """Yield the lines of all corpora in a language, and count those of each in ``counts``."""
    for name, prefix in prefixes.items():
        lines = tqdm(
            read_lines(f"{prefix}.{lang}"),
            desc=f"{name}.{lang}",
            unit=" lines",
            unit_scale=True,
            disable=None,
        )
        for counts[name], line in enumerate(lines, start=1):
            yield plain(line)
