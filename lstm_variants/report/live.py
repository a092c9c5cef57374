"""The report of a study as it is now, also while it trains; nothing is written.

What is finished is compared as by `compare`. Runs in training are shown beside
it by their curves alone: before its end nothing tells whether a run is solved.
"""

from collections.abc import Callable, Mapping, Sequence
import hashlib
import os
import pathlib
import threading
from typing import Any

from lstm_variants.report import comparison, page, parts
from lstm_variants.report import write as report
from lstm_variants.runs import files, grouping, partial, results, status

# What a row of a run in training has no number for yet.
_UNKNOWN: Mapping[str, Any] = {
  'sequences_to_success': None,
  'params_in_use': 0,
  'params': 0,
  'seconds_per_update': None,
}
_Rows = list[dict[str, Any]]


class Study:
  """A study that is looked at again and again.

  Args:
    workdir: the run directory.
    baseline: the model that others are compared with; None: as of `compare`.
    in_training: `(workdir, evaluations) -> rows`, of the runs in training.
  """

  def __init__(
    self,
    workdir: str,
    baseline: str | None,
    in_training: Callable[[str, _Rows], _Rows],
  ):
    self._workdir, self._baseline = workdir, baseline
    self._in_training = in_training
    self._lock = threading.Lock()
    self._made: tuple[str, str] | None = None

  def version(self) -> str:
    """Return what differs as soon as the page would."""
    path = pathlib.Path(self._workdir)
    folders = sorted((path / partial.POPULATIONS).glob('*'))
    texts = [path / files.STUDY, *(each / results.METRICS for each in folders)]
    seen = [(str(each), _seen(each)) for each in (*folders, *texts)]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]

  def page(self) -> str:
    """Return the page, made anew if something has changed.

    Raises:
      Error: the directory cannot be read, or none is of the baseline's model.
    """
    with self._lock:  # of several who ask at once one makes it
      version = self.version()
      if self._made is None or self._made[0] != version:
        self._made = version, self._make(version)
      return self._made[1]

  def _make(self, version: str) -> str:
    read = status.read(self._workdir)
    study = results.read_study(self._workdir)
    finished = results.Finished(study, results.read_rows(self._workdir))
    evaluations = results.read_metrics_in_training(self._workdir)
    if finished.runs:
      content = report.preview(self._workdir, finished, self._baseline)
    else:
      content = page.Content(study, (), {}, results.Losses(()), {}, {}, '')
    live = page.Live(
      version,
      list(status.lines(read)),
      self._parts(study, evaluations),
      results.Losses(evaluations),
    )
    return page.render(content, live)

  def _parts(
    self, study: Mapping[str, Any], evaluations: _Rows
  ) -> Sequence[parts.Part]:
    """Return the tasks of the runs in training, for their curves."""
    known = self._in_training(self._workdir, evaluations)
    runs = [{**_UNKNOWN, **run} for run in known]
    if not runs:
      return ()
    rows = comparison.compare(
      study['tasks'],
      runs,
      grouping.choose_baseline(runs, None),
      lambda: results.Losses(evaluations),
      grouping.searched_fields(study),
    )
    return parts.split(study, runs, rows)


def _seen(path: pathlib.Path) -> tuple[int, int] | None:
  """Return what differs when a file has grown or was replaced."""
  try:
    now = os.stat(path)
  except OSError:
    return None
  return now.st_size, now.st_mtime_ns
