"""TensorBoard event files, with the extra `tensorboard`."""

from collections.abc import Iterable, Mapping, Sequence
import math
import pathlib
from typing import Any

from lstm_variants.runs import files


class Events:
  """Writes one event file per run under DIRECTORY/tensorboard; or nothing.

  Of the events of an earlier session, those beyond `after` sequences are void.
  """

  def __init__(
    self,
    directory: pathlib.Path,
    runs: Sequence[str],
    wanted: bool,
    after: int = 0,
  ):
    self._writers = {}
    if not wanted:
      return
    import tensorboardX  # an optional extra

    with files.refusals(directory):
      self._writers = {
        run: tensorboardX.SummaryWriter(
          str(directory / 'tensorboard' / run), purge_step=after + 1
        )
        for run in runs
      }

  def __enter__(self) -> 'Events':
    return self

  def __exit__(self, *exc_info) -> None:
    for writer in self._writers.values():
      writer.close()

  def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the rows of one evaluation; the step is the number of sequences."""
    for row in rows if self._writers else ():
      for key, value in row.items():
        if isinstance(value, float) and math.isfinite(value):
          self._writers[row['run']].add_scalar(key, value, row['sequences'])
