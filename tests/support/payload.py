"""What a hostile pickle holds."""

import os
from pathlib import Path


class Payload:
    """Makes a directory when it is unpickled."""

    def __init__(self, path: Path | str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)
