"""What training writes down: names, rows of metrics, rows of runs."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from lstm_variants import models
from lstm_variants.config import settings as settings_lib
from lstm_variants.runs import directory, results
from lstm_variants.training import progress, step

Record = dict[str, np.ndarray]


def population_identity(runs: Sequence[settings_lib.Run]) -> str:
  """Return a hash of all that decides what a population trains."""
  return results.fingerprint([directory.identity(run.config) for run in runs])


def population_name(runs: Sequence[settings_lib.Run]) -> str:
  """Return a directory name: task, cell, width, and a hash of the runs."""
  settings = runs[0].settings
  return (
    f'{settings.task_label}_{settings.cell}{settings.hidden_features}'
    f'_{population_identity(runs)[:8]}'
  )


def run_name(run: settings_lib.Run) -> str:
  """Return a name: model, seed, and a hash of the config."""
  digest = population_identity([run])
  return f'{run.model}_seed{run.hyperparams.seed}_{digest[:8]}'


def metric_rows(
  settings: settings_lib.Settings,
  names: Sequence[str],
  state: step.State,
  record: Record,
) -> list[dict[str, Any]]:
  """Return a row for each run, of one evaluation."""
  return [
    {
      'run': name,
      'update': int(state.update[index]),
      'sequences': int(state.update[index]) * settings.batch_size,
      **{key: float(value[index]) for key, value in record.items()},
    }
    for index, name in enumerate(names)
  ]


def run_rows(
  runs: Sequence[settings_lib.Run],
  names: Sequence[str],
  population: str,
  state: step.State,
  record: Record,
  seconds: float,
) -> list[dict[str, Any]]:
  """Return a row for each run, at the end of training."""
  settings = runs[0].settings
  updates = int(state.update[0])
  size = sum(leaf[0].size for leaf in jax.tree.leaves(state.params))
  rows = []
  for index, run in enumerate(runs):
    solved_at = int(state.solved_at[index])
    solved = solved_at >= 0
    diverged = bool(state.diverged_at[index] >= 0)
    rows.append(
      {
        'id': names[index],
        'population': population,
        'index': index,
        'task': settings.task_label,
        'model': run.model,
        'config': run.config,
        'status': _status(solved, diverged),
        'sequences_to_success': (
          solved_at * settings.batch_size if solved else None
        ),
        'sequences': updates * settings.batch_size,
        'updates': updates,
        'final': {
          key: float(value[index])
          for key, value in record.items()
          if key not in ('train_loss', 'grad_norm')
        },
        'params_in_use': models.count_params(
          settings.architecture, run.hyperparams.toggles
        ),
        'params': size,
        'seconds_per_update': seconds / max(updates, 1) / len(runs),
      }
    )
  return rows


def _status(solved: bool, diverged: bool) -> str:
  if diverged:
    return 'diverged'
  return 'solved' if solved else 'unsolved'


def report(state: step.State, record: Record) -> progress.Report:
  """Return what the progress bar shows."""
  return progress.Report(
    update=int(state.update[0]),
    solved=int(np.sum(state.solved_at >= 0)),
    diverged=int(np.sum(state.diverged_at >= 0)),
    loss=float(np.median(record['loss'])),
  )
