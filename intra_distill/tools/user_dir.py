"""print the path that fairseq's --user-dir takes"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def main(args: argparse.Namespace) -> None:
    print(user_dir())


def user_dir() -> Path:
    """The folder of this package."""
    return Path(__file__).parents[1]
