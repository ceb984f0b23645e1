"""Access to the model inside the wrappers of distributed training."""

from torch import nn


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside fairseq's and torch's wrappers for several ranks."""
    while hasattr(model, "module"):
        model = model.module
    return model
