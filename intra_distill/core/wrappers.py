"""What wraps a model to train it on several ranks."""

from torch import nn


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, out of fairseq's wrapper for several ranks, and torch's."""
    while hasattr(model, "module"):
        model = model.module
    return model
