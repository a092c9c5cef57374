"""Populations: the runs of a study that share one compiled program."""

from collections.abc import Iterable
from typing import NamedTuple

from lstm_variants.config import schema
from lstm_variants.config.settings import Run, Settings
from lstm_variants.runs import record


class Population(NamedTuple):
  """Runs that share their settings; made once, by `split`.

  Attributes:
    runs: their `config` is what the run directory records.
    settings: shared by all of them.
    name: of its directory: task, cell, width, and a hash of the runs.
    identity: a hash of all that decides what it trains.
    run_names: of each run: model, seed, and a hash of its config.
    format: of its run directory, see `runs.record`.
  """

  runs: tuple[Run, ...]
  settings: Settings
  name: str
  identity: str
  run_names: tuple[str, ...]
  format: int


def split(
  runs: Iterable[Run], form: record.Form | None = None
) -> list[Population]:
  """Split the runs of a study into populations.

  Args:
    runs: of the whole study.
    form: how its directory records them; None: as one that is begun now.
  """
  runs = list(runs)
  form = form or record.new(schema.defaults())
  digits = form.digits(len(runs))
  members: dict[Settings, list[Run]] = {}
  for run in runs:
    recorded = run._replace(config=form.record(run.config))
    members.setdefault(run.settings, []).append(recorded)
  return [_population(of_one, form, digits) for of_one in members.values()]


def _population(runs: list[Run], form: record.Form, digits: int) -> Population:
  settings = runs[0].settings
  identity = form.hash([run.config for run in runs])
  name = f'{settings.task_label}_{settings.cell}{settings.hidden_features}'
  return Population(
    runs=tuple(runs),
    settings=settings,
    name=f'{name}_{identity[:digits]}',
    identity=identity,
    run_names=tuple(_run_name(run, form, digits) for run in runs),
    format=form.format,
  )


def _run_name(run: Run, form: record.Form, digits: int) -> str:
  digest = form.hash([run.config])[:digits]
  return f'{run.model}_seed{run.hyperparams.seed}_{digest}'
