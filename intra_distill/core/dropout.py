"""Does anything in a model make two passes over the same input differ?"""

from collections.abc import Iterator

from torch import nn


def dropout_sites(model: nn.Module) -> Iterator[nn.Module]:
    """The modules whose random choice differs between the copies of one batch.

    Layer-wise choices (LayerDrop, quantisation noise) fall on all copies alike and do not count.
    Dropout modules of other libraries are known by their name and their probability ``p``.
    """
    for module in model.modules():
        named_dropout = "dropout" in type(module).__name__.lower()
        if named_dropout and getattr(module, "p", 0) > 0:
            yield module
        elif isinstance(module, nn.RNNBase) and module.num_layers > 1 and module.dropout > 0:
            yield module
