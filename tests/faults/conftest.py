"""What the tests of faults share: how many to inject, their count, and the world they meet."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sacrebleu.dataset import DATASETS

from intra_distill.errors import UserError, one_line

from ..support.checkpoints import train_model
from ..support.corpora import write_newstest2014
from ..support.finished_work import contents, finish_work


@pytest.fixture(scope="session")
def long_version(request) -> bool:
    return request.config.getoption("--long")


@pytest.fixture(scope="session")
def times(long_version) -> Callable[[int, int], int]:
    """``times(short, long)``: how often to do something, in the short and in the long version."""
    return lambda short, long: long if long_version else short


@pytest.fixture(scope="session")
def injected() -> Counter:
    return Counter()


@pytest.fixture(scope="session")
def inject(injected) -> Callable[..., None]:
    """To be called once for each fault, or with their number; hypothesis' examples count too."""

    def inject(faults: int = 1) -> None:
        injected["faults"] += faults

    return inject


@pytest.fixture(autouse=True)
def count_faults(request, injected) -> Iterator[None]:
    """A test's kind and its faults go into its report.

    The kind is the first line of its module up to a colon: modules of one kind are counted as one.
    """
    before = injected["faults"]
    yield
    kind = request.module.__doc__.splitlines()[0].rstrip(".").split(":")[0]
    request.node.user_properties += [("kind", kind), ("faults", injected["faults"] - before)]


@pytest.fixture(scope="session")
def work() -> Iterator[Path]:
    """A folder of finished work, readable by all users, with strange files beside it."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        os.chmod(folder, 0o755)
        patch.chdir(folder)
        finish_work()
        write_newstest2014(Path("sacrebleu"))
        patch.undo()
        yield Path(folder)


@pytest.fixture(scope="session")
def finished(work) -> dict[str, bytes | int]:
    return contents(work)


@pytest.fixture
def world(work, monkeypatch) -> Path:
    """The folder of finished work as the current one; its newstest2014 is sacreBLEU's."""
    monkeypatch.chdir(work)
    newstest = DATASETS["wmt14/full"]
    monkeypatch.setattr(newstest, "_outdir", f"{work}/sacrebleu/wmt14/full")
    monkeypatch.setattr(newstest, "_rawdir", f"{work}/sacrebleu/wmt14/full/raw")
    return work


@pytest.fixture(scope="session")
def checkpoint(prepared, tmp_path_factory) -> Path:
    """A checkpoint of a plain transformer after its first update."""
    return train_model(prepared, tmp_path_factory.mktemp("run"), 1, "--task", "translation")


@pytest.fixture
def evidence(tmp_path) -> Path:
    """The file that an exploit makes where it succeeds."""
    return tmp_path / "evidence"


@pytest.fixture(scope="session")
def refusal(inject) -> Callable[..., str]:
    """A function and its arguments → the one line, harmless to a terminal, that its call ends with.

    Each call is a fault.
    """

    def refusal(function: Callable[..., object], *arguments: object) -> str:
        inject()
        with pytest.raises((UserError, SystemExit)) as error:
            function(*arguments)
        message = str(error.value)
        assert message == one_line(message) and len(message) > 1
        return message

    return refusal
