"""print the path of the plugin for fairseq's --user-dir

It is the folder of the installed package::

    fairseq-train DATA --user-dir "$(intra-distill user-dir)" $(intra-distill args CONFIG)
"""

import argparse

from ..tools.options import user_dir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def main(args: argparse.Namespace) -> None:
    print(user_dir())
