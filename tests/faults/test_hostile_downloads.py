"""Hostile files: archives and servers.

A stranger's write nowhere outside their folder and do not fill the disk. Each archive is shown to
be an exploit: where it is trusted it leaves its evidence.
"""

import contextlib
import gzip
import socketserver
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from intra_distill.cli import main
from intra_distill.tools.corpora import archive, download, zip_archive
from intra_distill.tools.corpora.download import Remote, fetch

from ..support.archives import entry, tgz, write_archive, zipped
from ..support.tagged import language_archive

MEMBER = "de-en/train.tags.de-en.en"


def members_outside(evidence: Path) -> dict[str, list[tarfile.TarInfo]]:
    """Archives, each of which a trusting program writes the evidence for from where it unpacks."""
    outside = {"linkname": str(evidence.parent)}
    return {
        "parent": [entry(f"../{evidence.name}", size=9)],
        "parent below": [
            entry("de-en", tarfile.DIRTYPE, mode=0o755),
            entry(f"de-en/../../{evidence.name}", size=9),
        ],
        "absolute": [entry(str(evidence), size=9)],
        "link, then through it": [
            entry("de-en", tarfile.SYMTYPE, **outside),
            entry(f"de-en/{evidence.name}", size=9),
        ],
        "relative link": [
            entry("de-en", tarfile.SYMTYPE, linkname=".."),
            entry(f"de-en/{evidence.name}", size=9),
        ],
        "link in place of a file": [
            entry(MEMBER, tarfile.SYMTYPE, linkname=str(evidence)),
            entry(MEMBER, size=9),
        ],
    }


def unpack_iwslt14(source: Path | str, destdir: Path) -> None:
    main(["iwslt14", "--pair", "de-en", "--source", str(source), "--destdir", str(destdir)])


@pytest.fixture
def refused(tmp_path, refusal) -> Callable[[Path], str]:
    """The line that unpacking an archive ends with, which changes nothing."""

    def contents() -> dict[Path, bytes | None]:
        return {p: p.read_bytes() if p.is_file() else None for p in tmp_path.rglob("*")}

    def refused(path: Path) -> str:
        before = contents()
        message = refusal(unpack_iwslt14, path, tmp_path / "raw")
        assert contents() == before
        return message

    return refused


@pytest.mark.parametrize("name", members_outside(Path("/x")))
@pytest.mark.parametrize("nested", [False, True])
def test_no_member_is_written_outside(name, nested, evidence, tmp_path, refused):
    path = write_archive(tmp_path / "de-en.tgz", *members_outside(evidence)[name])
    trusting = tmp_path / "trusting"
    trusting.mkdir()
    with tarfile.open(path) as tar, contextlib.suppress(OSError):
        for member in tar:  # one by one, as `tar -x` does
            if member.name == MEMBER and (trusting / MEMBER).is_symlink():
                (trusting / MEMBER).write_bytes(b"through")
            else:
                tar.extract(member, trusting, filter="fully_trusted")
    assert evidence.exists()
    evidence.unlink()
    if nested:
        path.write_bytes(tgz({"2014-01/texts/de/en/de-en.tgz": path.read_bytes()}))
    refused(path)


@pytest.mark.parametrize(
    "member",
    [
        entry(MEMBER, tarfile.LNKTYPE, linkname="../../secret"),
        entry(MEMBER, tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry(MEMBER, tarfile.FIFOTYPE),
        entry(MEMBER, tarfile.CHRTYPE, devmajor=1, devminor=5),
        entry(MEMBER, size=2**31, pax_headers={"size": str(2**60)}),
        entry("x\n\x1b[2J/../../y", size=9),
        entry("x", pax_headers={"path": "/\x1b[2J"}, size=9),
        entry("x", pax_headers={"path": f"{MEMBER}\0.."}, size=9),
    ],
    ids=range(8),
)
def test_links_devices_and_odd_names_are_refused(member, tmp_path, refused):
    path = tmp_path / "de-en.tgz"
    if member.size < 2**20:
        write_archive(path, member)
    else:
        path.write_bytes(gzip.compress(member.tobuf(tarfile.PAX_FORMAT) + bytes(2**16)))
    refused(path)


ZEROS = bytes(2**23)


def sparse() -> bytes:
    fields = {"GNU.sparse.map": f"{2**40},512", "GNU.sparse.size": str(2**40)}
    member = entry(MEMBER, size=512, pax_headers={**fields, "GNU.sparse.numblocks": "1"})
    return gzip.compress(member.tobuf(tarfile.PAX_FORMAT) + bytes(2**16))


# archives of some kilobytes with megabytes in them
BOMBS: dict[str, Callable[[], bytes]] = {
    "a member": lambda: tgz({MEMBER: ZEROS}),
    "many members": lambda: tgz({f"de-en/{n}": bytes(2**16) for n in range(200)}),
    "an archive in it": lambda: tgz({"2014-01/texts/de/en/de-en.tgz": tgz({MEMBER: ZEROS})}),
    "behind the end": lambda: gzip.compress(gzip.decompress(tgz({MEMBER: b"x"})) + ZEROS),
    "many gzip members": lambda: tgz({MEMBER: b"x"}) + gzip.compress(ZEROS) * 2,
    "sparse": sparse,
}


@pytest.mark.parametrize("name", BOMBS)
def test_no_bomb_fills_the_disk(name, tmp_path, refused, monkeypatch):
    bound = 2**22  # stands for the true limit
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", bound)
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", bound)
    path = tmp_path / "de-en.tgz"
    path.write_bytes(BOMBS[name]())
    assert path.stat().st_size < 2**18
    assert "absurd size" in refused(path)


# The archives of languages, in the archive of all of them


def unpack_panx(archive: Path, of_german: bytes) -> None:
    """Make raw text of a .zip archive in which a stranger's is that of German."""
    archives = {"en": language_archive("en"), "de": of_german}
    members = {f"panx_dataset/{name}.tar.gz": content for name, content in archives.items()}
    archive.write_bytes(zipped(members))
    command = f"panx --languages de --source {archive} --destdir {archive.parent / 'raw'}"
    main(command.split())


@pytest.mark.parametrize("name", members_outside(Path("/x")))
def test_no_member_of_a_nested_archive_is_written_outside(name, evidence, tmp_path, refusal):
    nested = write_archive(tmp_path / "de.tar.gz", *members_outside(evidence)[name])
    refusal(unpack_panx, tmp_path / "panx.zip", nested.read_bytes())
    assert {path.name for path in tmp_path.iterdir()} == {"de.tar.gz", "panx.zip"}


@pytest.mark.parametrize(
    "bomb",
    [
        lambda: tgz({"test": ZEROS}),
        lambda: gzip.compress(gzip.decompress(tgz({"test": b"de:x\tO\n"})) + ZEROS),
        lambda: ZEROS,
    ],
    ids=["a member", "behind the end", "the archive itself"],
)
def test_no_nested_bomb_fills_the_disk(bomb, tmp_path, refusal, monkeypatch):
    for module in (archive, zip_archive):
        monkeypatch.setattr(module, "MAX_MEMBER_BYTES", 2**22)
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", 2**22)
    assert "absurd size" in refusal(unpack_panx, tmp_path / "panx.zip", bomb())
    assert [path.name for path in tmp_path.iterdir()] == ["panx.zip"]


# Servers


@contextlib.contextmanager
def server_that_says(*parts: bytes) -> Iterator[str]:
    """A server's address; it answers every request so, the last part for ever if it is ``...``."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while self.rfile.readline().strip():
                    pass
                for part in parts[:-1]:
                    self.wfile.write(part)
                while parts[-1] and not stopped.is_set():
                    self.wfile.write(parts[-1])

    stopped = threading.Event()
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/a.tgz"
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


OK = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
BLOCK = bytes(2**16)
ANSWERS = {
    "an endless body": (OK, b"\r\n", BLOCK),
    "endless chunks": (OK, b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + BLOCK + b"\r\n"),
    "an absurd length": (OK, b"Content-Length: 99999999999999\r\n\r\n", BLOCK),
    "a longer body than said": (OK, b"Content-Length: 9\r\n\r\n", BLOCK),
    "a shorter body than said": (OK, b"Content-Length: 9\r\n\r\nabc", b""),
    "a negative length": (OK, b"Content-Length: -1\r\n\r\n", BLOCK),
    "endless headers": (OK, b"X: y\r\n"),
    "an endless header": (OK, BLOCK.replace(b"\0", b"x")),
    "no HTTP": (b"\x1b[2J", BLOCK),
    "a loop": (MOVED, b"/a.tgz\r\n\r\n", b""),
    "a local file": (MOVED, b"file:///etc/passwd\r\n\r\n", b""),
    "a terminal's commands": (b"HTTP/1.1 404 \x1b[2J\r\n\r\n", b""),
    "commands in an address": (MOVED, b"data:\x1b[2J\r\n\r\n", b""),
    "a range not asked for": (
        b"HTTP/1.1 206 OK\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nabcde",
        b"",
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("known", [False, True])
def test_no_server_fills_the_disk_or_steers(answer, known, tmp_path, inject, refusal, monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.001)
    monkeypatch.setattr(download, "MAX_BYTES", 2**20)
    (tmp_path / "other").write_bytes(b"mine")
    downloads = tmp_path / "downloads"
    with server_that_says(*ANSWERS[answer]) as url:
        remote = Remote(url, *((2**20, "0") if known else ()))
        if answer == "a longer body than said" and not known:
            assert fetch(remote, downloads, "").read_bytes() == bytes(9)
            inject()
        else:
            refusal(fetch, remote, downloads, "do something else")
            assert not (downloads / "a.tgz").exists()
    assert sum(path.stat().st_size for path in downloads.iterdir()) < 2**18
    assert (tmp_path / "other").read_bytes() == b"mine"
    assert {path.name for path in tmp_path.iterdir()} == {"other", "downloads"}


def test_what_a_server_sends_is_unpacked_as_a_strangers(evidence, tmp_path, refusal):
    member = entry(f"../../{evidence.name}", size=9)
    evil = write_archive(tmp_path / "evil.tgz", member).read_bytes()
    with server_that_says(OK, b"Content-Length: %d\r\n\r\n" % len(evil), evil, b"") as url:
        refusal(unpack_iwslt14, url, tmp_path / "raw")
    assert not evidence.exists() and not list((tmp_path / "raw").rglob("a.tgz*"))
