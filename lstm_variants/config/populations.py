"""Populations: the runs of a study that share one compiled program."""

from collections.abc import Iterable
from typing import NamedTuple

from lstm_variants import optimizers
from lstm_variants.cells.lstm import Toggles
from lstm_variants.config import schema
from lstm_variants.config.settings import Run, Settings
from lstm_variants.runs import record


class Population(NamedTuple):
  """Runs that share their settings, and so one program; made by `split`.

  Attributes:
    runs: the runs; their `config` is as the run directory records it.
    settings: the settings of all of them.
    name: the name of its directory: task, cell, width, and a hash of the runs.
    identity: a hash of all that decides what the runs train.
    run_names: the name of each run: model, seed, and a hash of its config.
    format_version: the version of its directory's `record.Format`.
  """

  runs: tuple[Run, ...]
  settings: Settings
  name: str
  identity: str
  run_names: tuple[str, ...]
  format_version: int


def split(
  runs: Iterable[Run], study_format: record.Format | None = None
) -> list[Population]:
  """Split the runs of a study into populations.

  Args:
    runs: all runs of the study.
    study_format: how its directory records them; None: as a new directory does.
  """
  runs = list(runs)
  study_format = study_format or record.new(schema.defaults())
  digits = study_format.digits(len(runs))
  groups: dict[tuple[Settings, Toggles | None], list[Run]] = {}
  for run in runs:
    recorded = run._replace(config=study_format.record(run.config))
    groups.setdefault((run.settings, _separating(run)), []).append(recorded)
  return [_population(group, study_format, digits) for group in groups.values()]


def _separating(run: Run) -> Toggles | None:
  """Return the toggles if they divide runs into populations, None if not.

  Runs of a program share the shapes of arrays, which have weights that only
  some of the runs use. An optimizer that looks at whole arrays would see these
  weights: with it each population has runs of equal toggles.
  """
  optimizer = optimizers.OPTIMIZERS[run.settings.optimizer]
  return None if optimizer.elementwise else run.hyperparams.toggles


def _population(
  runs: list[Run], study_format: record.Format, digits: int
) -> Population:
  settings = runs[0].settings
  identity = study_format.hash([run.config for run in runs])
  name = f'{settings.task_label}_{settings.cell}{settings.hidden_features}'
  return Population(
    runs=tuple(runs),
    settings=settings,
    name=f'{name}_{identity[:digits]}',
    identity=identity,
    run_names=tuple(_run_name(run, study_format, digits) for run in runs),
    format_version=study_format.version,
  )


def _run_name(run: Run, study_format: record.Format, digits: int) -> str:
  digest = study_format.hash([run.config])[:digits]
  return f'{run.model}_seed{run.hyperparams.seed}_{digest}'
