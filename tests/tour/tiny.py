"""The study of the tour, so small that it is there in no time.

`train` trains it for two updates, `write` has weights drawn at random instead:
a program to train each of its models takes seconds to compile.
"""

import numpy as np

from configs import base
from configs.studies import tour as tour_study
from lstm_variants.config import grid as hyper
from lstm_variants.config import populations
from lstm_variants.launch import local
from lstm_variants.runs import directory
from lstm_variants.runs import writer as writer_lib
from lstm_variants.training import population, states
from tests.report import study_fixture

# task -> what makes its runs small.
_SMALL = {
  'adding': {'task.length': 10, 'model.hidden_features': 4},
  'timed_spikes': {'task.length': 24, 'model.hidden_features': 3},
  'long_lag': {'task.length': 30, 'task.symbols': 3},
  'words': {'task.length': 8, 'task.symbols': 50},
  'characters': {'task.length': 12, 'model.hidden_features': 4},
  'forecasting': {'task.length': 6},
}
_SHORT = {
  'model.recurrent_init': 'uniform',
  'training.batch_size': 4,
  'training.updates': 2,
  'training.evaluation_interval': 1,
  'training.evaluation_batches': 1,
}
SEEDS = (0, 1)


def train(workdir: str, *tasks: str) -> None:
  """Train that part of the study which is of some tasks."""
  local.train(workdir, 'tour', base.get_config(), _runs(tasks))


def write(workdir: str) -> None:
  """Write the study as `train` does, untrained."""
  runs = _runs(tuple(_SMALL))
  facts = {r.settings.task_label: local.describe_task(r.settings) for r in runs}
  with directory.open_study(
    *(workdir, 'tour', base.get_config().to_dict(), facts),
    [run.config for run in runs],
  ):
    for members in populations.split(runs):
      _write_population(workdir, members)


def _write_population(workdir, members) -> None:
  name, rng = members.name, np.random.default_rng(0)
  settings, names = members.settings, members.run_names
  leaves = states.named_leaves(
    population.describe_state(
      settings, [m.hyperparams for m in members.runs]
    ).params
  )
  params = {
    key: rng.normal(scale=0.7, size=leaf.shape).astype(leaf.dtype)
    for key, leaf in leaves.items()
  }
  rows = [
    {
      'id': run_name,
      'population': name,
      'index': index,
      'task': settings.task_label,
      'model': run.model,
      'config': run.config,
      'status': 'unsolved',
      'sequences_to_success': None,
      'sequences': 8,
      'updates': 2,
      'final': {'loss': 0.5 + index},
      'params_in_use': 40,
      'params': 50,
      'seconds_per_update': 0.1,
    }
    for index, (run, run_name) in enumerate(
      zip(members.runs, names, strict=True)
    )
  ]
  with writer_lib.PopulationWriter(workdir, name) as writer:
    writer.start()
    for update in range(3):
      writer.append_metrics(
        {'run': n, 'update': update, 'sequences': 4 * update, 'loss': 1 / 2}
        for n in names
      )
    writer.finish(rows, params, study_fixture.provenance())


def _runs(tasks):
  """Return the runs of the study, small."""
  grid = [
    setting | _dotted(_SMALL[setting['config.task.name']]) | _dotted(_SHORT)
    for setting in tour_study.get_hyper(hyper)
    if setting['config.task.name'] in tasks and setting['config.seed'] in SEEDS
  ]
  return local.expand(base.get_config(), lambda _: grid)


def _dotted(fields):
  return {f'config.{name}': value for name, value in fields.items()}
