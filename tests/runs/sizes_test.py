"""Large studies: what is written can be read, and little is kept of it.

These guard counts; times and memory are measured by benchmarks/sizes.py.
"""

from collections.abc import Callable, Iterator
import contextlib
import json
import math
import pathlib
import random
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from configs import base
from lstm_variants.config import settings
from lstm_variants.launch import local
from lstm_variants.report import write as report
from lstm_variants.runs import (
  directory,
  files,
  record,
  results,
  sharing,
  study_file,
)
from lstm_variants.statistics import speed
from tests.report import study_fixture as fixture


def _study(runs: list[Any]) -> dict[str, Any]:
  head = {'format': 2, 'created': 'now', 'fingerprint': '', 'name': 'a study'}
  return {**head, 'modules': [], 'config': {'a': 1}, 'tasks': {}, 'runs': runs}


RUNS = [{'seed': seed, 'model': {'x': [1, {'y': 2.5}]}} for seed in range(3)]


@pytest.mark.parametrize('runs', [[], RUNS[:1], RUNS])
def test_a_study_is_read_as_it_was_written_and_is_json_as_any_other(
  tmp_path, runs
):
  path = tmp_path / 'study.json'
  path.write_bytes(study_file.encode(_study(runs)))
  assert study_file.read(path) == json.loads(path.read_text()) == _study(runs)
  # As older versions wrote it, and as any tool may.
  for indent in (2, None, 0, 7):
    path.write_text(json.dumps(_study(runs), indent=indent))
    assert study_file.read(path) == _study(runs)
  turned = dict(reversed(_study(runs).items()))
  path.write_text(json.dumps(turned, indent=2))
  assert study_file.read(path) == _study(runs)


def test_the_runs_of_a_study_are_lines_that_are_read_one_by_one(
  tmp_path, monkeypatch
):
  path = tmp_path / 'study.json'
  path.write_bytes(study_file.encode(_study(RUNS)))
  monkeypatch.setattr(study_file, 'LARGEST_WHOLE', 200)
  assert study_file.read(path) == _study(RUNS)
  monkeypatch.setattr(study_file, 'MOST_RUNS', 2)
  with pytest.raises(files.DamagedError, match='more than 2 runs'):
    study_file.read(path)
  path.write_text(json.dumps(_study(RUNS), indent=2))
  with pytest.raises(OSError, match='larger than 200 bytes'):
    study_file.read(path)


@pytest.mark.parametrize('cut', [1, 3, 9, 40])
def test_a_study_that_is_cut_short_is_refused(tmp_path, cut):
  path = tmp_path / 'study.json'
  path.write_bytes(study_file.encode(_study(RUNS))[:-cut])
  if cut > 1:  # the line's end is not missed
    with pytest.raises(files.DamagedError):
      study_file.read(path)


def test_the_most_runs_of_a_study_can_be_read():
  config = settings.from_config(base.get_config()).config
  (size,) = {len(files.json_line(config))}
  assert 2 * size * local.MOST_RUNS < study_file.LARGEST


def test_what_could_not_be_read_is_refused_before_anything_is_changed(
  tmp_path, monkeypatch
):
  runs = [{'seed': seed, 'x': 0.5} for seed in range(4)]
  with directory.open_study(str(tmp_path), 'first', {}, {}, runs):
    pass
  before = (tmp_path / 'study.json').read_bytes()
  monkeypatch.setattr(study_file, 'LARGEST', len(before) - 1)
  for place, mode in (
    (tmp_path / 'new', directory.Mode.NEW),
    (tmp_path, directory.Mode.OVERWRITE),
  ):
    if place == tmp_path:  # the one that is there must be readable
      monkeypatch.setattr(study_file, 'LARGEST', len(before))
      runs = [*runs, {'seed': 9, 'x': 0.5}]
    with pytest.raises(study_file.StudyError, match='split it') as info:
      with directory.open_study(str(place), 'first', {}, {}, runs, mode):
        pass
    assert '\n' not in str(info.value)
  assert not (tmp_path / 'new').exists()
  assert (tmp_path / 'study.json').read_bytes() == before


def test_equal_sections_are_one_object_and_unequal_ones_are_not():
  sections = sharing.Sections()
  text = json.dumps(
    [{'a': {'x': value, 'deep': {'y': 1}}} for value in (1, 1.0, True, 1)]
    + [{'a': {'x': value}} for value in (0.0, -0.0, 0.0, None, 'None', [1])]
  )
  read = files.parse_json(text.encode(), sections=sections)
  assert json.dumps(read) == text
  assert read[0]['a'] is read[3]['a'] and read[4]['a'] is read[6]['a']
  assert len({id(part['a']) for part in read}) == len(read) - 2
  assert len({id(part['a']['deep']) for part in read[:4]}) == 1
  own = sharing.unshared(read)
  assert json.dumps(own) == text
  assert own[0]['a'] is not own[3]['a'] and type(own[0]['a']) is dict


def test_sections_that_are_new_in_every_run_are_not_remembered_for_ever():
  sections = sharing.Sections()
  text = b'{"a": {"seed": %%d, "text": "%b"}}' % (b'x' * 2**13)
  for seed in range(3 * sharing._MOST // 2**13):
    files.parse_json(text % seed, sections=sections)
    assert sum(map(len, sections._known)) <= sharing._MOST
  assert not any(sections._repeated.values())


def test_a_study_s_runs_share_what_is_equal_in_them(tmp_path):
  fixture.write(tmp_path / 'study', fixture.example())
  finished = results.read_finished(str(tmp_path / 'study'))
  for configs in (
    finished.study['runs'],
    [run['config'] for run in finished.runs],
  ):
    assert len(configs) == 27
    for name, distinct in (('optimizer', 1), ('model', 3), ('task', 2)):
      assert len({id(config[name]) for config in configs}) == distinct


def test_losses_are_kept_in_columns(tmp_path):
  fixture.write(tmp_path / 'study', fixture.example())
  rows = results.read_metrics(str(tmp_path / 'study'))
  losses = results.read_losses(str(tmp_path / 'study'))
  assert list(losses) == [
    {name: row[name] for name in ('run', 'sequences', 'loss')} for row in rows
  ]
  wanted = [rows[0]['run'], rows[-1]['run'], 'nobody']
  sequences, values = losses.of(wanted)
  chosen = [row for row in rows if row['run'] in wanted]
  assert sequences.tolist() == [row['sequences'] for row in chosen]
  np.testing.assert_array_equal(
    values, [np.nan if r['loss'] is None else r['loss'] for r in chosen]
  )
  assert [part.size for part in losses.of([])] == [0, 0]


def test_a_report_reads_each_file_once(tmp_path, monkeypatch):
  fixture.write(tmp_path / 'study', fixture.example()[:4])
  opened, open_file = [], files.opening.open_file

  def noted(path, largest=None):
    opened.append(pathlib.Path(path).name)
    return open_file(path, largest)

  monkeypatch.setattr(files.opening, 'open_file', noted)
  report.write(str(tmp_path / 'study'))
  for name in ('study.json', 'runs.jsonl', 'metrics.jsonl'):
    assert opened.count(name) == 1, name


@pytest.mark.parametrize(('runs', 'digits'), [(1000, 8), (100_000, 16)])
def test_names_of_many_runs_do_not_collide(runs, digits):
  assert record.NEW.digits(runs) == digits
  # Of n names, two are equal with a chance of at most n² / 2 / 16^digits.
  assert runs**2 / 2 / 16**digits < 2e-4


def test_times_of_thousands_of_runs_are_compared_within_memory():
  # All ratios of their times at once would be 128 MB, of 25,000 runs 5 GB.
  rng = np.random.default_rng(0)
  sample, baseline = (
    {seed: (100.0 * time, True) for seed, time in enumerate(times)}
    for times in (rng.integers(40, 80, 4000), rng.integers(50, 100, 4001))
  )
  tracemalloc.start()
  try:
    compared = speed.compare(sample, baseline)
    assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
  finally:
    tracemalloc.stop()
  assert compared.ratio.low <= 0.8 <= compared.ratio.high
  assert compared.p_value < 1e-6


def _texts(rng: random.Random, count: int) -> Iterator[bytes]:
  """Yield texts of JSON in which sections come again; most are damaged."""
  keys = [
    'a',
    'config',
    'a b',
    'é',
    'k"q',
    '',
    '{',
    'a{"b": 1}',
    '\\',
    '\ud800',
  ]
  plain = [*keys, '}', '[', 0, 1, 1.0, True, False, None, -0.0, 2**60, math.nan]

  def draw(depth: int) -> Any:
    kind = rng.random() if depth < 4 else 1.0
    if kind < 0.45:
      names = rng.choices(keys, k=rng.randrange(5))
      return {name: draw(depth + 1) for name in names}
    if kind < 0.55:
      return [draw(depth + 1) for _ in range(rng.randrange(4))]
    return rng.choice(plain)

  pieces = [
    *b'{}",:[] 0\\\x00\n\xff',
    b'null',
    b'{}',
    b'"a": {"b": 1}',
    b'}, {',
  ]
  known: list[Any] = [{}]
  for _ in range(count):
    value = {'config': rng.choice(known), 'z': draw(2), 'a': rng.choice(known)}
    known = [*known[-20:], draw(0)]
    text = json.dumps(value, indent=rng.choice((None, None, 1)))
    data = text.encode(rng.choice(['utf-8'] * 9 + ['utf-16', 'utf-8-sig']))
    for _ in range(rng.randrange(3)):
      place, piece = rng.randrange(len(data) + 1), rng.choice(pieces)
      piece = bytes([piece]) if isinstance(piece, int) else piece
      data = data[:place] + piece + data[place + rng.randrange(3) :]
    yield data


def _outcome(read: Callable[[bytes], Any], data: bytes) -> str:
  """Return what is read, or the refusal."""
  try:
    return repr(read(data))  # 1, 1.0 and True differ, NaN is NaN
  except ValueError as error:
    return f'{type(error)}: {error}'


def test_what_shares_its_sections_is_read_and_refused_as_any_json():
  sections, read = sharing.Sections(), 0
  nearly = b'{"a": {}, }', b'{"a": 1{"b": 2}}', b'{"a": {"b": 1},, "c": 2}'
  for data in (*nearly, *_texts(random.Random(0), 3000)):
    wanted = _outcome(json.loads, data)
    assert _outcome(sections.parse, data) == wanted, data
    read += not wanted.startswith('<class')
  assert 500 < read < 2500


def test_a_text_that_is_read_pair_by_pair_takes_no_longer_for_its_length():
  def seconds(pairs: int) -> float:
    text = ', '.join(f'"{n}": 1' for n in range(pairs))
    started = time.process_time()
    sharing.Sections().parse(f'{{{text}, "a": "{{", "b": {{}}}}'.encode())
    return time.process_time() - started

  assert seconds(64_000) < 100 * seconds(6400)


@pytest.mark.parametrize(
  'lines',
  [
    [b'{"a": 1}', b'{"b": {"c": 2}}'],
    [b'{"a": [1]}', b' {"b": 2}\r'],
    [b'{"a": [{}', b'{}]}, {}'],
    [b'{"a":', b'{"b": 1}}'],
    [b'{"a": 1', b'"b": 2}', b'{"c": 3}, {"d": 4}'],
    [b'{"a": 1}, {"b": 2}', b'5'],
    [b'{"a": "', b'{"}'],
    [b'{"a": 1}', b'', b'{"b": 2}'],
    [b'{"a": 1}', b'5', b'null', b'{"b": 2}'],
    [b'{"a": 1}', b'{"b": 2}, 3'],
    [b'{"a": 1}', b'{"b": 2'],
  ],
)
@pytest.mark.parametrize('end', [b'', b'\n'])
@pytest.mark.parametrize('block', [1, 20, 2**18])
def test_lines_that_are_read_together_are_what_each_line_holds(
  tmp_path, monkeypatch, lines, end, block
):
  monkeypatch.setattr(files, '_BLOCK', block)
  path = tmp_path / 'lines'
  path.write_bytes(b'\n'.join(lines) + end)
  read, wanted = [], []
  with contextlib.suppress(ValueError):
    for line in lines:
      wanted.append(json.loads(line))
  with contextlib.suppress(files.DamagedError):
    read.extend(files.read_json_lines(path))
  assert read == wanted


def test_a_line_that_is_too_long_is_refused(tmp_path):
  path = tmp_path / 'lines'
  path.write_bytes(b'{"a": 1}\n{"b": "%b"}\n' % (b'x' * files.LARGEST_LINE))
  rows = files.read_json_lines(path)
  assert next(rows) == {'a': 1}
  with pytest.raises(files.DamagedError, match='more than 4,194,304 bytes'):
    next(rows)
