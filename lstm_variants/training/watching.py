"""Who looks on while a study trains: a callback, a profile.

def show(evaluation):
  print(evaluation.update, [row['loss'] for row in evaluation.rows])

local.train(workdir, name, config, runs, watch=Watch(callback=show))
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lstm_variants.training import profiling


class Evaluation(NamedTuple):
  """One evaluation of a population, as soon as it is written down.

  Attributes:
    population: its name.
    update: updates done.
    updates: updates at most.
    rows: one for each run, as in metrics.jsonl: its name as `run`, `update`,
      `sequences`, and the metrics (`loss`, `train_loss`, …) as floats, which
      need not be finite.
  """

  population: str
  update: int
  updates: int
  rows: Sequence[Mapping[str, Any]]


# Called by the process that trains, between two chunks of updates. What it
# raises ends the training there and goes to the caller; --resume goes on from
# the newest checkpoint.
Callback = Callable[[Evaluation], None]


class Watch(NamedTuple):
  """Who looks on.

  Attributes:
    callback: called after each evaluation of each population; None: nobody.
    profile: of the first chunks; None: there is none.
  """

  callback: Callback | None = None
  profile: profiling.Profile | None = None

  def see(self, evaluation: Evaluation) -> None:
    """Tell of an evaluation."""
    if self.callback is not None:
      self.callback(evaluation)


NOBODY = Watch()
