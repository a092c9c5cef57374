"""TensorBoard: event files in populations/NAME/tensorboard/RUN/.

    tensorboard --logdir=runs/study

Events are written by this process itself, not by a thread that would stop it on
a full disk.
"""

from collections.abc import Iterator, Mapping, Sequence
import importlib
import math
import pathlib
import socket
import struct
import time
from typing import Any

from lstm_variants import opening
from lstm_variants.trackers.tracker import Member

# Seconds between two flushes.
_PAUSE = 5.0
# Bytes of a file.
_LARGEST = 2**31


class TensorBoard:
  """Writes event files, whose steps are the sequences consumed.

  Gone on with, the run gets one more file, which voids what earlier ones have
  beyond the point where it begins.
  """

  def start(self, member: Member) -> int | None:
    """Begin a file; see `Tracker`."""
    import tensorboardX  # an optional extra

    folder = member.place / 'tensorboard' / member.name
    folder.mkdir(parents=True, exist_ok=True)
    before = sorted(folder.iterdir())
    last = min(_last_step(before), member.after)
    name = f'{int(time.time())}.{socket.gethostname()}.{len(before)}'
    path = folder / f'events.out.tfevents.{name}'
    self._file = tensorboardX.RecordWriter(str(path))
    self._flushed_at = time.monotonic()
    self._write(file_version='brain.Event:2')
    if before:
      self._write(step=last + 1, session_log={'status': 1})  # START
    return last if last >= 0 else None

  def log(self, sequences: int, metrics: Mapping[str, Any]) -> None:
    """Write an event; what is not finite is left out; see `Tracker`."""
    values = [
      {'tag': tag, 'simple_value': value}
      for tag, value in metrics.items()
      if isinstance(value, float) and math.isfinite(value)
    ]
    self._write(step=sequences, summary={'value': values})
    if time.monotonic() - self._flushed_at > _PAUSE:
      self._file.flush()
      self._flushed_at = time.monotonic()

  def finish(self, summary: Mapping[str, Any] | None) -> None:
    """Close the file; see `Tracker`."""
    del summary
    try:
      self._file.flush()
    finally:  # also where the disk is full
      self._file.close()

  def _write(self, **parts: Any) -> None:
    event = _events().Event(wall_time=time.time(), **parts)
    self._file.write(event.SerializeToString())


def _last_step(paths: Sequence[pathlib.Path]) -> int:
  """Return the last step of a run's files that no later one voids, or -1."""
  last = -1
  for path in paths:
    for event in _read(path):
      if event.HasField('session_log'):
        last = min(last, event.step - 1)
      elif event.HasField('summary'):
        last = max(last, event.step)
  return last


def _read(path: pathlib.Path) -> Iterator[Any]:
  """Yield the events of a file, to its end or where it is torn.

  A file has records: length, checksum, data, checksum.
  """
  content, place = opening.read(path, _LARGEST), 0
  while place + 12 <= len(content):
    (size,) = struct.unpack_from('<Q', content, place)
    if place + size + 16 > len(content):
      return
    data = content[place + 12 : place + 12 + size]
    yield _events().Event.FromString(data)
    place += size + 16


def _events() -> Any:
  """Return the module that knows what an event is made of."""
  return importlib.import_module('tensorboardX.proto.event_pb2')
