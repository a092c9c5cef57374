"""Trackers: where the curves of runs go beside metrics.jsonl.

`config.training.trackers='csv,wandb'` names some of them; `register_tracker`
adds one from outside. The truth is metrics.jsonl: a tracker that fails is left
out, and one that is taken up again is brought to what is written there.
"""

from collections.abc import Callable
import importlib.util
from typing import Any

from lstm_variants import names as names_lib
from lstm_variants import registry
from lstm_variants.config import rules
from lstm_variants.trackers.csv_file import CsvFile
from lstm_variants.trackers.mlflow import MLflow
from lstm_variants.trackers.tensorboard import TensorBoard
from lstm_variants.trackers.tracker import check as _check
from lstm_variants.trackers.tracker import Kind as Kind
from lstm_variants.trackers.tracker import Member as Member
from lstm_variants.trackers.tracker import Tracker as Tracker
from lstm_variants.trackers.trackio import Trackio
from lstm_variants.trackers.wandb import WandB

TRACKERS: registry.Registry[Kind] = registry.Registry(
  'tracker',
  {
    'csv': Kind(CsvFile, 'a table for each run, in populations/NAME/csv/'),
    'tensorboard': Kind(
      TensorBoard,
      'event files, in populations/NAME/tensorboard/',
      'tensorboardX',
      'tensorboard',
    ),
    'wandb': Kind(
      WandB,
      'Weights & Biases, offline unless WANDB_MODE says otherwise, in wandb/',
      'wandb',
      'wandb',
    ),
    'trackio': Kind(
      Trackio, 'Trackio, in its own place, or TRACKIO_DIR', 'trackio', 'trackio'
    ),
    'mlflow': Kind(
      MLflow,
      'MLflow, in mlflow.db unless MLFLOW_TRACKING_URI says otherwise',
      'mlflow',
      'mlflow',
    ),
  },
)


def register_tracker(name: str, make: Callable[[], Tracker]) -> None:
  """Add a tracker, which `config.training.trackers` may then name.

  Args:
    name: a letter, then letters, digits or underscores.
    make: makes the tracker of one run, as a class with the methods of
      `Tracker` does.

  Raises:
    RegistryError: a name that is taken, or what makes no tracker.
  """
  known = TRACKERS.get(name)
  if known is not None and known.make is make:
    return
  TRACKERS.register(name, Kind(make), _check)


def chosen(names: str, tensorboard: bool = False) -> list[str]:
  """Return the names of the trackers that a run wants, each once.

  Args:
    names: `config.training.trackers`.
    tensorboard: `config.training.tensorboard`, another way to name that one.
  """
  wanted = [name.strip() for name in names.split(',')]
  if tensorboard:
    wanted.append('tensorboard')
  return list(dict.fromkeys(name for name in wanted if name))


def check(names: str, tensorboard: bool = False) -> None:
  """Refuse trackers that are not there; the arguments are those of `chosen`.

  Raises:
    InputError: a name that nothing registers, or whose package is missing.
  """
  for name in chosen(names, tensorboard):
    field: tuple[str, Any] = ('training.trackers', names)
    if name not in chosen(names):
      field = ('training.tensorboard', True)
    if name not in TRACKERS:
      raise rules.InputError(
        *field,
        f'{name!r} is no tracker{names_lib.tail(name, TRACKERS, repr)}; one of '
        'your own needs --import=MODULE',
      )
    kind = TRACKERS[name]
    if kind.package and importlib.util.find_spec(kind.package) is None:
      raise rules.InputError(
        *field, f"needs an extra: pip install 'lstm-variants[{kind.extra}]'"
      )
