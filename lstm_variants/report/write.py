"""Writes what a study shows: compare.csv, figures, report.html."""

from collections.abc import Callable, Mapping, Sequence
import functools
import math
import os
import pathlib
from typing import Any, NamedTuple

from lstm_variants.evidence import gallery
from lstm_variants.plots import theme
from lstm_variants.report import best, comparison, curves, page, parts
from lstm_variants.runs import (
  equal_training,
  files,
  grouping,
  lock,
  results,
)

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
  content, rows = _content(workdir, finished, baseline, show)
  images = _pictures(draw(content.parts, content.losses))
  with lock.hold_report(path):
    if _version(path) != version:
      _check_same(workdir, study)
    numbers = _numbers(content.parts, content.losses)
    figures = _write_figures(path, images, numbers)
    table = _replace(path / 'compare.csv', files.encode(csv_text(rows)))
    content = content._replace(
      drawings={key: svg for key, (svg, _) in images.items()},
      analyses=gallery.read(workdir, runs),
    )
    html = page.render(content)
    html_path = _replace(path / 'report.html', files.encode(html))
  return Report(html_path, table, figures, rows)


def preview(
  workdir: str, finished: results.Finished, baseline: str | None = None
) -> page.Content:
  """Return what a report of finished runs shows; nothing is written.

  Args:
    workdir: the run directory.
    finished: of it, one run at least.
    baseline: as of `write`.

  Raises:
    results.WorkdirError: something cannot be read.
    grouping.BaselineError: no run is of the baseline's model.
  """
  runs = finished.runs
  baseline = grouping.choose_baseline(runs, baseline)
  content, _ = _content(workdir, finished, baseline)
  drawings = {
    (task, kind): theme.svg(drawing, gallery.file_name(task, kind))
    for (task, kind), drawing in draw(content.parts, content.losses).items()
  }
  analyses = gallery.read(workdir, runs)
  return content._replace(drawings=drawings, analyses=analyses)


def _content(
  workdir: str,
  finished: results.Finished,
  baseline: str,
  show: Callable[[results.Finished, Sequence[comparison.Row]], None] = (
    lambda finished, rows: None
  ),
) -> tuple[page.Content, Sequence[comparison.Row]]:
  """Return what the page tells, without figures, and the rows of its tables."""
  study, runs = finished
  read_losses = functools.cache(lambda: results.read_losses(workdir))
  tables = grouping.tabulate(
    study['tasks'], runs, grouping.searched_fields(study)
  )
  groups = grouping.group(tables)
  standings = equal_training.stand(runs, read_losses)
  rows = comparison.compare_tasks(study['tasks'], groups, baseline, standings)
  show(finished, rows)
  content = page.Content(
    study=study,
    parts=parts.split(study, runs, groups, rows),
    drawings={},
    losses=read_losses(),
    best=best.compare(tables, baseline, standings),
    provenance=results.read_provenance(workdir),
    baseline=baseline,
  )
  return content, rows


def _pictures(
  drawings: Mapping[tuple[str, str], Any],
) -> dict[tuple[str, str], tuple[str, bytes]]:
  """Return each figure as SVG text and as PNG bytes, by task and kind."""
  return {
    (task, kind): theme.pictures(drawing, gallery.file_name(task, kind))
    for (task, kind), drawing in drawings.items()
  }


def _numbers(
  of_tasks: Sequence[parts.Part], losses: results.Losses
) -> dict[tuple[str, str], str]:
  """Return the numbers of each figure as CSV, by task and kind."""
  numbers = {}
  for part in of_tasks:
    tables = {
      'loss': curves.loss_table(part.groups, losses),
      'success': curves.success_table(part.groups),
    }
    for kind, table in tables.items():
      numbers[part.task, kind] = files.csv_text(*table)
  return numbers


def _write_figures(
  path: pathlib.Path,
  images: Mapping[tuple[str, str], tuple[str, bytes]],
  numbers: Mapping[tuple[str, str], str],
) -> list[pathlib.Path]:
  """Write the figures of a report and their numbers, by task and kind."""
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
      _replace(folder / f'{name}.csv', files.encode(numbers[task, kind])),
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
  of_tasks: Sequence[parts.Part], metrics: results.Losses
) -> dict[tuple[str, str], Any]:
  """Draw both figures of each task, keyed by task and kind."""
  drawings = {}
  for part in of_tasks:
    groups = [
      group._replace(label=theme.shortened(part.name(index)))
      for index, group in enumerate(part.groups[:_DRAWN])
    ]
    looks = part.looks[:_DRAWN]
    more = ''
    if len(part.groups) > _DRAWN:
      more = f', the first {_DRAWN} of {len(part.groups):,} rows'
    drawings[part.task, 'loss'] = curves.draw_learning_curves(
      f'{part.title}: held-out loss{more}',
      groups,
      metrics,
      (part.facts.get('baselines') or {}).get('loss'),
      looks,
    )
    drawings[part.task, 'success'] = curves.draw_successes(
      f'{part.title}: sequences to success{more}',
      groups,
      {
        theme.shortened(part.name(index)): row.median.estimate
        for index, row in enumerate(part.rows)
      },
      looks,
    )
  return drawings


def _replace(path: pathlib.Path, content: bytes) -> pathlib.Path:
  files.write(path, content)
  return path


def _is_nan(value: Any) -> bool:
  return isinstance(value, float) and math.isnan(value)
