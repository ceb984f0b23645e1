"""print the path that fairseq's --user-dir takes"""

import argparse

from ..tools.options import user_dir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def main(args: argparse.Namespace) -> None:
    print(user_dir())
