"""What all pictures share: colours, legends, file types and atomic writes.

matplotlib is imported inside functions, so that no other command waits for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from ...files import written_whole
from ..options import check_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# the palette of Okabe and Ito, which the colour-blind can tell apart
COLOURS = ["#999999", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"]
AS_IT_IS = {"parse_math": False}  # for text with names: a $ is not mathematics


def add_legend(figure: Figure, handles: dict[str, Any], **options: Any) -> None:
    """Add a legend above a figure.

    Args:
        handles: matplotlib's artists by name; a name that begins with _ is shown as well
        options: of matplotlib's legend
    """
    placeholders = [str(i) for i in range(len(handles))]
    options = {"loc": "outside upper center", "frameon": False, **options}
    legend = figure.legend(list(handles.values()), placeholders, **options)
    for text, name in zip(legend.get_texts(), handles, strict=True):
        text.set(text=name, **AS_IT_IS)


def check_picture(path: Path) -> None:
    """Raise UserError for a path that cannot be written or has no ending of a picture."""
    from matplotlib.figure import Figure

    check_output("--plot", path)
    if path.suffix.removeprefix(".") not in Figure().canvas.get_supported_filetypes():
        raise UserError(f"--plot {path}: pictures of that type cannot be drawn: call it .png")


def save_picture(figure: Figure, path: Path) -> None:
    with written_whole(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix("."), dpi=150)
