"""What all pictures share: colours, names, file types, and files that are whole or not there.

matplotlib is imported where something is drawn, since no other command has to wait for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from ...files import written_whole
from ..options import check_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# of Okabe and Ito: told apart by the colour-blind
COLOURS = ["#999999", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"]
AS_IT_IS = {"parse_math": False}  # of texts with names in them, whose $ is no mathematics


def add_legend(figure: Figure, handles: dict[str, Any], **options: Any) -> None:
    """Name what is drawn, above it.

    Args:
        handles: what matplotlib drew, by its name; one that begins with _ stands there as well
        options: of matplotlib's legend
    """
    places = [str(place) for place in range(len(handles))]
    options = {"loc": "outside upper center", "frameon": False, **options}
    legend = figure.legend(list(handles.values()), places, **options)
    for text, name in zip(legend.get_texts(), handles, strict=True):
        text.set(text=name, **AS_IT_IS)


def check_picture(path: Path) -> None:
    """Raise UserError for what cannot be written, or whose ending is of no picture."""
    from matplotlib.figure import Figure

    check_output("--plot", path)
    if path.suffix.removeprefix(".") not in Figure().canvas.get_supported_filetypes():
        raise UserError(f"--plot {path}: pictures of that type cannot be drawn: call it .png")


def save_picture(figure: Figure, path: Path) -> None:
    with written_whole(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix("."), dpi=150)
