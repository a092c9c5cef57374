"""The report of a study as it is now, also while it trains; nothing is written.

What is finished is compared as by `compare`. Runs in training are shown beside
it by their curves alone: before its end nothing tells whether a run is solved.
"""

from collections.abc import Callable, Mapping, Sequence
import hashlib
import os
import pathlib
import threading
import time
from typing import Any, NamedTuple

from lstm_variants.report import comparison, page, parts
from lstm_variants.report import write as report
from lstm_variants.runs import (
  equal_training,
  files,
  grouping,
  partial,
  results,
  status,
)

# What a row of a run in training has no number for yet.
_UNKNOWN: Mapping[str, Any] = {
  'sequences_to_success': None,
  'params_in_use': 0,
  'params': 0,
  'seconds_per_update': None,
}
# Of a core, what making the page anew may take: training needs it.
_SHARE = 0.1
_Rows = list[dict[str, Any]]


class _Made(NamedTuple):
  """A page, of which version, and the time until which none is made anew."""

  version: str
  page: str
  until: float


class Study:
  """A study that is looked at again and again.

  Args:
    workdir: the run directory.
    baseline: the model that others are compared with, once it has runs; None,
      and before: as of `compare`.
    in_training: `(workdir, evaluations) -> rows`, of the runs in training.
    clock: seconds.
  """

  def __init__(
    self,
    workdir: str,
    baseline: str | None,
    in_training: Callable[[str, _Rows], _Rows],
    clock: Callable[[], float] = time.monotonic,
  ):
    self._workdir, self._baseline = workdir, baseline
    self._in_training, self._clock = in_training, clock
    self._lock = threading.Lock()
    self._made: _Made | None = None

  def version(self) -> str:
    """Return what differs as soon as the page would."""
    made = self._made
    if made is not None and self._clock() < made.until:
      return made.version
    path = pathlib.Path(self._workdir)
    folders = sorted((path / partial.POPULATIONS).glob('*'))
    texts = [path / files.STUDY, *(each / results.METRICS for each in folders)]
    seen = [(str(each), _seen(each)) for each in (*folders, *texts)]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]

  def page(self) -> str:
    """Return the page, made anew if something has changed.

    One that takes long, as of thousands of runs, is not made anew for a while.

    Raises:
      Error: the directory cannot be read.
    """
    with self._lock:  # of several who ask at once one makes it
      version = self.version()
      if self._made is None or self._made.version != version:
        begun = self._clock()
        text = self._make(version)
        now = self._clock()
        self._made = _Made(version, text, now + (now - begun) / _SHARE)
      return self._made.page

  def _make(self, version: str) -> str:
    read = status.read(self._workdir)
    study = read.study
    finished = results.Finished(study, read.done)
    evaluations = results.read_metrics_in_training(self._workdir)
    if finished.runs:
      # Runs of the baseline may be the last to be trained.
      models = {run['model'] for run in finished.runs}
      baseline = self._baseline if self._baseline in models else None
      content = report.preview(self._workdir, finished, baseline)
    else:
      content = page.Content(study, (), {}, results.Losses(()), {}, {}, '')
    losses = results.Losses(evaluations)
    live = page.Live(
      version,
      list(status.lines(read)),
      self._parts(study, evaluations, losses),
      losses,
    )
    return page.render(content, live)

  def _parts(
    self,
    study: Mapping[str, Any],
    evaluations: _Rows,
    losses: results.Losses,
  ) -> Sequence[parts.Part]:
    """Return the tasks of the runs in training, for their curves."""
    known = self._in_training(self._workdir, evaluations)
    runs = [{**_UNKNOWN, **run} for run in known]
    if not runs:
      return ()
    searched = grouping.searched_fields(study)
    groups = grouping.group_runs(study['tasks'], runs, searched=searched)
    baseline = grouping.choose_baseline(runs, None)
    standings = equal_training.stand(runs, lambda: losses)
    rows = comparison.compare_tasks(study['tasks'], groups, baseline, standings)
    return parts.split(study, runs, groups, rows)


def _seen(path: pathlib.Path) -> tuple[int, int] | None:
  """Return what differs when a file has grown or was replaced."""
  try:
    now = os.stat(path)
  except OSError:
    return None
  return now.st_size, now.st_mtime_ns
