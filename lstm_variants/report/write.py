"""Writes what a study shows: compare.csv, figures, report.html."""

from collections.abc import Callable, Mapping, Sequence
import functools
import math
import os
import pathlib
from typing import Any, NamedTuple

from lstm_variants.evidence import gallery
from lstm_variants.plots import theme
from lstm_variants.report import comparison, curves, page
from lstm_variants.runs import files, grouping, lock, results

_CSV_COLUMNS = (
  'task',
  'label',
  'model',
  'is_baseline',
  'runs',
  'solved',
  'diverged',
  'trained_sequences_least',
  'trained_sequences_most',
  'median_sequences_to_success',
  'median_low',
  'median_high',
  'speed_ratio',
  'speed_ratio_low',
  'speed_ratio_high',
  'speed_pairs',
  'speed_p',
  'speed_p_holm',
  'compared_at_sequences',
  'loss',
  'loss_low',
  'loss_high',
  'loss_runs',
  'loss_ratio',
  'loss_ratio_low',
  'loss_ratio_high',
  'loss_pairs',
  'loss_p',
  'loss_p_holm',
  'final_loss',
  'bits',
  'perplexity',
  'params_in_use',
  'milliseconds_per_update',
)


# Rows of a table that a figure shows, at most: more could not be told apart.
_DRAWN = 64


class Report(NamedTuple):
  """The files of a report, and the rows of its tables."""

  html: pathlib.Path
  csv: pathlib.Path
  figures: Sequence[pathlib.Path]
  rows: Sequence[comparison.Row]


def write(
  workdir: str,
  baseline: str | None = None,
  show: Callable[[results.Finished, Sequence[comparison.Row]], None] = (
    lambda finished, rows: None
  ),
  say: Callable[[str], None] = lambda line: None,
) -> Report:
  """Compare the finished runs of a study and write the report beside them.

  Args:
    workdir: the run directory.
    baseline: the model to compare with; None: as `grouping.choose_baseline`.
    show: called with what was read and the rows before anything is written,
      which a directory may refuse.
    say: takes a line that tells which baseline was chosen for want of vanilla.

  Returns:
    The files, each written aside and renamed when it is whole, and the rows.

  Raises:
    results.WorkdirError: no study, or no finished run; or another study has
      taken its place.
    grouping.BaselineError: no run is of the baseline's model.
    StorageError: something cannot be written.
    BusyError: another process writes its report all the time.
  """
  path = pathlib.Path(workdir)
  version = _version(path)
  finished = results.read_finished(workdir)
  study, runs = finished
  baseline = grouping.choose_baseline(runs, baseline, say)
  read_losses = functools.cache(lambda: results.read_losses(workdir))
  rows = comparison.compare(
    study['tasks'],
    runs,
    baseline,
    read_losses,
    grouping.searched_fields(study),
  )
  show(finished, rows)
  drawings = draw(study, runs, rows, read_losses())
  images = {
    (task, kind): theme.pictures(drawing, gallery.file_name(task, kind))
    for (task, kind), drawing in drawings.items()
  }
  provenance = results.read_provenance(workdir)
  with lock.hold_report(path):
    if _version(path) != version:
      _check_same(workdir, study)
    figures = _write_figures(path, images)
    table = _replace(path / 'compare.csv', files.encode(csv_text(rows)))
    texts = {key: svg for key, (svg, _) in images.items()}
    html = page.render(
      study, rows, texts, provenance, baseline, gallery.read(workdir, runs)
    )
    html_path = _replace(path / 'report.html', files.encode(html))
  return Report(html_path, table, figures, rows)


def _write_figures(
  path: pathlib.Path,
  images: Mapping[tuple[str, str], tuple[str, bytes]],
) -> list[pathlib.Path]:
  """Write the figures of a report, by task and kind."""
  folder = path / 'figures'
  files.make_directory(folder)
  # Nobody else writes there now: these are of programs that were killed.
  for place, start in ((folder, ''), (path, 'report.'), (path, 'compare.')):
    files.remove_aside(place, start)
  written = []
  for (task, kind), (svg, png) in images.items():
    name = gallery.file_name(task, kind)
    written += [
      _replace(folder / f'{name}.svg', files.encode(svg)),
      _replace(folder / f'{name}.png', png),
    ]
  return written


def _version(path: pathlib.Path) -> tuple[int, int] | None:
  """Return what differs when study.json was written anew."""
  try:
    status = os.stat(path / files.STUDY)
  except OSError:
    return None
  return status.st_ino, status.st_mtime_ns


def _check_same(workdir: str, study: Mapping[str, Any]) -> None:
  """Refuse to write beside another study what was read of this one."""
  if results.read_study(workdir)['created'] != study['created']:
    raise results.WorkdirError(
      f'--workdir={workdir}: its study was begun anew meanwhile; repeat the '
      'command'
    )


def csv_text(rows: Sequence[comparison.Row]) -> str:
  """Return the rows as CSV: full numbers, missing ones empty, inf as `inf`."""
  lines = [
    ['' if _is_nan(value) else value for value in record.values()]
    for record in records(rows)
  ]
  return files.csv_text(_CSV_COLUMNS, lines)


def records(rows: Sequence[comparison.Row]) -> list[dict[str, Any]]:
  """Return the rows as plain numbers by column, NaN for missing ones."""
  return [dict(zip(_CSV_COLUMNS, _values(row), strict=True)) for row in rows]


def _values(row: comparison.Row) -> tuple[Any, ...]:
  """Return the numbers of a row, in the order of `_CSV_COLUMNS`."""
  return (
    row.task,
    row.label,
    row.model,
    int(row.is_baseline),
    row.runs,
    row.solved,
    row.diverged,
    *row.trained,
    *row.median,
    *row.speed.ratio,
    row.speed.pairs,
    row.speed.p_value,
    row.speed_holm,
    math.nan if row.compared_at is None else row.compared_at,
    *row.loss,
    row.finite,
    *row.ratio.ratio,
    row.ratio.pairs,
    row.ratio.p_value,
    row.loss_holm,
    row.final.estimate,
    row.bits,
    row.perplexity,
    row.params_in_use,
    row.milliseconds,
  )


def draw(
  study: Mapping[str, Any],
  runs: Sequence[grouping.Run],
  rows: Sequence[comparison.Row],
  metrics: results.Losses,
) -> dict[tuple[str, str], Any]:
  """Draw both figures of each task, keyed by task and kind."""
  groups = {
    (group.task, group.label): group
    for group in grouping.group_runs(
      study['tasks'], runs, searched=grouping.searched_fields(study)
    )
  }
  drawings = {}
  for task in dict.fromkeys(row.task for row in rows):
    chosen = [row for row in rows if row.task == task]
    ordered = [groups[task, row.label] for row in chosen[:_DRAWN]]
    title = task
    if len(chosen) > _DRAWN:
      title += f': the first {_DRAWN} of {len(chosen):,} rows'
    baselines = study['tasks'].get(task, {}).get('baselines') or {}
    drawings[task, 'loss'] = curves.draw_learning_curves(
      title, ordered, metrics, baselines.get('loss')
    )
    drawings[task, 'success'] = curves.draw_successes(
      title, ordered, {row.label: row.median.estimate for row in chosen}
    )
  return drawings


def _replace(path: pathlib.Path, content: bytes) -> pathlib.Path:
  files.write(path, content)
  return path


def _is_nan(value: Any) -> bool:
  return isinstance(value, float) and math.isnan(value)
