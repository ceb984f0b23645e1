"""pytest's last lines after tests of faults: the table of the README."""

from collections import Counter

import pytest

FAULTS, TESTS, FAILURES = Counter(), Counter(), Counter()  # of each kind
NOT_PASSED: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="inject many more faults: tests/faults")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.outcome != "passed":
        NOT_PASSED[report.nodeid] = report.outcome
    properties = dict(report.user_properties)
    if report.when == "teardown" and "kind" in properties:
        kind, outcome = properties["kind"], NOT_PASSED.get(report.nodeid)
        FAULTS[kind] += properties["faults"]
        TESTS[kind] += outcome != "skipped"
        FAILURES[kind] += outcome == "failed"


def pytest_terminal_summary(terminalreporter) -> None:
    if TESTS:
        terminalreporter.section("faults")
        terminalreporter.line("| kind | faults injected | tests | failures |")
        terminalreporter.line("| --- | ---: | ---: | ---: |")
    for kind in sorted(TESTS):
        terminalreporter.line(f"| {kind} | {FAULTS[kind]} | {TESTS[kind]} | {FAILURES[kind]} |")
