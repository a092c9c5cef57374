"""What a tracker is: it is told of one run of a population while that trains.

class Printed:

  def start(self, member):
    self._name = member.name

  def log(self, sequences, metrics):
    print(self._name, sequences, metrics['loss'])

  def finish(self, summary):
    pass

lv.register_tracker('printed', Printed)
"""

from collections.abc import Callable, Mapping
import pathlib
from typing import Any, NamedTuple, Protocol


class Member(NamedTuple):
  """A run of a population, as its tracker is told of it.

  Attributes:
    id: unique among all studies; the same whenever the run is gone on with.
    name: of the run in its study: model, seed and a hash.
    study: the name of the study.
    population: the name of its population, the runs that train together.
    config: field -> value, by dotted name, as 'optimizer.learning_rate': bools,
      numbers and texts. Fields that are open are left out; what is not finite
      is a text.
    workdir: the run directory of the study, where a tracker may keep files.
    place: the directory of the population while it trains; it gets another name
      at the end.
    after: sequences at the last row that is written in metrics.jsonl, with
      which training goes on; -1: it begins. What a tracker has of later rows is
      of a session that was ended: they come again.
  """

  id: str
  name: str
  study: str
  population: str
  config: Mapping[str, Any]
  workdir: pathlib.Path
  place: pathlib.Path
  after: int = -1


class Tracker(Protocol):
  """Tracks one run. What it raises is shown once; training goes on without it.

  It is started again when the run is gone on with, in another process, maybe
  after this one was killed.
  """

  def start(self, member: Member) -> int | None:
    """Begin to track a run, or go on.

    Args:
      member: the run.

    Returns:
      The sequences of the last row that the tracker still has of the run; only
      later ones follow, those that are written already at once. None: it has
      none, all rows of the run follow.
    """
    ...

  def log(self, sequences: int, metrics: Mapping[str, Any]) -> None:
    """Take the row of an evaluation.

    Args:
      sequences: consumed by training so far, larger with every row.
      metrics: 'update', an integer, and what metrics.jsonl has beside it, as
        floats, NaN where it has null.
    """
    ...

  def finish(self, summary: Mapping[str, Any] | None) -> None:
    """End, the run's last row being there.

    Args:
      summary: the run's row in runs.jsonl: 'status', 'sequences_to_success',
        'final', …. None: training was interrupted, and may go on later.
    """
    ...


class Kind(NamedTuple):
  """A tracker that `config.training.trackers` may name.

  Attributes:
    make: makes the tracker of one run.
    summary: where it puts what it is told, in one line.
    package: that it imports; '': none.
    extra: of ours, that installs the package.
  """

  make: Callable[[], Tracker]
  summary: str = ''
  package: str = ''
  extra: str = ''


def check(kind: Kind) -> None:
  """Refuse what makes no tracker.

  Raises:
    ValueError: it cannot be called, or a class without the methods.
  """
  make = kind.make
  if not callable(make):
    raise ValueError(
      f'a {type(make).__name__}, must be a function or a class that makes a '
      'tracker'
    )
  for method in ('start', 'log', 'finish'):
    if isinstance(make, type) and not callable(getattr(make, method, None)):
      raise ValueError(f'{make.__name__} has no method {method}')
