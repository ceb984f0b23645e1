"""The tools beside fairseq's own commands: one module per ``intra-distill`` command.

Each module has ``add_arguments(parser)``, which declares its options, and ``main(args)``,
which does the work. What the user got wrong is raised as :class:`UserError`.
"""


class UserError(Exception):
    """Bad input: one line that names what is wrong and what to do about it."""
