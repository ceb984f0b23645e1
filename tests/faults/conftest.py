"""What the tests of faults share: how many to inject, and the count of those that were."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest


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
    """A test's kind, which is its module's first line, and its faults go into its report."""
    before = injected["faults"]
    yield
    kind = request.module.__doc__.splitlines()[0].rstrip(".")
    request.node.user_properties += [("kind", kind), ("faults", injected["faults"] - before)]
