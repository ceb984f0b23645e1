"""What fairseq puts into its checkpoints beside tensors, declared safe to load.

torch ≥ 2.6 loads with ``weights_only``: a checkpoint is read as data and may build objects of
known types alone, so that a file from a stranger runs no code. fairseq's checkpoints need the
types below, none of which does anything but hold values.
"""

import argparse
import collections
import typing

import numpy as np
import omegaconf
import torch
from fairseq.distributed.utils import _TensorPlaceholder

SAFE_TYPES = [
    argparse.Namespace,  # the configuration of models without a dataclass
    # --eval-bleu keeps n-gram counts as numpy arrays among the metrics
    np.ndarray,
    np.dtype,
    type(np.dtype(np.int64)),
    type(np.dtype(np.float64)),
    np.empty(0).__reduce__()[0],  # numpy's own functions that rebuild an array and a number
    np.float64(0).__reduce__()[0],
    # on resuming with several ranks the state is broadcast with placeholders for its tensors
    # and with the configuration as omegaconf holds it
    _TensorPlaceholder,
    omegaconf.DictConfig,
    omegaconf.ListConfig,
    omegaconf.AnyNode,
    omegaconf.base.ContainerMetadata,
    omegaconf.base.Metadata,
    collections.defaultdict,
    typing.Any,
    dict,
    list,
    int,
]


def allow_fairseq_checkpoints() -> None:
    """Let ``torch.load`` build :data:`SAFE_TYPES`."""
    torch.serialization.add_safe_globals(SAFE_TYPES)
