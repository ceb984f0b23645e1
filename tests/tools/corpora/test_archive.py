import gzip
import tarfile
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


@pytest.mark.parametrize("name", ["/de-en/a", "../a", "de-en/../../a", "de-en/x/../a"])
def test_a_member_outside_the_folder_is_refused(tmp_path, name):
    path = write_archive(tmp_path / "a.tgz", entry("de-en/b", size=9), entry(name, size=9))
    assert "outside its folder" in refusal(path)


@pytest.mark.parametrize("name", ["de-en/a", "de-en"])
@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_a_link_or_device_is_refused(tmp_path, kind, name):
    member = entry(name, kind, linkname="../../etc/passwd")
    assert "link or the like" in refusal(write_archive(tmp_path / "a.tgz", member))


def test_a_file_in_place_of_a_folder_is_refused(tmp_path):
    assert "link or the like" in refusal(write_archive(tmp_path / "a.tgz", entry("de-en", size=9)))


def test_a_member_that_comes_twice_is_refused(tmp_path):
    path = write_archive(tmp_path / "a.tgz", entry("de-en/a", size=9), entry("./de-en//a", size=9))
    assert "twice" in refusal(path)


def test_a_member_of_absurd_size_is_refused(good, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", len(TEXT))
    unpack(good, WANTED, good.parent / "fits")
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", len(TEXT) - 1)
    assert "absurd size" in refusal(good)


@pytest.mark.parametrize("name", ["de-en/a", "unwanted"])
def test_a_declared_size_is_judged_before_it_is_read(tmp_path, name):
    header = entry(name, size=2**40).tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(header + bytes(1024)))
    assert "absurd size" in refusal(path)


@pytest.mark.parametrize("size", [-512, -1])
def test_a_negative_size_is_refused(tmp_path, size):
    member = entry("de-en/a", pax_headers={"size": str(size)})
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(member.tobuf(tarfile.PAX_FORMAT) + bytes(1024)))
    refusal(path)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path, kind):
    header = entry("de-en/a", kind, size=2**32).tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(header + bytes(1024)))
    assert "absurd size" in refusal(path)


def test_a_bomb_is_refused_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", 1000)
    many = [entry(f"x{number}", size=600) for number in range(2)]
    assert "met at its member x1" in refusal(write_archive(tmp_path / "a.tgz", *many))
    path = tmp_path / "b.tgz"
    path.write_bytes(gzip.compress(gzip.decompress(tgz({"de-en/a": b"x"})) + bytes(2**21)))
    assert "behind its end" in refusal(path)


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 5)
    path = write_archive(tmp_path / "a.tgz", *(entry(f"x{number}") for number in range(6)))
    assert "absurd size" in refusal(path)


@pytest.mark.parametrize("kept", [15, 600, 50_000, -10, -1])
def test_a_truncated_archive_is_refused(good, kept):
    good.write_bytes(good.read_bytes()[:kept])
    assert "damaged or truncated" in refusal(good)


@pytest.mark.parametrize("place", [50, 5_000, 90_000, -6])
def test_a_damaged_archive_is_refused(good, place):
    content = bytearray(good.read_bytes())
    content[place] ^= 0x10
    good.write_bytes(content)
    assert "damaged or truncated" in refusal(good)


def test_an_archive_truncated_before_it_was_compressed_is_refused(good):
    good.write_bytes(gzip.compress(gzip.decompress(good.read_bytes())[:60_000]))
    assert "damaged or truncated" in refusal(good)


def test_what_is_no_archive_is_refused(tmp_path):
    for content, said in {
        b"": "not a .tgz archive",
        b"text": "not a .tgz archive",
        b"PK\x03\x04": "not a .tgz archive",
        b" <HTML><body>Google Drive - Virus scan warning": "web page",
        gzip.compress(b""): "damaged or truncated",
        gzip.compress(b"text" * 1000): "damaged or truncated",
    }.items():
        (tmp_path / "a.tgz").write_bytes(content)
        assert said in refusal(tmp_path / "a.tgz")


def test_a_missing_archive_is_named(tmp_path):
    assert "No such file" in refusal(tmp_path / "a.tgz")


def test_a_killed_run_is_in_nobodys_way(good):
    (good.parent / "out.tmp").mkdir()
    (good.parent / "out.tmp" / "a").write_bytes(b"half")
    unpack(good, WANTED, good.parent / "out")
    assert (good.parent / "out" / "a").read_bytes() == TEXT
