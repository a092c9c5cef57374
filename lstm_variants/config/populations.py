"""Populations: the runs of a study that share one compiled program."""

from collections.abc import Collection, Iterable, Sequence
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
  parts: Sequence[int] | None = None,
  whole_arrays: Collection[str] | None = None,
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
    parts: how many runs, one after the other, are split on their own, as they
      were not there at once: the study of a search grows. None: all at once.
    whole_arrays: the optimizers that look at whole arrays, as was recorded;
      None: as is known of them today.
  """
  runs = list(runs)
  study_format = study_format or record.new(schema.unrecorded())
  # Nobody knows how many runs a study will have that grows.
  digits = study_format.digits(None if parts is not None else len(runs))
  groups: dict[tuple[int, Settings], list[int]] = {}
  part_of = _parts_of(len(runs), parts)
  for place, run in enumerate(runs):
    groups.setdefault((part_of[place], run.settings), []).append(place)
  make = functools.partial(_population, runs, study_format, digits)
  existing, populations = set(existing), []
  for (_, settings), places in groups.items():
    usual, other = [places], _apart(runs, places)
    if (
      not optimizers.OPTIMIZERS[settings.optimizer].elementwise
      if whole_arrays is None
      else settings.optimizer in whole_arrays
    ):
      usual, other = other, usual
    most = settings.population_size
    made = [*map(make, _capped(usual, most))]
    if existing and usual != other:
      others = [*map(make, _capped(other, most))]
      # Of those that are capped some may be the same in both.
      names = {one.name for one in others} - {one.name for one in made}
      if not existing.isdisjoint(names):
        made = others
    populations += made
  return populations


def _parts_of(runs: int, parts: Sequence[int] | None) -> list[int]:
  """Return the part in which each run is."""
  if parts is None:
    return [0] * runs
  return [part for part, size in enumerate(parts) for _ in range(size)]


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
  study: Sequence[Run],
  study_format: record.Format,
  digits: int,
  places: Sequence[int],
) -> Population:
  """Make a population of the runs at some places of a study."""
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
    run_names=tuple(run_name(run, study_format, digits) for run in runs),
    format_version=study_format.version,
  )


def run_name(run: Run, study_format: record.Format, digits: int) -> str:
  """Return the name of a run: model, seed, and a hash of its config.

  Args:
    run: the run.
    study_format: how its directory records it.
    digits: of the hash, as `record.Format.digits` has it.
  """
  digest = study_format.hash([run.config])[:digits]
  return f'{run.model}_seed{run.hyperparams.seed}_{digest}'
