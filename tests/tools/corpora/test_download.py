import errno
import multiprocessing
import os
import random
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import pytest

from intra_distill.errors import UserError
from intra_distill.files import sha256
from intra_distill.tools.corpora import download
from intra_distill.tools.corpora.download import Remote, check_space, fetch

from ...support.server import Fault, serve

CONTENT = random.Random(1).randbytes(300_000)
SIZE = len(CONTENT)
PAGE = b"\xef\xbb\xbf \n<!DOCTYPE html><html>Sign in</html>"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.001)


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """The folder that is served, with the file a.tgz in it."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "a.tgz").write_bytes(CONTENT)
    return folder


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


def ranges(served) -> list[str | None]:
    return [asked for _, asked in served.requests]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def refusal(remote: Remote, folder: Path) -> str:
    with pytest.raises(UserError) as error:
        fetch(remote, folder, "do something else")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_is_fetched_once(web, downloads):
    known = {"size": SIZE, "sha256": sha256(web / "a.tgz")}
    with serve(web) as served:
        for facts in ({}, {}, known):
            path = fetch(Remote(f"{served.url}a.tgz", **facts), downloads, "")
            assert path == downloads / "a.tgz"
            assert path.read_bytes() == CONTENT
    assert len(served.requests) == 1
    assert names(downloads) == {"a.tgz", "a.tgz.json"}


CUT = Fault(cut=100_000)


@pytest.mark.parametrize(
    "faults, expected",
    [
        ([CUT, Fault(cut=50_000)], [None, "bytes=100000-", "bytes=150000-"]),
        (
            [Fault(cut=100_000, tags=False), Fault(cut=50_000, tags=False), Fault(tags=False)],
            [None, "bytes=100000-", "bytes=150000-"],
        ),
        ([CUT, Fault(ranges=False)], [None, "bytes=100000-"]),  # sends the whole file again
        ([Fault(status=503), Fault(status=429)], [None] * 3),
        ([Fault(stall=0.5)], [None] * 2),  # longer than TIMEOUT
        (
            [Fault(cut=10_000)] * (2 * download.ATTEMPTS),  # often, but each brings something
            [None, *(f"bytes={k}0000-" for k in range(1, 2 * download.ATTEMPTS + 1))],
        ),
    ],
)
def test_an_interrupted_download_resumes(web, downloads, monkeypatch, faults, expected):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with serve(web, {"a.tgz": faults}) as served:
        assert fetch(Remote(f"{served.url}a.tgz"), downloads, "").read_bytes() == CONTENT
    assert ranges(served) == expected


def test_a_download_that_was_given_up_resumes(web, downloads):
    with serve(web, {"a.tgz": [CUT, *[Fault(cut=0)] * download.ATTEMPTS]}) as served:
        remote = Remote(f"{served.url}a.tgz")
        assert "run again to resume from byte 100,000" in refusal(remote, downloads)
        assert names(downloads) == {"a.tgz.part", "a.tgz.json"}
        assert fetch(remote, downloads, "").read_bytes() == CONTENT
    assert ranges(served)[-1] == "bytes=100000-"


def interrupted(tags: bool) -> Iterator[Fault]:
    """A connection that is cut once and then brings nothing until the download is given up."""
    yield Fault(cut=100_000, tags=tags)
    yield from repeat(Fault(cut=0, tags=tags), download.ATTEMPTS)
    yield from repeat(Fault(tags=tags))


@pytest.mark.parametrize(
    "length, tags",
    [(99_999, True), (SIZE, True), (400_000, True), (99_999, False), (200_000, False)],
)
def test_a_part_of_another_version_is_not_completed(web, downloads, length, tags):
    with serve(web, {"a.tgz": interrupted(tags)}) as served:
        remote = Remote(f"{served.url}a.tgz")
        refusal(remote, downloads)
        changed = random.Random(2).randbytes(length)
        (web / "a.tgz").write_bytes(changed)
        assert fetch(remote, downloads, "").read_bytes() == changed


def test_a_part_from_elsewhere_is_not_completed(web, downloads):
    (web / "b").mkdir()
    (web / "b" / "a.tgz").write_bytes(CONTENT[::-1])
    with serve(web, {"a.tgz": interrupted(tags=False)}) as served:
        refusal(Remote(f"{served.url}a.tgz"), downloads)
        assert fetch(Remote(f"{served.url}b/a.tgz"), downloads, "").read_bytes() == CONTENT[::-1]


def test_a_server_that_stays_down_is_given_up(web, downloads):
    with serve(web, {"a.tgz": repeat(Fault(status=500))}) as served:
        message = refusal(Remote(f"{served.url}a.tgz"), downloads)
    assert "500" in message and message.endswith("or do something else")
    assert len(served.requests) == download.ATTEMPTS
    assert "Connection refused" in refusal(Remote(f"{served.url}a.tgz"), downloads)


@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_is_not_there_is_not_asked_for_twice(web, downloads, status):
    with serve(web, {"b.tgz": repeat(Fault(status=status))}) as served:
        message = refusal(Remote(f"{served.url}b.tgz"), downloads)
    assert f"{served.url}b.tgz" in message and str(status) in message
    assert "do something else" in message
    assert len(served.requests) == 1
    assert names(downloads) == set()


@pytest.mark.parametrize(
    "fault, size, said",
    [
        (Fault(body=b"<p>Sign in", type="text/html; charset=utf-8"), SIZE, "sends a web page"),
        (Fault(body=PAGE), SIZE, "sends a web page"),
        (Fault(), 5, "300,000 bytes, not 5"),
    ],
)
def test_another_file_is_refused_before_it_is_fetched(web, downloads, fault, size, said):
    with serve(web, {"a.tgz": [fault]}) as served:
        message = refusal(Remote(f"{served.url}a.tgz", size=size), downloads)
    assert said in message and "do something else" in message
    assert names(downloads) == set()


def test_wrong_bytes_are_refused_and_removed(web, downloads):
    wrong = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    with serve(web, {"a.tgz": [Fault(body=wrong)]}) as served:
        remote = Remote(f"{served.url}a.tgz", SIZE, sha256(web / "a.tgz"))
        assert "SHA-256" in refusal(remote, downloads)
        assert names(downloads) == set()
        assert fetch(remote, downloads, "").read_bytes() == CONTENT


def test_a_file_that_is_there_and_wrong_is_named_and_left(web, downloads):
    downloads.mkdir()
    (downloads / "a.tgz").write_bytes(b"mine")
    with serve(web) as served:
        url = f"{served.url}a.tgz"
        assert "was not fetched from" in refusal(Remote(url), downloads)
        assert "4 bytes" in refusal(Remote(url, size=SIZE), downloads)
        assert "SHA-256" in refusal(Remote(url, size=4, sha256="0"), downloads)
    assert served.requests == []
    assert (downloads / "a.tgz").read_bytes() == b"mine"


@pytest.mark.parametrize("path", ["", "b/", "b/.lock", ".."])
def test_an_address_without_a_name_is_refused(downloads, path):
    assert "names no file" in refusal(Remote(f"http://127.0.0.1:9/{path}"), downloads)
    assert not downloads.exists()


def test_a_full_disk_is_seen_before_anything_is_written(web, downloads, monkeypatch):
    usage = download.shutil.disk_usage(web)._replace(free=SIZE - 1)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    with serve(web) as served:
        assert "has room for" in refusal(Remote(f"{served.url}a.tgz"), downloads)
    assert names(downloads) == set()
    check_space(web, SIZE - 1)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot write" in refusal(Remote("http://127.0.0.1:9/a.tgz"), tmp_path / "file" / "x")


def test_processes_that_share_a_folder_fetch_once(web, downloads):
    with serve(web, {"a.tgz": [Fault(stall=0.3)]}) as served:
        fork = multiprocessing.get_context("fork")
        remote = Remote(f"{served.url}a.tgz")
        others = [fork.Process(target=fetch, args=(remote, downloads, "")) for _ in range(3)]
        for process in others:
            process.start()
        for process in others:
            process.join()
    assert [process.exitcode for process in others] == [0, 0, 0]
    assert (downloads / "a.tgz").read_bytes() == CONTENT
    assert len(served.requests) == 1


def test_a_folder_without_locks_is_used_with_a_warning(web, downloads, monkeypatch, capsys):
    def flock(_file, _operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with serve(web) as served:
        assert fetch(Remote(f"{served.url}a.tgz"), downloads, "").read_bytes() == CONTENT
    assert "cannot be locked (No locks available): see to it" in capsys.readouterr().err
