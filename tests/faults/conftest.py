"""Counts the faults that the tests of this folder inject, and prints them, by kind, at the end."""

from collections import Counter
from collections.abc import Callable

import pytest

FAULTS = Counter()  # of each module, as the tests injected them
KIND = pytest.StashKey[dict[str, str]]()


@pytest.fixture(scope="session")
def long_version(request) -> bool:
    return request.config.getoption("--long")


@pytest.fixture(scope="session")
def times(long_version) -> Callable[[int, int], int]:
    """``times(short, long)``: how often to do something, in the short and in the long version."""
    return lambda short, long: long if long_version else short


@pytest.fixture(scope="module")
def inject(request) -> Callable[..., None]:
    """To be called once for each fault, or with their number; hypothesis' examples count too."""
    module = request.node.nodeid

    def inject(faults: int = 1) -> None:
        FAULTS[module] += faults

    return inject


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A kind is the first line of its module."""
    modules = {item.nodeid.split("::")[0]: item.getparent(pytest.Module) for item in items}
    config.stash[KIND] = {
        name: module.obj.__doc__.splitlines()[0].rstrip(".")
        for name, module in modules.items()
        if "/faults/" in name
    }


def pytest_terminal_summary(terminalreporter) -> None:
    reports = {outcome: terminalreporter.getreports(outcome) for outcome in ("passed", "failed")}
    kinds = {
        name: kind
        for name, kind in terminalreporter.config.stash.get(KIND, {}).items()
        if FAULTS[name]
    }
    if not kinds:
        return
    terminalreporter.section("faults")
    terminalreporter.line("| kind | faults injected | tests | failures |")
    terminalreporter.line("| --- | ---: | ---: | ---: |")
    for name, kind in kinds.items():
        passed, failed = (
            sum(report.nodeid.split("::")[0] == name for report in reports[outcome])
            for outcome in ("passed", "failed")
        )
        terminalreporter.line(f"| {kind} | {FAULTS[name]} | {passed + failed} | {failed} |")
