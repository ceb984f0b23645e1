"""Finds what makes two passes of a model over the same input differ."""

from collections.abc import Iterator

from torch import nn

from .layerdrop import LayerDropPerCopy


def dropout_sites(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules whose random choice differs between the copies of one batch.

    Quantisation noise is the same for all copies and does not count; so is fairseq's own LayerDrop,
    unlike that of :mod:`.layerdrop`. Dropout of other libraries is recognised by its class name and
    its probability ``p``.
    """
    for module in model.modules():
        named_dropout = "dropout" in type(module).__name__.lower()
        drops = named_dropout or isinstance(module, LayerDropPerCopy)
        between_layers = isinstance(module, nn.RNNBase) and module.num_layers > 1
        if drops and getattr(module, "p", 0) > 0 or between_layers and module.dropout > 0:
            yield module
