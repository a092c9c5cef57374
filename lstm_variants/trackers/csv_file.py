"""A table of each run: populations/NAME/csv/RUN.csv."""

from collections.abc import Mapping
import csv
import math
from typing import Any

from lstm_variants.trackers.tracker import Member


class CsvFile:
  """Writes a file of comma-separated values, a row for each evaluation.

  Columns: sequences, update, then the metrics; what is not finite is left
  empty. Gone on with, the file is written anew.
  """

  def start(self, member: Member) -> None:
    """Begin the file; see `Tracker`."""
    folder = member.place / 'csv'
    folder.mkdir(exist_ok=True)
    path = folder / f'{member.name}.csv'
    self._file = open(path, 'w', newline='', encoding='utf-8')
    self._writer = csv.writer(self._file, lineterminator='\n')
    self._columns: list[str] = []

  def log(self, sequences: int, metrics: Mapping[str, Any]) -> None:
    """Write a row; see `Tracker`."""
    if not self._columns:
      self._columns = list(metrics)
      self._writer.writerow(['sequences', *self._columns])
    values = [metrics[name] for name in self._columns]
    self._writer.writerow(
      [sequences, *(v if math.isfinite(v) else '' for v in values)]
    )
    self._file.flush()

  def finish(self, summary: Mapping[str, Any] | None) -> None:
    """Close the file; see `Tracker`."""
    del summary
    self._file.close()
