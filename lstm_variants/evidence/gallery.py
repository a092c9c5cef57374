"""The figures of a study beyond its tables: written, and read back.

    WORKDIR/figures/NAME.svg, .png, .csv     a figure, and its numbers
    WORKDIR/figures/index.json               what each of them shows

The command `analyse` writes them; the report shows those that are of the runs
that it is about, and leaves out what was drawn before runs were added.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import csv
import io
import itertools
import json
import pathlib
import re
from typing import Any, NamedTuple

from lstm_variants import evidence, opening
from lstm_variants.plots import theme
from lstm_variants.runs import files, lock, results

INDEX = 'index.json'
# Lines of a table that can be read, and bytes that they may have.
MOST_LINES, _MOST_BYTES = 40, 2**20
# Bytes of a figure.
LARGEST = 2**25


class Drawing(NamedTuple):
  """A figure and the numbers behind it.

  Attributes:
    kind: of figure, as 'gradient_flow'.
    task: its label.
    part: tells the figures of one kind and task apart; may be empty.
    heading: a few words.
    caption: what is drawn, and how it is computed.
    figure: of Matplotlib.
    columns: of the numbers.
    rows: the numbers.
  """

  kind: str
  task: str
  part: str
  heading: str
  caption: str
  figure: Any
  columns: Sequence[str]
  rows: Iterable[Sequence[Any]]


class Shown(NamedTuple):
  """A drawing as it is on the disk.

  Attributes:
    kind: of figure.
    task: its label.
    name: of its files, without their ending.
    heading: a few words.
    caption: what is drawn.
    svg: the figure.
    numbers: its CSV file, headings first, if it is short.
  """

  kind: str
  task: str
  name: str
  heading: str
  caption: str
  svg: str
  numbers: Sequence[Sequence[str]]


def file_name(*parts: str) -> str:
  """Return parts as the name of a file."""
  return re.sub(r'[^A-Za-z0-9._-]+', '_', '-'.join(filter(None, parts)))


def digest(runs: Sequence[Mapping[str, Any]]) -> str:
  """Return a hash of finished runs, however they are ordered."""
  lines = sorted(json.dumps(files.jsonable(dict(run))) for run in runs)
  return results.fingerprint([{'runs': lines}])


def write(
  workdir: str,
  drawings: Iterable[Drawing],
  runs: Sequence[Mapping[str, Any]],
) -> list[pathlib.Path]:
  """Write drawings one by one, then name them in the index.

  Args:
    workdir: of the study.
    drawings: replace those of their kinds that are there.
    runs: rows of `results.read_runs`, which are drawn.

  Returns:
    The SVG files; where there are none, nothing is changed.

  Raises:
    StorageError: something could not be written.
  """
  directory = pathlib.Path(workdir) / 'figures'
  entries, paths = [], []
  for drawing in drawings:
    name = file_name(drawing.task, drawing.kind, drawing.part)
    theme.entitle(drawing.figure, drawing.heading)
    svg, png = theme.pictures(drawing.figure, salt=name)
    contents = {
      'svg': files.encode(svg),
      'png': png,
      'csv': files.encode(files.csv_text(drawing.columns, drawing.rows)),
    }
    with lock.hold_report(directory.parent):
      files.make_directory(directory)
      for end, content in contents.items():
        files.write(directory / f'{name}.{end}', content)
    entries.append({'name': name, **_texts(drawing)})
    paths.append(directory / f'{name}.svg')
  if entries:
    with lock.hold_report(directory.parent):
      _add(directory, entries, digest(runs))
  return paths


def _add(
  directory: pathlib.Path, entries: Sequence[Mapping[str, Any]], fresh: str
) -> None:
  """Name drawings in the index, in place of others of their kinds."""
  kinds = {entry['kind'] for entry in entries}
  kept = [
    e for e in _entries(directory, lambda: fresh) if e['kind'] not in kinds
  ]
  ordered = sorted(
    [*kept, *entries], key=lambda e: evidence.KINDS.index(e['kind'])
  )
  files.write_json(directory / INDEX, {'runs': fresh, 'drawings': ordered})


def read(workdir: str, runs: Sequence[Mapping[str, Any]]) -> list[Shown]:
  """Return the drawings that show these runs; damaged ones are left out.

  Args:
    workdir: of the study.
    runs: rows of `results.read_runs`.
  """
  directory = pathlib.Path(workdir) / 'figures'
  drawings = []
  for entry in _entries(directory, lambda: digest(runs)):
    try:
      content = opening.read(directory / f'{entry["name"]}.svg', LARGEST)
      svg = content.decode()
      if '<svg' not in svg:
        continue
      fields = {field: str(entry[field]) for field in Shown._fields[:-2]}
      numbers = _read_csv(directory / f'{entry["name"]}.csv')
    except (OSError, ValueError, LookupError, csv.Error):
      continue
    drawings.append(Shown(**fields, svg=svg, numbers=numbers))
  return drawings


def _entries(
  directory: pathlib.Path, fresh: Callable[[], str]
) -> list[dict[str, Any]]:
  """Return the entries of the index, none if it is of other runs.

  Args:
    directory: with the figures.
    fresh: returns the `digest` of the runs, which takes long where they are
      many; called where there is an index.
  """
  try:
    index = files.read_json(directory / INDEX)
    if index['runs'] != fresh():
      return []
    entries = [dict(entry) for entry in index['drawings']]
    return [
      e
      for e in entries
      if e['kind'] in evidence.KINDS and e['name'] == file_name(e['name'])
    ]
  except (OSError, files.DamagedError, LookupError, TypeError, ValueError):
    return []


def _read_csv(path: pathlib.Path) -> list[list[str]]:
  """Return the lines of a table, none if there are many."""
  with opening.open_file(path) as file:
    content = file.read(_MOST_BYTES + 1)
  if len(content) > _MOST_BYTES:
    return []
  text = io.StringIO(content.decode(), newline='')
  lines = list(itertools.islice(csv.reader(text), MOST_LINES + 1))
  return lines if len(lines) <= MOST_LINES else []


def _texts(drawing: Drawing) -> dict[str, str]:
  fields = drawing._asdict()
  return {name: fields[name] for name in ('kind', 'task', 'heading', 'caption')}
