"""Archives for tests: well-formed ones, and ones of hand-made headers."""

import io
import random
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

TEXT = random.Random(1).randbytes(100_000)  # incompressible


def tgz(members: Mapping[str, bytes]) -> bytes:
    """A .tgz archive with these files, and their folders before them."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz", compresslevel=1) as tar:
        folders: set[str] = set()
        for name, content in members.items():
            for parent in reversed(Path(name).parents[:-1]):
                if str(parent) not in folders:
                    folders.add(str(parent))
                    entry = tarfile.TarInfo(str(parent))
                    entry.type = tarfile.DIRTYPE
                    tar.addfile(entry)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A .zip archive with these files, the same bytes each time."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, **fields) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def write_archive(path: Path, *entries: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> Path:
    """Write an archive of hand-made headers; where they promise content, it is TEXT."""
    with tarfile.open(path, "w:gz", format=form) as tar:
        for member in entries:
            promised = member.size if member.isreg() else 0
            tar.addfile(member, io.BytesIO(TEXT[:promised]) if promised else None)
    return path
