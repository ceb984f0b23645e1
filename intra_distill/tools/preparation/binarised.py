"""What the data directories of labelled text share: how files get there, and fairseq's binaries."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fairseq.data import indexed_dataset

from ...errors import UserError
from ...files import read_json, write_json
from ..directory import Content, Directory

MADE, FILES, INPUTS, COUNTS = (
    "made",
    "files",
    "inputs.json",
    "counts.json",
)  # in the folder of unfinished work


def make_binarised(
    directory: Directory,
    describe_inputs: Callable[[], Content],
    write: Callable[[Path], Content],
) -> tuple[Content, Content]:
    """Make the files of a data directory in one step, then move them there one by one.

    Args:
        directory: its request has the description of the input files as ``inputs``.
        describe_inputs: describes them again, after they have been read.
        write: writes the files into the empty folder that it gets. It returns what the report says
            of each split.

    Returns:
        The description of the inputs, since a later run may complete the directory without them,
        and what ``write`` returned.

    Raises:
        UserError: ``write`` raised it, or an input file was changed meanwhile.
    """
    made = directory.work / MADE

    def write_all(scratch: Path) -> None:
        (scratch / MADE / FILES).mkdir(parents=True)
        write_json(scratch / MADE / COUNTS, write(scratch / MADE / FILES))
        check_unchanged(directory.request["inputs"], describe_inputs())
        write_json(scratch / MADE / INPUTS, directory.request["inputs"])

    directory.make_files(directory.work, [MADE], write_all)
    # one by one: a folder cannot be moved onto a full one, which an earlier run has left
    for path in sorted((made / FILES).iterdir()):
        directory.make_files(
            directory.path, [path.name], lambda folder, path=path: copy_into(path, folder)
        )
    return read_json(made / INPUTS), read_json(made / COUNTS)


@contextmanager
def indexed(prefix: Path, vocab_size: int) -> Iterator[indexed_dataset.MMapIndexedDatasetBuilder]:
    """Write PREFIX.bin and PREFIX.idx, with the dictionary's smallest type of integers."""
    builder = indexed_dataset.make_builder(f"{prefix}.bin", impl="mmap", vocab_size=vocab_size)
    yield builder
    builder.finalize(f"{prefix}.idx")


def copy_into(path: Path, folder: Path) -> None:
    """Copy a file, or a folder of files, into another folder."""
    if path.is_dir():
        (folder / path.name).mkdir()
        for file in path.iterdir():
            shutil.copyfile(file, folder / path.name / file.name)
    else:
        shutil.copyfile(path, folder / path.name)


def check_unchanged(before: Content, now: Content) -> None:
    """Raise UserError if an input file has changed since it was described."""
    for name, entry in before.items():
        if now[name] != entry:
            raise UserError(f"{entry['file']} was changed while it was read: run again")


def find_other_file(old: Content, new: Content) -> str | None:
    """Name the first input file of a new request that an old one had otherwise, or None.

    The content of a file matters, its path does not.
    """
    gone, added = (
        " and ".join(name for name in ours if name not in theirs)
        for ours, theirs in ((old, new), (new, old))
    )
    if gone or added:
        return f"{gone or 'fewer files'}, not {added}" if added else f"{gone} too"
    for name, now in new.items():
        then = old[name]
        if then["sha256"] != now["sha256"]:
            return f"another {name} ({then['file']} as it was then, not {now['file']})"
    return None
