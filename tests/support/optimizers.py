"""What tests of optimizers share: a run that resumes."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def assert_resumes_to_the_last_bit(
    build: Callable[[], tuple[nn.Module, Any]], update: Callable[[nn.Module, Any], None]
) -> None:
    """An update after the states were saved and loaded is that of the undisturbed run.

    Args:
        build: makes a model, and fairseq's optimizer of it
        update: makes an update of both
    """
    model, optimizer = build()
    for _ in range(3):
        update(model, optimizer)
    resumed, fresh = build()
    resumed.load_state_dict(model.state_dict())
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    update(model, optimizer)
    update(resumed, fresh)
    for p, q in zip(model.parameters(), resumed.parameters()):
        assert torch.equal(p, q)
