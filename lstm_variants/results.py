"""The results of a study, for scripts and notebooks.

    results = lv.open_results('runs/adding')
    results.to_pandas()
    results.compare()
    results.load('best').predict(inputs)

Reads the run directory; jax is imported by `Results.load` alone.
"""

from collections.abc import Mapping, Sequence
import contextlib
import functools
import html
import io
import os
import pathlib
from typing import Any, TYPE_CHECKING

from lstm_variants import arguments, errors
from lstm_variants.config import fields
from lstm_variants.plots import theme
from lstm_variants.report import comparison, tables
from lstm_variants.report import parts as parts_lib
from lstm_variants.report import write as report
from lstm_variants.runs import (
  choice,
  equal_training,
  files,
  grouping,
  sharing,
  status,
)
from lstm_variants.runs import results as runs_lib

if TYPE_CHECKING:
  from lstm_variants.model import Model


# In a row of metrics.jsonl, what is no metric.
_PLACE = ('run', 'update', 'sequences')
# Columns of a table without rows.
_ALWAYS = ('id', 'population', 'task', 'model', 'status')


class PandasError(errors.Error, ImportError):
  """A table is asked for, and pandas is not installed."""


class FormatError(errors.Error, ValueError):
  """A figure is to be written in a format that it does not have."""


def open_results(workdir: str | os.PathLike[str]) -> 'Results':
  """Return the results of a study, from its run directory.

  Args:
    workdir: the run directory of `Study.train`, or of a command.

  Raises:
    lv.Error: it holds no study.
  """
  return Results(workdir)


class Results:
  """What a study has left in its run directory; read anew at every call.

  Attributes:
    workdir: the run directory.
  """

  @errors.told_in_python()
  def __init__(self, workdir: str | os.PathLike[str], here: bool = True):
    """Refuse what is no study; here=False: it may be on another host's disk."""
    arguments.flag('here', here)
    self.workdir = arguments.path('workdir', workdir, 'runs/study')
    if here:
      runs_lib.read_study(self.workdir)

  def __repr__(self) -> str:
    try:
      study, finished = self.study, len(self.runs())
    except errors.Error:
      return f'Results({self.workdir!r}): its study is gone'
    return (
      f'Results({self.workdir!r}): {study["name"]}, {finished} of '
      f'{len(study["runs"])} runs finished'
    )

  @property
  @errors.told_in_python()
  def study(self) -> dict[str, Any]:
    """What study.json says: name, config, tasks, runs.

    Raises:
      lv.Error: the directory holds no study any more.
    """
    return sharing.unshared(runs_lib.read_study(self.workdir))

  @errors.told_in_python()
  def runs(self) -> list[dict[str, Any]]:
    """Return the finished runs, as in runs.jsonl.

    Returns:
      A dict for each: its `id`, `population`, `task` and `model`, its `config`
      (nested), its `status` ('solved', 'unsolved' or 'diverged'), the metrics
      at its end (`final`), `sequences_to_success`, None if it was not solved,
      and more. None are there while the first population trains: `metrics`
      and `to_pandas` have also runs in training.

    Raises:
      lv.Error: the directory cannot be read.
    """
    return [sharing.unshared(row) for row in runs_lib.read_rows(self.workdir)]

  @errors.told_in_python()
  def metrics(self, run: choice.Wanted | None = None) -> list[dict[str, Any]]:
    """Return the evaluations of runs, finished or in training.

    Args:
      run: which one, as of `load`; None: all.

    Returns:
      A dict for each evaluation, as in metrics.jsonl: its `run`, `update`,
      `sequences`, and the metrics: `loss`, `train_loss`, ….

    Raises:
      lv.Error: there is no such run, or more than one; or it has not begun.
    """
    training = runs_lib.read_metrics_in_training(self.workdir)
    rows = [*runs_lib.read_metrics(self.workdir), *training]
    if run is None:
      return rows
    name = self._find(run, training)
    return [row for row in rows if row['run'] == name]

  def _find(
    self, wanted: choice.Wanted, training: Sequence[Mapping[str, Any]]
  ) -> str:
    """Return the id of a run, finished or in training."""
    rows = self.runs()
    facts = {
      row['id']: choice.facts(row['config'], row['model'], row['task'])
      for row in [*rows, *in_training(self.workdir, training)]
    }
    try:
      return choice.choose(wanted, facts, grouping.final_losses(rows))
    except choice.RunError as error:
      self._refuse_not_begun(wanted, error)
      raise

  def _refuse_not_begun(
    self, wanted: choice.Wanted, error: choice.RunError
  ) -> None:
    """Refuse a run of which there is nothing yet, if such a one is meant."""
    from lstm_variants import model

    with contextlib.suppress(errors.Error):
      planned = model.planned(self.workdir)
      facts = {
        name: choice.facts(run['config'], run['model'], run['task'])
        for name, run in planned.items()
      }
      name = choice.choose(wanted, facts, {})
      error.args = (f'--run={name}: has not begun, so it has no evaluations',)

  @errors.told_in_python()
  def to_pandas(self, every_field: bool = False) -> Any:
    """Return the runs as a pandas DataFrame, a row for each.

    Those in training are there with the status 'training', or 'interrupted'
    where no process trains them any more, and their newest metrics; those that
    are not begun are not.

    Args:
      every_field: with all fields of the configs; else with those that differ
        between the runs of the study, finished or not, and the seed.

    Returns:
      Columns: those of `runs`, the metrics at the end as `final.loss` and the
      like, the fields by their dotted names.

    Raises:
      lv.Error: pandas is not installed.
    """
    arguments.flag('every_field', every_field)
    pandas = _pandas()
    training = runs_lib.read_metrics_in_training(self.workdir)
    rows = [*self.runs(), *in_training(self.workdir, training)]
    configs = [dict(fields.flatten(row['config'])) for row in rows]
    # Of all runs: the columns are there before the last of them has ended.
    planned = [dict(fields.flatten(run)) for run in self.study['runs']]
    names = dict.fromkeys(name for config in planned for name in config)
    chosen = [
      name
      for name in names
      if every_field
      or name == 'seed'
      or len({grouping.hashable(config.get(name)) for config in planned}) > 1
    ]
    records = [
      {
        **{k: v for k, v in row.items() if k not in ('config', 'final')},
        **{f'final.{k}': v for k, v in row['final'].items()},
        **{name: config.get(name) for name in chosen},
      }
      for row, config in zip(rows, configs, strict=True)
    ]
    columns = None if records else [*_ALWAYS, *chosen]
    return pandas.DataFrame(records, columns=columns)

  @errors.told_in_python()
  def compare(self, baseline: str | None = None) -> 'Comparison':
    """Compare the models: the table of the command `compare`.

    Args:
      baseline: the model that the others are compared with; None: vanilla, or
        the first of the study where it has none.

    Raises:
      lv.Error: no run is finished, or none is of the baseline.
    """
    finished = runs_lib.read_finished(self.workdir)
    baseline = grouping.choose_baseline(finished.runs, baseline)
    return Comparison(self, finished, baseline)

  @errors.told_in_python()
  def load(self, run: choice.Wanted = choice.BEST) -> 'Model':
    """Return the trained model of a run.

    Args:
      run: its id; or what is enough: the beginning of an id ('gru_seed0'),
        fields ('variant=gru,seed=0'), or 'best': the lowest held-out loss at
        the end, of all runs that are finished and did not diverge; of several
        tasks one must be chosen ('best,task=adding-urnn16-T50').

    Returns:
      The model at the end of its training, or at the newest checkpoint of a
      run that is not finished.

    Raises:
      lv.Error: there is no such run, or more than one; or it has no weights
        yet.
    """
    from lstm_variants import model

    return model.load(self.workdir, run)


def in_training(
  workdir: str, evaluations: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
  """Return rows as of `Results.runs` of runs in training, as they are by now.

  Args:
    workdir: the run directory.
    evaluations: of these runs, from `runs.results.read_metrics_in_training`.

  Raises:
    lv.Error: the directory cannot be read.
  """
  if not evaluations:
    return []
  from lstm_variants import model

  last = {row['run']: row for row in evaluations}
  state = status.state(pathlib.Path(workdir))
  return [
    {
      **run,
      'status': state,
      'sequences': last[name]['sequences'],
      'updates': last[name]['update'],
      'final': {k: v for k, v in last[name].items() if k not in _PLACE},
    }
    for name, run in model.planned(workdir).items()
    if name in last
  ]


class Comparison:
  """Models side by side; shows itself as the command `compare` does.

  Attributes:
    baseline: the model that the others are compared with.
    rows: `report.comparison.Row`s, the baseline's first in each task.
  """

  def __init__(
    self, results: Results, finished: runs_lib.Finished, baseline: str
  ):
    self.baseline = baseline
    self._study, self._runs = finished
    self._read_losses = functools.cache(
      lambda: runs_lib.read_losses(results.workdir)
    )
    tasks, searched = (
      self._study['tasks'],
      grouping.searched_fields(self._study),
    )
    self._groups = grouping.group_runs(tasks, self._runs, searched=searched)
    standings = equal_training.stand(self._runs, self._read_losses)
    self.rows: list[comparison.Row] = comparison.compare_tasks(
      tasks, self._groups, baseline, standings
    )

  def __repr__(self) -> str:
    text = io.StringIO()
    tables.show(self._study, self.rows, text)
    return text.getvalue().rstrip()

  def _repr_html_(self) -> str:
    """Return the tables for a notebook."""
    parts = []
    for task in dict.fromkeys(row.task for row in self.rows):
      rows = [row for row in self.rows if row.task == task]
      columns = tables.columns(rows)
      heads = ''.join(
        f'<th>{html.escape(column.heading)}<br>'
        f'<small>{html.escape(column.unit)}</small></th>'
        for column in columns
      )
      body = ''.join(
        '<tr>'
        + ''.join(
          f'<td>{html.escape(cell)}</td>' for cell in tables.cells(row, columns)
        )
        + '</tr>'
        for row in rows
      )
      notes = ''.join(
        f'<br>{html.escape(f"{heading}: {text}")}'
        for heading, text in tables.at_equal_training(rows)
      )
      parts.append(
        f'<table><caption>{html.escape(task)}{notes}</caption>'
        f'<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
      )
    return ''.join(parts)

  def to_pandas(self) -> Any:
    """Return the rows as a pandas DataFrame: the columns of compare.csv.

    Raises:
      lv.Error: pandas is not installed.
    """
    return _pandas().DataFrame(report.records(self.rows))

  def figures(self) -> list['Figure']:
    """Draw, for each task, the losses and who was solved when."""
    of_tasks = parts_lib.split(self._study, self._runs, self._groups, self.rows)
    drawings = report.draw(of_tasks, self._read_losses())
    return [
      Figure(task, kind, drawing) for (task, kind), drawing in drawings.items()
    ]


class Figure:
  """A figure that shows itself in a notebook.

  Attributes:
    task: its label.
    kind: 'loss' or 'success'.
    drawing: of matplotlib.
  """

  def __init__(self, task: str, kind: str, drawing: Any):
    self.task, self.kind, self.drawing = task, kind, drawing

  def __repr__(self) -> str:
    return f'Figure({self.task!r}, {self.kind!r})'

  def _repr_svg_(self) -> str:
    """Return the figure for a notebook."""
    return theme.svg(self.drawing, salt=f'{self.task}-{self.kind}')

  def save(self, path: str | os.PathLike[str]) -> None:
    """Write the figure, as SVG or, where the path ends in .png, as PNG.

    Raises:
      lv.Error: the path ends in another format, or cannot be written.
    """
    path = pathlib.Path(arguments.path('path', path, 'figure.svg'))
    if path.suffix not in ('', '.svg', '.png'):
      raise FormatError(
        f'path={path}: figures are .svg or .png; nearest: '
        f'{path.with_suffix(".svg")}'
      )
    with files.refusals(path):
      path.parent.mkdir(parents=True, exist_ok=True)
      if path.suffix == '.png':
        path.write_bytes(theme.png(self.drawing))
      else:
        path.write_text(self._repr_svg_(), 'utf-8')


def _pandas() -> Any:
  """Return pandas.

  Raises:
    PandasError: it is not installed.
  """
  try:
    import pandas
  except ImportError as error:
    raise PandasError(
      'a DataFrame needs pandas: pip install pandas; runs() and rows need none'
    ) from error
  return pandas
