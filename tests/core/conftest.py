"""Fixtures of the tests of core."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def poisoned() -> Iterator[None]:
    """Memory that nothing has written to is NaN, on each device."""
    torch.use_deterministic_algorithms(True, warn_only=True)  # torch fills it in this mode alone
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)
