"""Loading fairseq's checkpoints with ``weights_only``, the default of torch ≥ 2.6.

torch then builds only objects of known types, so that an untrusted file cannot run code. Besides
tensors, fairseq's checkpoints need :data:`SAFE_TYPES`, which only hold values.
"""

import argparse
import collections
import functools
import pickle
import typing

import numpy as np
import omegaconf
import torch
from fairseq import checkpoint_utils
from fairseq.distributed.utils import _TensorPlaceholder

from ..checkpoints import refuse_code
from ..errors import UserError, refuse


class NumpyType:
    """Replaces ``numpy.dtype`` while a file is read, and accepts only types of numbers."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        self.dtype = np.dtype(code)
        if self.dtype.kind not in "biufc":
            raise pickle.UnpicklingError(f"{self.dtype} is no type of numbers")

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class NumpyArray(np.ndarray):
    """Replaces ``numpy.ndarray``, which would accept bytes as pointers to Python objects."""

    def __new__(cls, *_: typing.Any) -> "NumpyArray":
        return super().__new__(cls, 0)

    def __setstate__(self, state: tuple) -> None:
        version, shape, number, fortran, content = state
        super().__setstate__((version, shape, number.dtype, fortran, content))

    def __reduce__(self) -> tuple:
        return np.asarray(self).__reduce__()


def numpy_number(number: NumpyType, content: bytes) -> np.generic:
    return np.frombuffer(content, number.dtype)[0]


# numpy 2 renamed the module: a checkpoint has the name under the numpy that wrote it
MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
SAFE_TYPES = [
    argparse.Namespace,  # the configuration of models without a dataclass
    # --eval-bleu keeps n-gram counts as numpy arrays among the metrics
    NumpyType,
    (NumpyType, "numpy.dtype"),
    (NumpyArray, "numpy.ndarray"),
    *((NumpyArray, f"{module}._reconstruct") for module in MULTIARRAY),
    *((numpy_number, f"{module}.scalar") for module in MULTIARRAY),
    # when several ranks resume, fairseq broadcasts the state with placeholders for its tensors
    # and with omegaconf's own types for the configuration
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
    """Let ``torch.load`` build :data:`SAFE_TYPES`, and refuse configurations that run code."""
    torch.serialization.add_safe_globals(SAFE_TYPES)
    load = checkpoint_utils.load_checkpoint_to_cpu

    @functools.wraps(load)
    def load_checked(path: str, *args: typing.Any, **kwargs: typing.Any) -> dict[str, typing.Any]:
        state = load(path, *args, **kwargs)
        try:
            refuse_code(path, state)
        except UserError as error:
            refuse(str(error))
        return state

    checkpoint_utils.load_checkpoint_to_cpu = load_checked
