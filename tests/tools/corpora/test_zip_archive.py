import re
import stat
import zipfile
from pathlib import Path

import pytest

from intra_distill.errors import UserError
from intra_distill.tools.corpora import zip_archive
from intra_distill.tools.corpora.zip_archive import copy_member, member_names, open_member

from ...support.archives import TEXT, zipped

WANTED = "RTE/train.tsv"


def read(path: Path) -> bytes:
    with open_member(path, WANTED) as stream:
        return b"".join(iter(lambda: stream.read(2**12), b""))


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    assert [each.name for each in path.parent.iterdir() if each != path] == []
    return str(error.value)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"RTE/": b"", WANTED: TEXT, "__MACOSX/._RTE": b"x"}))
    return path


def write(path: Path, *members: zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("first", b"x")
        for member in members:
            archive.writestr(member, b"../../etc/passwd")
    return path


def member(name: str, kind: int = 0) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = kind << 16
    return made


def test_a_member_is_read_in_place(good):
    assert read(good) == TEXT
    assert list(good.parent.iterdir()) == [good]


def test_members_are_named_and_copied(good, tmp_path):
    assert member_names(good) == {"RTE/", WANTED, "__MACOSX/._RTE"}
    copy_member(good, WANTED, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == TEXT
    with pytest.raises(UserError, match=f"cannot write {tmp_path}/none/copy: No such file"):
        copy_member(good, WANTED, tmp_path / "none" / "copy")


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_every_compression_is_read(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr(WANTED, TEXT)
    assert read(tmp_path / "a.zip") == TEXT


@pytest.mark.parametrize("name", ["/RTE/train.tsv", "../a", "RTE/../../a", "a/../RTE/train.tsv"])
def test_a_member_outside_is_refused(tmp_path, name):
    assert "outside its folder" in refusal(write(tmp_path / "a.zip", member(WANTED), member(name)))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_a_link_or_device_is_refused(tmp_path, kind):
    path = write(tmp_path / "a.zip", member(WANTED, kind | 0o777))
    assert "link or device" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_comes_twice_is_refused(tmp_path):
    path = write(tmp_path / "a.zip", member(WANTED), member(WANTED))
    assert "has RTE/train.tsv twice" in refusal(path)


def test_a_missing_member_is_named(tmp_path):
    assert "does not hold RTE/train.tsv" in refusal(write(tmp_path / "a.zip"))


def test_absurd_sizes_are_refused(good, monkeypatch):
    monkeypatch.setattr(zip_archive, "MAX_MEMBER_BYTES", len(TEXT) - 1)
    assert "absurd size at its member" in refusal(good)
    monkeypatch.setattr(zip_archive, "MAX_MEMBERS", 2)
    assert "absurd number of members, 3" in refusal(good)


def test_a_member_of_more_than_its_declared_size_is_refused(tmp_path):
    content = zipped({WANTED: b"x" * 5000})
    declared = (5000).to_bytes(4, "little")
    path = tmp_path / "a.zip"
    path.write_bytes(content.replace(declared, (50).to_bytes(4, "little")))
    assert "damaged or truncated" in refusal(path)


def test_a_password_is_not_asked_for(good):
    content = bytearray(good.read_bytes())
    places = [
        (content.index(b"PK\x03\x04", 30), 6),
        (content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1), 8),
    ]
    for start, flags in places:
        content[start + flags] |= 1
    good.write_bytes(content)
    assert "needs a password" in refusal(good)


DAMAGE = {
    **{f"cut at {k}": lambda c, k=k: c[:k] for k in (15, 600, 50_000, -10, -1)},
    **{
        f"flipped at {k}": lambda c, k=k: c[:k] + bytes([c[k] ^ 0x10]) + c[k + 1 :]
        for k in (5_000, 90_000)
    },
    "another method": lambda c: c.replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x63\x00"),
    "a name that is not UTF-8": lambda c: c.replace(
        b"\x00\x00\x08\x00", b"\x00\x08\x08\x00"
    ).replace(b"__MACOSX", b"\xff\xfe\xfdACOSX"),
    "a place behind the end": lambda c: c[:-6] + b"\xff\xff\xff\x7f" + c[-2:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_archive_is_refused(good, damage):
    good.write_bytes(DAMAGE[damage](good.read_bytes()))
    assert re.search("damaged or truncated|cannot read", refusal(good))


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "not a .zip archive"),
        (b"index\tsentence", "not a .zip archive"),
        (b"\x1f\x8b\x08", "not a .zip archive"),
        (b"PK\x03\x04", "damaged or truncated"),
        (b" <HTML><body>Moved", "web page"),
    ],
    ids=["empty", "text", "gzip", "the start alone", "web page"],
)
def test_other_files_are_refused(tmp_path, content, said):
    (tmp_path / "a.zip").write_bytes(content)
    assert said in refusal(tmp_path / "a.zip")


def test_a_missing_archive_is_named(tmp_path):
    assert "No such file" in refusal(tmp_path / "a.zip")
