"""Intra-distillation for fairseq: train with ``--user-dir intra_distill``.

Xu, Koehn, Murray: The Importance of Being Parameters: An Intra-Distillation Method for Serious
Gains, EMNLP 2022. Importing the package registers all it has with fairseq.
"""

import os

__version__ = "0.1.0"

# Set for processes that do without fairseq, whose import takes seconds and starts threads
WITHOUT_FAIRSEQ = "INTRA_DISTILL_WITHOUT_FAIRSEQ"

if WITHOUT_FAIRSEQ not in os.environ:
    from . import registration  # noqa: F401
