"""Print a study of many tasks as Markdown tables: a row a task.

    python docs/overview.py RUN_DIRECTORY

A cell is a model: runs that solved the task, the median of sequences to success
with its 95 % interval, the mean of the held-out loss at the end. Needs the
compare.csv that `experiments.compare` writes.
"""

from collections.abc import Mapping
import csv
import pathlib
import sys
from typing import Any

from lstm_variants import results

HEADER = ('task', 'published', 'loss without memory')


def rows(workdir: str) -> dict[str, dict[str, dict[str, str]]]:
  """Return task -> label of a model -> its line of compare.csv."""
  found: dict[str, dict[str, dict[str, str]]] = {}
  with open(pathlib.Path(workdir) / 'compare.csv', newline='') as file:
    for row in csv.DictReader(file):
      found.setdefault(row['task'], {})[row['label']] = row
  return found


def cell(row: dict[str, str]) -> str:
  """Return what a model reached on a task."""
  solved = f'{row["solved"]}/{row["runs"]}'
  if row['solved'] != '0':
    bounds = (count(row[f'median_{end}']) for end in ('low', 'high'))
    median = count(row['median_sequences_to_success'])
    solved += f', {median} [{", ".join(bounds)}]'
  return f'{solved}; {float(row["final_loss_mean"] or "nan"):.3g}'


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


if __name__ == '__main__':
  if len(sys.argv) != 2:
    sys.exit('usage: python docs/overview.py RUN_DIRECTORY')
  print('\n'.join(overview(sys.argv[1])))
