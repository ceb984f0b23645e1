"""What the criterion logs arrives in the event files of fairseq-train --tensorboard-logdir."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from fairseq.logging import progress_bar

from intra_distill.core.schedule import AlphaSchedule

from .support.training import INTRA, run_training

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2", reason="no tensorboardX here")
UPDATES = 12


def read_events(file: Path) -> Iterator[tuple[str, int, float]]:
    """The name, update and value of each number in an event file.

    It is a row of records: the length of the data, its checksum, the data, their checksum.
    """
    content, position = file.read_bytes(), 0
    while position < len(content):
        (length,) = struct.unpack_from("<Q", content, position)
        data = content[position + 12 : position + 12 + length]
        position += 12 + length + 4
        event = event_pb2.Event.FromString(data)
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                yield value.tag, event.step, value.simple_value
            elif value.tensor.float_val:
                yield value.tag, event.step, value.tensor.float_val[0]


@pytest.fixture
def events(configure, tmp_path, monkeypatch) -> dict[str, dict[int, float]]:
    """The numbers of a training, by name and update."""
    monkeypatch.setattr(progress_bar, "_tensorboard_writers", {})  # as in a new process
    cfg = configure(
        *(*INTRA, "--alpha", "3", "--alpha-p", "2", "--alpha-q", "4"),
        *("--max-update", str(UPDATES), "--log-interval", "1", "--log-format", "json"),
        *("--disable-validation", "--no-save"),
        *("--tensorboard-logdir", str(tmp_path / "events")),
    )
    cfg.common.no_progress_bar = False
    run_training(cfg)
    for writer in progress_bar._tensorboard_writers.values():
        writer.close()  # as at the end of a process
    (file,) = (tmp_path / "events" / "train_inner").glob("events*")
    found: dict[str, dict[int, float]] = {}
    for name, update, value in read_events(file):
        found.setdefault(name, {})[update] = value
    return found


def test_alpha_and_the_divergence_are_there_at_every_update(events):
    schedule = AlphaSchedule(alpha=3, p=2, q=4)
    assert events["alpha"] == {
        update: pytest.approx(schedule(update - 1, UPDATES), abs=1e-4)
        for update in range(1, UPDATES + 1)
    }
    assert len({f"{value:.3f}" for value in events["alpha"].values()}) == UPDATES // 2 + 1
    assert list(events["divergence"]) == list(events["loss"]) == list(events["alpha"])
    assert all(0 < divergence < 20 for divergence in events["divergence"].values())
