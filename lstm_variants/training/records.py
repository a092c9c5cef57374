"""What training writes to the run directory: rows of metrics, rows of runs."""

from typing import Any

import jax
import numpy as np

from lstm_variants import models
from lstm_variants.config import populations
from lstm_variants.training import progress, step

Record = dict[str, np.ndarray]


def metric_rows(
  population: populations.Population, state: step.State, record: Record
) -> list[dict[str, Any]]:
  """Return the rows of metrics.jsonl for one evaluation, one for each run."""
  consumed = population.settings.sequences_per_update
  return [
    {
      'run': name,
      'update': int(state.update[index]),
      'sequences': int(state.update[index]) * consumed,
      **{key: float(value[index]) for key, value in record.items()},
    }
    for index, name in enumerate(population.run_names)
  ]


def run_rows(
  population: populations.Population,
  state: step.State,
  record: Record,
  seconds: float,
) -> list[dict[str, Any]]:
  """Return the rows of runs.jsonl at the end of training, one for each run.

  Args:
    population: the runs.
    state: the last state, every leaf `[runs, ...]`.
    record: the metrics of the last evaluation.
    seconds: the time that the training of all runs took.
  """
  runs, settings = population.runs, population.settings
  updates = int(state.update[0])
  size = sum(leaf[0].size for leaf in jax.tree.leaves(state.params))
  rows = []
  for index, run in enumerate(runs):
    solved_at = int(state.solved_at[index])
    solved = solved_at >= 0
    diverged = bool(state.diverged_at[index] >= 0)
    rows.append(
      {
        'id': population.run_names[index],
        'population': population.name,
        'index': index,
        'task': settings.task_label,
        'model': run.model,
        'config': run.config,
        'status': _status(solved, diverged),
        'sequences_to_success': (
          solved_at * settings.sequences_per_update if solved else None
        ),
        'sequences': updates * settings.sequences_per_update,
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


def report(
  population: populations.Population, state: step.State, record: Record
) -> progress.Report:
  """Return what the progress of a population shows."""
  losses: dict[str, list[float]] = {}
  for run, loss in zip(population.runs, record['loss'], strict=True):
    losses.setdefault(run.model, []).append(float(loss))
  return progress.Report(
    update=int(state.update[0]),
    solved=int(np.sum(state.solved_at >= 0)),
    diverged=int(np.sum(state.diverged_at >= 0)),
    losses={model: float(np.median(each)) for model, each in losses.items()},
  )
