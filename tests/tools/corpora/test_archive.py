import gzip
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from intra_distill.errors import UserError
from intra_distill.tools.corpora import archive
from intra_distill.tools.corpora.archive import unpack

from ...support.archives import TEXT, entry, tgz, write_archive

WANTED = {"de-en/a", "de-en/b"}


def refusal(path: Path) -> str:
    """The message that unpacking ends with, which leaves nothing but the archive."""
    before = {path.name for path in path.parent.iterdir()}
    with pytest.raises(UserError) as error:
        unpack(path, WANTED, path.parent / "out")
    assert {path.name for path in path.parent.iterdir()} == before
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "a.tgz"
    path.write_bytes(tgz({"de-en/README": b"x", "de-en/a": TEXT, "de-en/b": b"", "c/a": b"other"}))
    return path


def test_only_what_is_wanted_is_unpacked(good):
    out = good.parent / "out"
    assert unpack(good, {*WANTED, "de-en/absent"}, out) == WANTED
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"a": TEXT, "b": b""}


def test_names_may_begin_with_a_dot(tmp_path):
    path = write_archive(
        tmp_path / "a.tgz", entry("./de-en", tarfile.DIRTYPE), entry("./de-en/a", size=9)
    )
    assert unpack(path, WANTED, tmp_path / "out") == {"de-en/a"}
    assert (tmp_path / "out" / "a").read_bytes() == TEXT[:9]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_every_tar_dialect_is_read(tmp_path, form):
    name = "/".join(["d" * 60, "e" * 60, "a"])  # in two of the three a header of its own
    path = write_archive(tmp_path / "a.tgz", entry(name, size=9), form=form)
    assert unpack(path, {name}, tmp_path / "out") == {name}


def test_a_link_that_nobody_wants_is_passed_over(tmp_path):
    link = entry("en-de", tarfile.SYMTYPE, linkname="/etc")
    path = write_archive(tmp_path / "a.tgz", link, entry("de-en/a", size=9))
    assert unpack(path, WANTED, tmp_path / "out") == {"de-en/a"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a"}


KINDS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
OUTSIDE = ("/de-en/a", "../a", "de-en/../../a", "de-en/x/../a")


@pytest.mark.parametrize(
    "member, said",
    [
        *((entry(name, size=9), "outside its folder") for name in OUTSIDE),
        *(
            (entry(name, kind, linkname="../../etc/passwd"), "link, device or misplaced file")
            for name in ("de-en/a", "de-en")
            for kind in KINDS
        ),
        (entry("de-en", size=9), "link, device or misplaced file"),  # in place of a folder
        (entry("./de-en//b", size=9), "twice"),
    ],
)
def test_a_member_that_is_out_of_place_is_refused(tmp_path, member, said):
    assert said in refusal(write_archive(tmp_path / "a.tgz", entry("de-en/b", size=9), member))


def test_a_member_of_absurd_size_is_refused(good, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", len(TEXT))
    unpack(good, WANTED, good.parent / "fits")
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", len(TEXT) - 1)
    assert "absurd size" in refusal(good)


def headers_of_absurd_size() -> Iterator[bytes]:
    for name in ("de-en/a", "unwanted"):
        yield entry(name, size=2**40).tobuf(tarfile.GNU_FORMAT)
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE):
        yield entry("de-en/a", kind, size=2**32).tobuf(tarfile.GNU_FORMAT)
    for size in ("-512", "-1"):
        yield entry("de-en/a", pax_headers={"size": size}).tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize("header", headers_of_absurd_size())
def test_a_declared_size_is_checked_before_the_content_is_read(tmp_path, header):
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(header + bytes(1024)))
    assert re.search("absurd size|damaged", refusal(path))


def test_a_bomb_is_refused_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", 1000)
    many = [entry(f"x{number}", size=600) for number in range(2)]
    assert "absurd size at its member x1" in refusal(write_archive(tmp_path / "a.tgz", *many))
    path = tmp_path / "b.tgz"
    path.write_bytes(gzip.compress(gzip.decompress(tgz({"de-en/a": b"x"})) + bytes(2**21)))
    assert "absurd size after its end" in refusal(path)


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 5)
    path = write_archive(tmp_path / "a.tgz", *(entry(f"x{number}") for number in range(6)))
    assert "absurd size" in refusal(path)


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place:][1:]


DAMAGE = {
    **{f"cut at {k}": lambda c, k=k: c[:k] for k in (15, 600, 50_000, -10, -1)},
    **{f"flipped at {k}": lambda c, k=k: flip(c, k) for k in (50, 5_000, 90_000, -6)},
    "cut before it was compressed": lambda c: gzip.compress(gzip.decompress(c)[:60_000]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_archive_is_refused(good, damage):
    good.write_bytes(DAMAGE[damage](good.read_bytes()))
    assert "damaged or truncated" in refusal(good)


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "not a .tgz archive"),
        (b"text", "not a .tgz archive"),
        (b"PK\x03\x04", "not a .tgz archive"),
        (b" <HTML><body>Google Drive - Virus scan warning", "web page"),
        (gzip.compress(b""), "damaged or truncated"),
        (gzip.compress(b"text" * 1000), "damaged or truncated"),
    ],
    ids=["empty", "text", "zip", "web page", "gzip of nothing", "gzip of text"],
)
def test_other_files_are_refused(tmp_path, content, said):
    (tmp_path / "a.tgz").write_bytes(content)
    assert said in refusal(tmp_path / "a.tgz")


def test_a_missing_archive_is_named(tmp_path):
    assert "No such file" in refusal(tmp_path / "a.tgz")


def test_a_killed_run_is_in_nobodys_way(good):
    (good.parent / "out.tmp").mkdir()
    (good.parent / "out.tmp" / "a").write_bytes(b"half")
    unpack(good, WANTED, good.parent / "out")
    assert (good.parent / "out" / "a").read_bytes() == TEXT
