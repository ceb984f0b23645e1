"""Preparations of toy text: one to be run, and one that is finished."""

from pathlib import Path

import pytest

from intra_distill.tools.preparation.request import TranslationPreparation

from ...support.preparations import make_toy, prepare


@pytest.fixture
def toy(tmp_path: Path) -> TranslationPreparation:
    return make_toy(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> TranslationPreparation:
    """The same, finished; it is not to be changed."""
    return prepare(make_toy(tmp_path_factory.mktemp("finished")))
