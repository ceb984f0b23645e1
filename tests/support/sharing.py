"""A plugin of pytest: several processes share the same tests out among them, whichever is free.

``python -m pytest -p tests.support.sharing --taken DIR --told FILE --limit SECONDS TESTS…`` is one
of them. A test is taken by making a file in DIR, which one process alone can. What becomes of it
is told in FILE, a line of JSON each, so that it is known when the process is killed. The files of
tests are run in the order in which they are named.

The process ends where it can no longer be trusted: when a test takes longer than its limit, also in
a call that Python cannot interrupt, and when a test has broken CUDA. Another then takes its place.
"""

import faulthandler
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CUDA_IS_BROKEN = 3  # exit status


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--taken", type=Path, metavar="DIR", help="which tests are taken")
    parser.addoption("--told", type=Path, metavar="FILE", help="what becomes of them")
    parser.addoption("--limit", type=float, metavar="SECONDS", help="the longest that one may take")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Sharer(config))


class Sharer:
    """One of the processes."""

    def __init__(self, config: pytest.Config) -> None:
        self.taken: Path = config.getoption("--taken")
        self.limit: float = config.getoption("--limit")
        self.told = open(config.getoption("--told"), "a", encoding="utf-8", buffering=1)
        self.stderr = os.dup(2)  # pytest captures 2 during a test
        self.parent = os.getppid()
        self.order = {config.invocation_params.dir / arg: i for i, arg in enumerate(config.args)}
        self.reports: list[pytest.TestReport] = []

    def tell(self, event: str, **what: Any) -> None:
        self.told.write(json.dumps({"event": event, **what}) + "\n")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.order.get(item.path, len(self.order)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.tell("ended", test=report.nodeid, **outcome([report]))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.tell("found", tests=[item.nodeid for item in session.items])

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what nobody else has taken: pytest has to know the next test before it runs one."""
        mine = self.take(session.items)
        item = next(mine, None)
        while item is not None and os.getppid() == self.parent:  # who has asked for it
            following = next(mine, None)
            self.run(item, following)
            item = following
        return True

    def take(self, items: list[pytest.Item]) -> Iterator[pytest.Item]:
        for item in items:
            path = self.taken / hashlib.sha256(item.nodeid.encode()).hexdigest()
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                continue
            self.tell("taken", test=item.nodeid, file=str(path))
            yield item

    def run(self, item: pytest.Item, following: pytest.Item | None) -> None:
        self.reports = []
        self.tell("began", test=item.nodeid)
        faulthandler.dump_traceback_later(self.limit, exit=True, file=self.stderr)
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        faulthandler.cancel_dump_traceback_later()
        self.tell("ended", test=item.nodeid, **outcome(self.reports))
        if any(report.failed and "CUDA error" in report.longreprtext for report in self.reports):
            os._exit(CUDA_IS_BROKEN)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.reports.append(report)


def outcome(reports: list[Any]) -> dict[str, Any]:
    """What reports on a test's setup, call and teardown come to."""
    seconds = round(sum(getattr(report, "duration", 0.0) for report in reports), 3)
    for kind in ("failed", "skipped"):
        for report in reports:
            if getattr(report, kind):
                return {"outcome": kind, "why": reason(report), "seconds": seconds}
    return {"outcome": "passed", "why": "", "seconds": seconds}


def reason(report: Any) -> str:
    """One line: of a failure the error, of a skipped test why."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash else report.longreprtext).strip().splitlines()
    return (lines[0] if crash else lines[-1]) if lines else "no reason is given"
