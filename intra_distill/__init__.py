"""Intra-distillation for fairseq: train with ``--user-dir intra_distill``.

Xu, Koehn, Murray: The Importance of Being Parameters: An Intra-Distillation Method for Serious
Gains, EMNLP 2022. Importing the package registers its task and its criterion with fairseq.
"""

import logging

__version__ = "0.1.0"

# fairseq tells every user, at every start, that its speech tasks lack tensorboardX
logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)

from .checkpoints import allow_fairseq_checkpoints  # noqa: E402

# fairseq looks for tasks itself only where it is the first to import the package
from .criterions import intra_distillation  # noqa: E402, F401
from .tasks import translation_intra_distillation  # noqa: E402, F401

allow_fairseq_checkpoints()
