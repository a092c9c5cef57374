"""The host's side of training: chunks, records, early stop, the results."""

from collections.abc import Callable, Sequence
import contextlib
import datetime
import time
from typing import Any

import jax
import numpy as np

from lstm_variants import models, provenance, results
from lstm_variants.training import population as population_lib
from lstm_variants.training import progress as progress_lib
from lstm_variants.training import settings as settings_lib
from lstm_variants.training import step, tensorboard


def population_name(runs: Sequence[settings_lib.Run]) -> str:
  """Return a directory name: task, cell, width, and a hash of the runs."""
  settings = runs[0].settings
  digest = results.fingerprint([run.config for run in runs])
  return (
    f'{settings.task.label}_{settings.cell}{settings.hidden_features}'
    f'_{digest[:8]}'
  )


def run_name(run: settings_lib.Run) -> str:
  """Return a name: model, seed, and a hash of the config."""
  digest = results.fingerprint([run.config])
  return f'{run.model}_seed{run.hyperparams.seed}_{digest[:8]}'


def train_population(workdir: str, runs: Sequence[settings_lib.Run]) -> None:
  """Train runs that share their settings, and write what they leave.

  Args:
    workdir: an open study (`results.open_study`).
    runs: all with equal `settings`.
  """
  settings = runs[0].settings
  names = [run_name(run) for run in runs]
  name = population_name(runs)
  started = _now()
  with contextlib.ExitStack() as stack:
    writer = stack.enter_context(results.PopulationWriter(workdir, name))
    progress = stack.enter_context(
      progress_lib.Progress(name, len(runs), settings.updates)
    )
    stack.enter_context(jax.enable_x64(settings.dtype == 'float64'))
    events = stack.enter_context(
      tensorboard.Events(writer.partial, names, settings.tensorboard)
    )
    population = population_lib.compile_population(
      settings, [run.hyperparams for run in runs]
    )
    progress.start()
    clock = time.monotonic()

    def observe(state: step.State, record: dict[str, np.ndarray]) -> None:
      rows = _metric_rows(settings, names, state, record)
      writer.append_metrics(rows)
      events.write(rows)
      progress.show(_report(state, record))

    state, final = _train(settings, population, observe)
    seconds = time.monotonic() - clock
    progress.show(_report(state, final), last=True)
    writer.finish(
      _run_rows(runs, names, name, state, final, seconds),
      _named_leaves(state.params),
      {
        **provenance.describe(),
        'devices': [device.device_kind for device in jax.devices()],
        'platform': jax.default_backend(),
        'compile_seconds': population.compile_seconds,
        'train_seconds': seconds,
        'started': started,
        'finished': _now(),
      },
    )


def _train(
  settings: settings_lib.Settings,
  population: population_lib.Population,
  observe: Callable[[step.State, dict[str, np.ndarray]], None],
) -> tuple[step.State, dict[str, np.ndarray]]:
  """Train to the end; `observe` sees update 0 and the end of every chunk.

  Returns:
    The last state and record, on the host, without padding.
  """
  on_device, chunk, done = population.state, 0, 0
  while True:
    on_device, record = population.advance(on_device, chunk)
    done += chunk
    # Parameters stay on the device; what is copied is copied for good, since
    # the next chunk takes the memory of this state.
    marks = on_device._replace(params=None, opt_state=None, recent=None)
    marks, record = _to_host((marks, record), population.size)
    observe(marks, record)
    if done == settings.updates or _is_settled(settings, marks):
      return _to_host(on_device, population.size), record
    chunk = min(settings.evaluation_interval, settings.updates - done)


def _to_host(tree: Any, size: int) -> Any:
  return jax.tree.map(lambda leaf: np.array(leaf)[:size], tree)


def _is_settled(settings: settings_lib.Settings, state: step.State) -> bool:
  """Tell whether going on is pointless."""
  diverged = state.diverged_at >= 0
  settled = diverged | (state.solved_at >= 0)
  return bool(
    np.all(settled) if settings.stop_when_solved else np.all(diverged)
  )


def _metric_rows(
  settings: settings_lib.Settings,
  names: Sequence[str],
  state: step.State,
  record: dict[str, np.ndarray],
) -> list[dict[str, Any]]:
  return [
    {
      'run': name,
      'update': int(state.update[index]),
      'sequences': int(state.update[index]) * settings.batch_size,
      **{key: float(value[index]) for key, value in record.items()},
    }
    for index, name in enumerate(names)
  ]


def _run_rows(
  runs: Sequence[settings_lib.Run],
  names: Sequence[str],
  population: str,
  state: step.State,
  record: dict[str, np.ndarray],
  seconds: float,
) -> list[dict[str, Any]]:
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
        'task': settings.task.label,
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


def _report(state: step.State, record: dict[str, np.ndarray]):
  return progress_lib.Report(
    update=int(state.update[0]),
    solved=int(np.sum(state.solved_at >= 0)),
    diverged=int(np.sum(state.diverged_at >= 0)),
    loss=float(np.median(record['loss'])),
  )


def _named_leaves(tree: Any) -> dict[str, np.ndarray]:
  """Return leaves by path, as 'layers/0/kernel'."""
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
  }


def _now() -> str:
  return datetime.datetime.now(datetime.UTC).isoformat('T', 'seconds')
