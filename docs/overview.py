"""Print a study of many tasks as Markdown tables.

    python docs/overview.py RUN_DIRECTORY              a row a task
    python docs/overview.py RUN_DIRECTORY --models     a row a model
    python docs/overview.py RUN_DIRECTORY --search     of a random search

A cell of the first is a model: runs that solved the task, the median of
sequences to success with its 95 % interval, the geometric mean of the held-out
loss at equal training. One of the second is a task: the same without the
interval, of the model's best setting of the other fields (most runs solved,
then the lowest loss), and which that is: a choice made on the results it is
shown with. They need the compare.csv that `experiments.compare` writes.

Of a search: the mean loss of the best trials of each model, with what their
test against the baseline says, and which share of the variance of log loss each
hyper-parameter explains, over all models. It needs the figures of
`experiments.analyse --figure=importance`.
"""

from collections.abc import Iterable, Mapping
import csv
import pathlib
import sys
from typing import Any

from lstm_variants.runs import results

HEADER = ('task', 'published', 'loss without memory')


def rows(workdir: str) -> dict[str, dict[str, dict[str, str]]]:
  """Return task -> label of a model -> its line of compare.csv."""
  by_task: dict[str, dict[str, dict[str, str]]] = {}
  with open(pathlib.Path(workdir) / 'compare.csv', newline='') as file:
    for row in csv.DictReader(file):
      by_task.setdefault(row['task'], {})[row['label']] = row
  return by_task


def cell(row: dict[str, str]) -> str:
  """Return what a model reached on a task."""
  solved = f'{row["solved"]}/{row["runs"]}'
  if row['solved'] != '0':
    bounds = (count(row[f'median_{end}']) for end in ('low', 'high'))
    median = count(row['median_sequences_to_success'])
    solved += f', {median} [{", ".join(bounds)}]'
  return f'{solved}; {float(row["loss"] or "nan"):.3g}'


def amount(result: Mapping[str, Any]) -> str:
  """Return a published number; mostly these are sequences to success."""
  value, unit = result['value'], result['unit']
  text = f'{value:,.0f}' if value >= 1000 else f'{value:g}'
  return text if unit == 'sequences to success' else f'{text} {unit}'


def count(text: str) -> str:
  """Return a number of sequences, > where it lies beyond the budget."""
  value = float(text or 'inf')
  return f'{value:,.0f}' if value < float('inf') else '> budget'


def overview(workdir: str) -> list[str]:
  """Return the lines of a table for each set of models."""
  tasks = results.read_study(workdir)['tasks']
  families: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
  for task, by_label in rows(workdir).items():
    facts = tasks[task]
    families.setdefault(tuple(by_label), []).append(
      (
        task,
        '; '.join(map(amount, facts['published'])) or '—',
        f'{facts["baselines"]["loss"]:.4g}',
        *map(cell, by_label.values()),
      )
    )
  lines = []
  for models, body in families.items():
    header = (*HEADER, *models)
    lines += [header, ('---',) * len(header), *body, ()]
  return [f'| {" | ".join(line)} |' if line else '' for line in lines]


def models(workdir: str) -> list[str]:
  """Return the lines of the table that has a row for each model."""
  by_task = rows(workdir)
  names = dict.fromkeys(
    row['model'] for by_label in by_task.values() for row in by_label.values()
  )
  header = ('model', *by_task)
  body = (
    (name, *(best(name, by_label.values()) for by_label in by_task.values()))
    for name in names
  )
  table = (header, ('---',) * len(header), *body)
  return [f'| {" | ".join(line)} |' for line in table]


def best(model: str, candidates: Iterable[dict[str, str]]) -> str:
  """Return what a model reached with the best of its settings."""
  own = [row for row in candidates if row['model'] == model]
  if not own:
    return '—'
  row = min(own, key=lambda row: (-int(row['solved']), loss(row)))
  reached = f'{row["solved"]}/{row["runs"]}'
  if row['solved'] != '0':
    reached += f', {count(row["median_sequences_to_success"])}'
  fields = row['label'].removeprefix(model).strip(', ').split(', ')
  # The name of the model tells of its recurrence.
  fields = [field for field in fields if not field.startswith('recurrence=')]
  size = f'{int(row["params_in_use"]):,} parameters'
  setting = ', '.join(fields).replace('hidden_features', 'width')
  parts = '; '.join(filter(None, (f'{loss(row):.3g}', size, setting)))
  return f'{reached}; {parts}'


def search(workdir: str) -> list[str]:
  """Return the lines of two tables of a random search."""
  best, shares = (_columns(workdir, part) for part in ('best', 'shares'))
  lines: list[tuple[str, ...]] = [('variant', *best, 'in the paper')]
  for name, row in next(iter(best.values())).items():
    cells = (_best_words(rows[name]) for rows in best.values())
    lines.append((name, *cells, row['paper'] or '—'))
  lines += [(), ('share of the variance', *shares)]
  for name in next(iter(shares.values())):
    values = (float(rows[name]['share']) for rows in shares.values())
    lines.append((name, *(f'{share:.0%}' for share in values)))
  for heading in (lines.index(()) + 1, 0):
    lines.insert(heading + 1, ('---',) * len(lines[heading]))
  return [f'| {" | ".join(line)} |' if line else '' for line in lines]


def _columns(workdir: str, part: str) -> dict[str, dict[str, dict[str, str]]]:
  """Return task -> row's name -> row, of one kind of figure."""
  key = {'best': 'model', 'shares': 'hyperparameter'}[part]
  by_task = {}
  for task in results.read_study(workdir)['tasks']:
    path = pathlib.Path(workdir) / 'figures' / f'{task}-importance-{part}.csv'
    with open(path, newline='') as file:
      by_task[task] = {
        row[key]: row
        for row in csv.DictReader(file)
        if row.get('trials_of', 'all models') == 'all models'
      }
  return by_task


def _best_words(row: dict[str, str]) -> str:
  mean = f'{float(row["mean_loss"]):.3g}'
  return mean if row['verdict'] == 'baseline' else f'{mean}, {row["verdict"]}'


def loss(row: dict[str, str]) -> float:
  """Return the held-out loss at equal training, inf if there is none."""
  return float(row['loss'] or 'inf')


if __name__ == '__main__':
  match sys.argv[1:]:
    case [workdir]:
      print('\n'.join(overview(workdir)))
    case [workdir, '--models'] | ['--models', workdir]:
      print('\n'.join(models(workdir)))
    case [workdir, '--search'] | ['--search', workdir]:
      print('\n'.join(search(workdir)))
    case _:
      sys.exit(
        'usage: python docs/overview.py RUN_DIRECTORY [--models | --search]'
      )
