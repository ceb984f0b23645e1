"""Intra-distillation for fairseq: train with ``--user-dir intra_distill``.

Xu, Koehn, Murray: The Importance of Being Parameters: An Intra-Distillation Method for Serious
Gains, EMNLP 2022. Importing the package registers all it has with fairseq, but in a process that
does without fairseq, whose import takes seconds and starts threads.
"""

import os
import sys

__version__ = "0.1.0"

WITHOUT_FAIRSEQ = "INTRA_DISTILL_WITHOUT_FAIRSEQ"  # a variable that such processes are given
COMMANDS_WITHOUT_FAIRSEQ = (
    *("args", "encode", "iwslt14", "panx", "table", "toy-corpus", "tydiqa", "user-dir", "wmt17"),
    "xquad",
)


def does_without_fairseq() -> bool:
    if WITHOUT_FAIRSEQ in os.environ:
        return True
    program, command = [*sys.argv, "", ""][:2]
    return os.path.basename(program) == "intra-distill" and command in COMMANDS_WITHOUT_FAIRSEQ


if not does_without_fairseq():
    from . import registration  # noqa: F401
