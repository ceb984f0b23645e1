"""The tools beside fairseq's own commands: one module per ``intra-distill`` command.

Each module has ``add_arguments(parser)``, which declares its options, and ``main(args)``,
which does the work. What the user got wrong is raised as :class:`UserError`.
"""

from ..refusal import UserError

__all__ = ["UserError"]
