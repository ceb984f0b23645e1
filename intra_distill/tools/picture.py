"""What all pictures share: colours, file types, and files that are whole or not there.

matplotlib is imported where something is drawn, since no other command has to wait for it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# of Okabe and Ito: told apart by the colour-blind
COLOURS = ["#999999", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"]


def check_picture(path: Path) -> None:
    """Raise UserError for a file without a folder, or whose ending is of no picture."""
    from matplotlib.figure import Figure

    if not path.parent.is_dir():
        raise UserError(f"--plot {path}: there is no folder {path.parent}")
    if path.suffix.removeprefix(".") not in Figure().canvas.get_supported_filetypes():
        raise UserError(f"--plot {path}: pictures of that type cannot be drawn: call it .png")


def save_picture(figure: Figure, path: Path) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    figure.savefig(temporary, format=path.suffix.removeprefix("."), dpi=150)
    os.replace(temporary, path)
