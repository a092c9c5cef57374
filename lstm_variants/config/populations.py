"""Populations: the runs of a study that share one compiled program."""

from collections.abc import Iterable, Sequence
import functools
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
    places: of its runs among those of the study.
    settings: the settings of all of them.
    name: the name of its directory: task, cell, width, and a hash of the runs.
    identity: a hash of all that decides what the runs train.
    run_names: the name of each run: model, seed, and a hash of its config.
    format_version: the version of its directory's `record.Format`.
  """

  runs: tuple[Run, ...]
  places: tuple[int, ...]
  settings: Settings
  name: str
  identity: str
  run_names: tuple[str, ...]
  format_version: int


def split(
  runs: Iterable[Run],
  study_format: record.Format | None = None,
  existing: Iterable[str] = (),
) -> list[Population]:
  """Split the runs of a study into populations.

  Runs of equal settings share one, up to `study.population_size` of them.
  Under an optimizer that looks at whole arrays each setting of the toggles has
  its own: in the arrays of a shared one are weights that only some of its runs
  use, and they would count.

  Args:
    runs: all runs of the study.
    study_format: how its directory records them; None: as a new directory does.
    existing: names of the populations that its directory has. What was trained
      together stays together, and apart what was apart, whatever is known of
      the optimizer today.
  """
  runs = list(runs)
  study_format = study_format or record.new(schema.unrecorded())
  groups: dict[Settings, list[int]] = {}
  for place, run in enumerate(runs):
    groups.setdefault(run.settings, []).append(place)
  make = functools.partial(_population, runs, study_format)
  existing, populations = set(existing), []
  for settings, places in groups.items():
    usual, other = [places], _apart(runs, places)
    if not optimizers.OPTIMIZERS[settings.optimizer].elementwise:
      usual, other = other, usual
    most = settings.population_size
    made = [*map(make, _capped(usual, most))]
    if existing and usual != other:
      others = [*map(make, _capped(other, most))]
      if not existing.isdisjoint(one.name for one in others):
        made = others
    populations += made
  return populations


def _apart(runs: Sequence[Run], places: Sequence[int]) -> list[list[int]]:
  """Return places of runs by the toggles of the runs."""
  groups: dict[Toggles | None, list[int]] = {}
  for place in places:
    groups.setdefault(runs[place].hyperparams.toggles, []).append(place)
  return [*groups.values()]


def _capped(groups: Sequence[Sequence[int]], most: int) -> list[Sequence[int]]:
  """Return groups of at most so many, in order; 0: of any number."""
  return [
    group[start : start + (most or len(group))]
    for group in groups
    for start in range(0, len(group), most or len(group))
  ]


def _population(
  study: Sequence[Run], study_format: record.Format, places: Sequence[int]
) -> Population:
  """Make a population of the runs at some places of a study."""
  digits = study_format.digits(len(study))
  runs = [
    study[place]._replace(config=study_format.record(study[place].config))
    for place in places
  ]
  settings = runs[0].settings
  identity = study_format.hash([run.config for run in runs])
  name = f'{settings.task_label}_{settings.cell}{settings.hidden_features}'
  return Population(
    runs=tuple(runs),
    places=tuple(places),
    settings=settings,
    name=f'{name}_{identity[:digits]}',
    identity=identity,
    run_names=tuple(_run_name(run, study_format, digits) for run in runs),
    format_version=study_format.version,
  )


def _run_name(run: Run, study_format: record.Format, digits: int) -> str:
  digest = study_format.hash([run.config])[:digits]
  return f'{run.model}_seed{run.hyperparams.seed}_{digest}'
