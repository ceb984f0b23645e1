import re
import tarfile
from pathlib import Path

import pytest

from intra_distill.cli import main
from intra_distill.files import read_json, read_lines, sha256
from intra_distill.tools.corpora import iwslt14
from intra_distill.tools.corpora.download import Remote

from ...support.archives import tgz
from ...support.corpora import (
    IWSLT14_PAIRS,
    Pairs,
    iwslt14_files,
    iwslt14_text,
    write_iwslt14_release,
)
from ...support.server import Fault, serve

GERMAN = iwslt14_files("de-en")
TAGS = "de-en/train.tags.de-en."
DEV = "de-en/IWSLT14.TED.dev2010.de-en."


def run(pair: str, raw: Path, source: Path | str | None = None, *options: str) -> None:
    given = [] if source is None else ["--source", str(source)]
    main(["iwslt14", "--pair", pair, "--destdir", str(raw), *given, *options])


def text(raw: Path, pair: str) -> dict[str, Pairs]:
    return {
        split: list(zip(*(read_lines(raw / f"{split}.{lang}") for lang in pair.split("-"))))
        for split in ("train", "test")
    }


def refusal(raw: Path, source: Path | str | None, pair: str = "de-en") -> str:
    """The line that the command ends with, which leaves nothing in ``raw`` but the downloads."""
    with pytest.raises(SystemExit) as error:
        run(pair, raw, source)
    assert "\n" not in error.value.code
    left = {path.name for path in raw.rglob("*")} if raw.exists() else set()
    assert left <= {"downloads", ".lock"}
    return error.value.code


@pytest.fixture(scope="session")
def release(tmp_path_factory) -> Path:
    """The folder of the release's archive and of all inner ones."""
    folder = tmp_path_factory.mktemp("release")
    write_iwslt14_release(folder)
    return folder


def pack(path: Path, changes: dict[str, bytes | None]) -> Path:
    """Write the archive of German with some members changed, or left out for None."""
    members = {**GERMAN, **changes}
    path.write_bytes(
        tgz({name: content for name, content in members.items() if content is not None})
    )
    return path


def swap(name: str, old: str, new: str, count: int = 1) -> dict[str, bytes]:
    assert old.encode() in GERMAN[name]
    return {name: GERMAN[name].replace(old.encode(), new.encode(), count)}


def reverse_parts(name: str, pattern: bytes) -> dict[str, bytes]:
    parts = re.findall(pattern, GERMAN[name], re.DOTALL)
    assert parts != parts[::-1]
    rest = iter(parts[::-1])
    return {name: re.sub(pattern, lambda _: next(rest), GERMAN[name], flags=re.DOTALL)}


@pytest.mark.parametrize("pair", IWSLT14_PAIRS)
def test_every_pair_comes_out_of_the_release(tmp_path, release, pair):
    raw = tmp_path / "raw"
    run(pair, raw, release / "2014-01.tgz")
    assert text(raw, pair) == iwslt14_text(pair)
    source = pair.split("-")[0]
    files = {"train.en", "test.en", f"train.{source}", f"test.{source}", "raw.json"}
    assert {path.name for path in raw.iterdir()} == files


@pytest.mark.parametrize("pair", ["de-en", "pl-en"])
def test_an_archive_may_lie_or_be_unpacked_anywhere(tmp_path, release, pair):
    inner = release / "2014-01" / "texts" / pair[:2] / "en" / f"{pair}.tgz"
    unpacked = tmp_path / "unpacked"
    for place in (unpacked, unpacked / "2014-01" / "texts" / pair[:2] / "en"):
        place.mkdir(parents=True, exist_ok=True)
        with tarfile.open(inner) as tar:
            tar.extractall(place, filter="data")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "2014-01").symlink_to(release / "2014-01")
    only_release = tmp_path / "only"
    only_release.mkdir()
    (only_release / "2014-01.tgz").symlink_to(release / "2014-01.tgz")
    nested = tmp_path / "nested"
    nested.mkdir()
    (nested / "2014-01").symlink_to(unpacked / "2014-01")
    sources = [inner, inner.parent, mirror, only_release, nested, unpacked, unpacked / pair]
    for number, source in enumerate(sources):
        run(pair, tmp_path / f"raw{number}", source)
        assert text(tmp_path / f"raw{number}", pair) == iwslt14_text(pair), source


@pytest.mark.parametrize("path", ["", "2014-01.tgz", "2014-01/texts/he/en/he-en.tgz"])
def test_a_mirror_is_a_source(tmp_path, release, path):
    with serve(release, {"2014-01.tgz": [Fault(cut=5000)]}) as served:
        run("he-en", tmp_path / "raw", served.url + path, "--downloads", str(tmp_path / "shared"))
    assert text(tmp_path / "raw", "he-en") == iwslt14_text("he-en")
    assert not (tmp_path / "raw" / "downloads").exists()


def test_pairs_share_what_was_fetched(tmp_path, release):
    with serve(release) as served:
        for pair in ("ar-en", "fa-en"):
            shared = ["--downloads", str(tmp_path / "shared")]
            run(pair, tmp_path / pair, f"{served.url}2014-01.tgz", *shared)
            assert text(tmp_path / pair, pair) == iwslt14_text(pair)
    assert len(served.requests) == 1


def test_german_is_fetched_without_a_source(tmp_path, release, monkeypatch, capsys):
    inner = release / "2014-01" / "texts" / "de" / "en"
    raw = tmp_path / "raw"
    with serve(inner) as served:
        remote = Remote(f"{served.url}de-en.tgz", (inner / "de-en.tgz").stat().st_size)
        monkeypatch.setattr(iwslt14, "GERMAN", remote)
        run("de-en", raw)
        run("de-en", raw)
    assert text(raw, "de-en") == iwslt14_text("de-en")
    assert len(served.requests) == 1
    assert capsys.readouterr().out.endswith("nothing to do\n")
    assert read_json(raw / "raw.json")["archive"] == {
        "from": remote.url,
        "bytes": remote.size,
        "sha256": sha256(inner / "de-en.tgz"),
    }


@pytest.mark.parametrize("pair", IWSLT14_PAIRS[:1] + IWSLT14_PAIRS[2:])
def test_other_pairs_need_a_browser_and_the_user_is_told_how(tmp_path, pair):
    message = refusal(tmp_path / "raw", None, pair)
    for word in (pair, "wit3.fbk.eu", "12HrS9S2DEvw746SosPojfgY5I6HXFVEA", "--source 2014-01.tgz"):
        assert word in message


def test_counts_are_printed_and_kept(tmp_path, release, capsys):
    run("de-en", tmp_path, release)
    printed = capsys.readouterr().out
    report = read_json(tmp_path / "raw.json")
    english = report["files"]["train.tags.de-en.en"]
    pairs = len(iwslt14_text("de-en")["train"])
    tags = {"url": 10, "keywords": 10, "talkid": 10, "speaker": 1, "reviewer": 1, "translator": 1}
    assert english == {
        "sha256": english["sha256"],
        "read": pairs + 33,
        "dropped": tags,
        "kept": pairs,
        "empty": 2,
    }
    assert re.search(rf"tags.de-en.en: {pairs + 33} lines read; .* 10 url.* {pairs} kept", printed)
    development = report["files"]["IWSLT14.TEDX.dev2012.de-en.de.xml"]
    assert development["read"] == development["dropped"]["markup"] + development["kept"] + 2
    assert report["pairs"] == {name: len(both) for name, both in iwslt14_text("de-en").items()}


MARKED = {
    name: b"\xef\xbb\xbf" + GERMAN[name].replace(b"\n", b"\r\n")
    for name in (f"{TAGS}de", f"{DEV}en.xml")
}
WRAPPED = {
    f"{TAGS}de": GERMAN[f"{TAGS}de"].replace(b"<url>", b'<doc docid="1">\n<transcript>\n<url>', 1)
    + b"</transcript>\n</doc>\n"
}


@pytest.mark.parametrize(
    "changes, warning",
    [
        (MARKED, ""),  # a byte order mark and Windows' line ends are not text
        (WRAPPED, ""),  # the wrappers of other releases are metadata
        (
            swap(f"{DEV}de.xml", '<seg id="2">', '<seg id="9">'),
            "differently from sentence 2 of talk 1 on",
        ),
        # training text of other talks is paired in order
        (swap(f"{TAGS}en", "<talkid>3</talkid>", "<talkid>99</talkid>"), "paired in order"),
        (reverse_parts(f"{DEV}en.xml", rb"<doc .*?</doc>\n"), ""),
        (reverse_parts(f"{TAGS}en", rb"<url>http.*?(?=<url>http|\Z)"), ""),
    ],
)
def test_the_text_of_odd_files_is_the_same(tmp_path, capsys, changes, warning):
    run("de-en", tmp_path / "raw", pack(tmp_path / "a.tgz", changes))
    assert text(tmp_path / "raw", "de-en") == iwslt14_text("de-en")
    printed = capsys.readouterr().err.replace("\n", " ")
    assert warning in printed and bool(warning) == ("paired in order" in printed)


def test_marks_that_are_no_text_go(tmp_path):
    marked = b"\xef\xbb\xbfa \0b\n"
    changes = {name: GERMAN[name] + marked for name in (f"{TAGS}de", f"{TAGS}en")}
    run("de-en", tmp_path / "raw", pack(tmp_path / "a.tgz", changes))
    assert text(tmp_path / "raw", "de-en")["train"][-1] == ("a b", "a b")


NO_TESTS = {name: None for name in GERMAN if name.endswith(".xml")}
XML = "IWSLT14.TED.dev2010.de-en"
NUMBER = len(iwslt14_text("de-en")["train"])


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            swap(f"{TAGS}de", "<talkid>3</talkid>\n", "<talkid>3</talkid>\nzu viel\n"),
            rf"tags.de-en.de has {NUMBER + 1} sentences but train.tags.de-en.en has {NUMBER}: "
            r"they differ from sentence \d+ of talk 3 on",
        ),
        (
            swap(f"{DEV}en.xml", "</doc>", '<seg id="99"> one more </seg>\n</doc>'),
            f"{XML}.en.xml .* sentence 99 of talk 1",
        ),
        (
            swap(f"{DEV}en.xml", 'docid="2"', 'docid="2b"'),
            f"{XML}.de.xml and {XML}.en.xml have different talks: 2 is only in {XML}.de.xml",
        ),
        (swap(f"{DEV}en.xml", " </seg>", ""), f"{XML}.en.xml: segment 1 of talk 1 has no end"),
        *(
            (swap(f"{DEV}en.xml", *tags), f"{XML}.en.xml has 77 segments, of which only 76")
            for tags in [('<seg id="4">', "<seg>"), ('<seg id="1">', '<seg id="one">')]
        ),
        (
            {f"{TAGS}en": GERMAN[f"{TAGS}en"] + b"caf\xe9\n"},
            r"train.tags.de-en.en, line \d+: not UTF-8",
        ),
        ({f"{DEV}de.xml": None}, f"no {XML}.de.xml beside"),
        ({f"{DEV}en.xml": None}, f"no {XML}.en.xml beside"),
        ({f"{TAGS}de": None}, f"a.tgz has neither {TAGS}de"),
        ({f"{TAGS}en": None}, f"a.tgz has neither {TAGS}en"),
        (NO_TESTS, "no sentences for the test set of de-en"),
        ({f"{TAGS}de": b"", f"{TAGS}en": b""}, "no sentences for the train set of de-en"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, changes, said):
    assert re.search(said, refusal(tmp_path / "raw", pack(tmp_path / "a.tgz", changes)))


def test_another_pairs_archive_is_refused(tmp_path, release):
    inner = release / "2014-01" / "texts" / "de" / "en" / "de-en.tgz"
    assert "he-en/train.tags.he-en.en" in refusal(tmp_path / "raw", inner, "he-en")
    assert "holds neither 2014-01.tgz" in refusal(tmp_path / "raw", inner.parent, "he-en")
    assert "No such file" in refusal(tmp_path / "raw", tmp_path / "none.tgz")


def test_a_damaged_inner_archive_is_refused(tmp_path):
    inner = tgz(GERMAN)[:-2000]
    path = tmp_path / "2014-01.tgz"
    path.write_bytes(tgz({"2014-01/texts/de/en/de-en.tgz": inner}))
    message = refusal(tmp_path / "raw", path)
    assert f"in {path}: " in message and "damaged or truncated" in message


def test_a_fetched_archive_that_is_refused_is_not_kept(tmp_path):
    path = tmp_path / "2014-01.tgz"
    path.write_bytes(tgz({"2014-01/texts/de/en/de-en.tgz": tgz({"../a": b"x"})}))
    with serve(tmp_path) as served:
        assert "outside its folder" in refusal(tmp_path / "raw", f"{served.url}2014-01.tgz")
        message = refusal(tmp_path / "raw", f"{served.url}absent/")
    assert f"{served.url}absent/2014-01/texts/de/en/de-en.tgz" in message
    assert "404" in message and "--source 2014-01.tgz" in message


def test_another_request_is_refused_by_name(tmp_path, release):
    raw = tmp_path / "raw"
    run("de-en", raw, release)
    before = {path.name: path.read_bytes() for path in raw.iterdir()}
    for pair, source, said in [
        ("he-en", None, "with pair de-en, not he-en"),
        ("de-en", release / "2014-01.tgz", "with source"),
    ]:
        with pytest.raises(SystemExit, match=said):
            run(pair, raw, source)
    assert {path.name: path.read_bytes() for path in raw.iterdir()} == before
