"""Builds small run directories by hand, without training anything."""

from collections.abc import Mapping
import itertools
from typing import Any

from lstm_variants.runs import directory
from lstm_variants.runs import writer as writer_lib

BUDGET = 6400
INTERVAL = 1600  # sequences between evaluations

ADDING = {
  'summary': 'sum of two marked values <b>exactly</b> & nothing else',
  'reference': 'Arjovsky, Shah & Bengio, ICML 2016',
  'success': 'held-out loss below 0.001',
  'baselines': {'loss': 1 / 6, 'wrong': None},
  'published': [
    {
      'length': 100,
      'value': 74000.0,
      'unit': 'sequences to success',
      'source': 'table 7, LSTM, 10 trials',
    }
  ],
}
COPY = {
  'summary': 'recall ten symbols',
  'reference': 'Arjovsky, Shah & Bengio, ICML 2016',
  'success': 'held-out wrong below 0.01',
  'baselines': {'loss': 0.05},
  'published': [],
}
TASKS = {'adding-urnn16-T50': ADDING, 'copy-urnn16-T20': COPY}


def config(task: str, model: str, seed: int, **optimizer) -> dict:
  """A resolved config; `optimizer` sets fields of the optimizer."""
  name, dialect, length = task.split('-')
  return {
    'seed': seed,
    'task': {'name': name, 'dialect': dialect, 'length': int(length[1:])},
    'model': {
      'variant': model.partition(' ')[0],
      'toggles': {'input_gate': ' ' not in model and None},
      'hidden_features': 32,
    },
    'optimizer': {
      'name': 'adam',
      'learning_rate': 0.001,
      'clip_norm': None,
      **optimizer,
    },
    # Varies between tasks, constant inside each.
    'training': {'batch_size': 32 if name == 'adding' else 16},
  }


def run(task: str, model: str, seed: int, success, loss, **rest) -> dict:
  """A row of runs.jsonl; `rest` replaces its fields."""
  return {
    'task': task,
    'model': model,
    'config': config(task, model, seed),
    'status': 'unsolved' if success is None else 'solved',
    'sequences_to_success': success,
    'sequences': BUDGET,
    'updates': BUDGET // 32,
    'final': {'loss': loss, 'wrong': 0.1},
    'params_in_use': 4480,
    'params': 5632,
    'seconds_per_update': 0.002,
    **rest,
  }


def evaluations(row: Mapping[str, Any]) -> list[dict]:
  """Rows of metrics.jsonl: losses fall to the final one, or break off."""
  final = row['final']['loss']
  count = row['sequences'] // INTERVAL
  return [
    {
      'run': row['id'],
      'update': k * INTERVAL // 32,
      'sequences': k * INTERVAL,
      'train_loss': 0.5,
      'grad_norm': 1.0,
      'loss': final * 2.0 ** (count - k)
      if final is not None
      else (0.2 if k == 1 else None),
      'wrong': 0.1,
    }
    for k in range(1, count + 1)
  ]


def write(workdir, runs, tasks=None, name='study', finished=None) -> None:
  """Write `runs` as a study with a population per task.

  Args:
    workdir: of the study.
    runs: from `run`.
    tasks: of study.json; None is `TASKS`.
    name: of the study.
    finished: number of runs that have been trained; None is all.
  """
  with directory.open_study(
    str(workdir),
    name,
    {'seed': 0, 'note': '</pre><script>alert(1)</script>'},
    TASKS if tasks is None else tasks,
    [row['config'] for row in runs],
    directory.Mode.NEW,
  ):
    pass
  runs = runs[:finished]
  for task, rows in itertools.groupby(runs, lambda row: row['task']):
    rows = [
      {'id': f'{task}-{index}', 'population': task, 'index': index, **row}
      for index, row in enumerate(rows)
    ]
    with writer_lib.PopulationWriter(str(workdir), task) as writer:
      writer.start()
      for row in rows:
        writer.append_metrics(evaluations(row))
      writer.finish(rows, {}, provenance())


def provenance() -> dict:
  return {
    'command': ['sweep.py', '--config=a b.py'],
    'commit': 'c0ffee',
    'uncommitted_changes': True,
    'python': '3.11.7',
    'packages': {'jax': '0.10.2'},
    'machine': 'x86_64',
    'system': 'Linux',
    'cpus': 2,
    'devices': ['TFRT_CPU_0'],
    'compile_seconds': 3.25,
    'train_seconds': 41.0,
    'started': '2026-01-01T00:00:00+00:00',
    'finished': '2026-01-01T00:01:00+00:00',
  }


def example() -> list[dict]:
  """Two tasks, three models; one of them fails, one diverges once."""
  adding, copy = TASKS
  runs = []
  for seed in range(8):
    runs += [
      run(adding, 'vanilla', seed, 1600 + 400 * seed, 1e-4 * (seed + 1)),
      run(adding, 'peephole', seed, 1200 + 400 * seed, 2e-4 * (seed + 1)),
      run(adding, 'vanilla <no input_gate>', seed, None, 0.16 + seed / 1000),
    ]
  runs[-2].update(status='diverged', final={'loss': None})
  runs[-2].update(sequences_to_success=None, sequences=3200)
  runs += [run(copy, 'vanilla', seed, 3200, 1e-3) for seed in range(2)]
  runs.append(run(copy, 'peephole', 0, None, 2e-3))
  return runs
