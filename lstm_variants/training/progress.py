"""Progress of a population: a bar on a terminal, plain lines elsewhere."""

import math
import sys
import time
from typing import NamedTuple

import rich.console
import rich.progress

from lstm_variants import console


class Report(NamedTuple):
  """Where a population stands.

  Attributes:
    update: updates done.
    solved: runs that met their success criterion.
    diverged: runs that are frozen.
    loss: median held-out loss of the runs.
  """

  update: int
  solved: int
  diverged: int
  loss: float


# Seconds between two plain lines.
_PAUSE = 5.0


class Progress:
  """Shows the progress of one population; a context manager."""

  def __init__(self, name: str, runs: int, updates: int):
    self._name, self._runs, self._updates = name, runs, updates
    self._started, self._first = time.monotonic(), 0
    self._printed_at = -math.inf
    self._bar = None
    if sys.stdout.isatty():
      self._bar = rich.progress.Progress(
        rich.progress.TextColumn('{task.description}'),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn('{task.fields[rate]}'),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn('{task.fields[state]}'),
      )

  def __enter__(self) -> 'Progress':
    if self._bar is None:
      console.say(f'{self._name}: {self._runs} runs, compiling')
      return self
    self._bar.start()
    self._task = self._bar.add_task(
      self._name, total=self._updates, rate='compiling', state=''
    )
    return self

  def __exit__(self, *exc_info) -> None:
    if self._bar is not None:
      self._bar.stop()

  def start(self, update: int = 0) -> None:
    """Start the clock: compilation is over, training goes on after `update`."""
    self._started, self._first = time.monotonic(), update

  def show(self, report: Report, last: bool = False) -> None:
    """Show where the population stands."""
    now = time.monotonic()
    done = report.update - self._first
    rate = done / max(now - self._started, 1e-9)
    state = f'solved {report.solved}/{self._runs}  loss {report.loss:.4g}'
    if report.diverged:
      state += f'  diverged {report.diverged}'
    speed = f'{rate:.1f} updates/s' if done else ''
    if self._bar is not None:
      self._bar.update(
        self._task, completed=report.update, rate=speed, state=state
      )
      return
    if not last and now - self._printed_at < _PAUSE:
      return
    self._printed_at = now
    line = f'{self._name}: update {report.update}/{self._updates}  {state}'
    if done:
      remaining = (self._updates - report.update) / rate
      line += f'  {speed}'
      if not last:
        line += f'  {remaining:.0f} s left at most'
    console.say(line)
