"""The statistics that fairseq logs during training, read from a line of any of its logs.

fairseq writes the same message everywhere, and the message alone says what it is of. Before it
stands what the writer of the log puts there: fairseq-train its time and tag, fairseq-hydra-train
others, a launcher a rank, and ``--log-file`` nothing.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TRAINING = "train_inner"  # fairseq's tag for the updates of one --log-interval
TERMINAL_CODE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # colours, as in hydra's colorlog
# A line can begin with a message that was cut, so the last beginning in it counts
BEGINNING = re.compile(r'epoch \d{3,}|\{"epoch": ')
# --log-format simple, and tqdm outside a terminal; on a terminal tqdm logs validations alone
TRAINING_TEXT = re.compile(r"epoch \d+: +\d+ / \d+ (?P<statistics>.*)")
VALIDATION_TEXT = re.compile(
    r"epoch \d+ \| valid on '(?P<subset>[^']+)' subset \| (?P<statistics>.*)"
)


@dataclass(frozen=True)
class Statistics:
    """What fairseq logs at one update.

    Attributes:
        of: the validation subset, or :data:`TRAINING`
        update: the number of updates
        values: fairseq's statistics by name, such as ``loss``, as they stand in the log
    """

    of: str
    update: int
    values: Mapping[str, Any]

    def number(self, name: str) -> float | None:
        """A statistic, or None if it is not there, or is NaN or infinite."""
        return number(self.values.get(name))


def read_statistics(line: str) -> Statistics | None:
    """Read a line of a log; None for a line without such statistics, or one that was cut.

    The statistics of a whole epoch are no use for a curve, and are left out.
    """
    beginnings = [match.start() for match in BEGINNING.finditer(line)]
    if not beginnings:
        return None
    message = TERMINAL_CODE.sub("", line[beginnings[-1] :])
    if message.startswith("{"):
        of, values = parse_json(message)
    elif match := TRAINING_TEXT.match(message):
        of, values = TRAINING, parse_text(match["statistics"], ", ", "=")
    elif match := VALIDATION_TEXT.match(message):
        of, values = match["subset"], parse_text(match["statistics"], " | ", " ")
    else:
        return None
    # a line that was cut has none, or no number: the next line goes on right behind it
    update = number(values.get("num_updates"))
    return None if update is None else Statistics(of, int(update), values)


def parse_text(text: str, separator: str, mark: str) -> dict[str, str]:
    """Split ``loss=4.3, ppl=19`` or ``loss 4.3 | ppl 19`` at its separators and marks."""
    return dict(part.partition(mark)[::2] for part in text.split(separator))


def parse_json(text: str) -> tuple[str, dict[str, Any]]:
    """Parse a JSON message → what it is of, and its values, without fairseq's prefix of the names.

    A validation's names begin with its subset, as in ``valid_num_updates``. Those of a whole epoch
    begin with ``train``, like a validation on the subset train, but only training has a ``wall``.
    """
    try:
        values, _ = json.JSONDecoder().raw_decode(text)
    except ValueError:  # the line was cut when the run was killed
        return "", {}
    if "num_updates" in values:
        return TRAINING, values
    for name in values:
        subset = name.removesuffix("_num_updates")
        if subset != name and f"{subset}_wall" not in values:
            return subset, {key.removeprefix(f"{subset}_"): values[key] for key in values}
    return "", {}


def number(value: Any) -> float | None:
    try:
        value = float(value)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
