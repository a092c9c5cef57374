"""What the house promises trackers: no row missing, none twice, no run ended.

Nothing is trained here: rows are written as the loop writes them. What real
Weights & Biases, Trackio and MLflow keep is looked at by `make trackers`.
"""

import csv
import importlib.util
import json
import math
import struct
from typing import Any

import pytest

import lstm_variants as lv
from lstm_variants import registry, trackers
from lstm_variants.config import populations, rules, settings
from lstm_variants.launch import local
from lstm_variants.runs import directory, files, results, writer
from lstm_variants.trackers import tensorboard
from lstm_variants.training import tracking

NAN = math.nan


@pytest.fixture(autouse=True)
def registered(monkeypatch):
  """Forget what a test registers."""
  monkeypatch.setattr(
    trackers, 'TRACKERS', registry.Registry('tracker', trackers.TRACKERS)
  )


class Session:
  """A population of two runs whose rows come as in the loop."""

  def __init__(self, path, config):
    runs = [settings.from_config(c) for c in (config(0), config(1))]
    (self.population,) = populations.split(runs)
    self.workdir = str(path)
    with directory.open_study(
      self.workdir, 'tiny', {}, {}, [run.config for run in runs]
    ):
      pass
    self.writer = writer.PopulationWriter(self.workdir, self.population.name)
    self.writer.start()
    self.begun: list[tracking.Tracking] = []
    self._saved: Any = None

  def rows(self, update: int) -> list[dict[str, Any]]:
    return [
      {
        'run': name,
        'update': update,
        'sequences': 4 * update,
        'train_loss': NAN if update == 0 else 0.5 + index,
        'loss': 1 / (1 + update + index),
      }
      for index, name in enumerate(self.population.run_names)
    ]

  def begin(self) -> tracking.Tracking:
    place = self.writer.partial
    tracked = tracking.Tracking(self.workdir, self.population, place)
    self.begun.append(tracked)
    return tracked

  def write(self, tracked: tracking.Tracking, *updates: int) -> None:
    for update in updates:
      rows = self.rows(update)
      self.writer.append_metrics(rows)
      tracked.log(rows)

  def save(self) -> None:
    self._saved = self.writer.metrics_bytes, self.writer.metrics_sha256

  def go_back(self) -> None:
    """Begin another session at what was saved, as after a kill."""
    self.writer.__exit__()
    name = self.population.name
    self.writer = writer.PopulationWriter(self.workdir, name)
    self.writer.resume(*self._saved)

  def written(self, run: str) -> list[dict[str, Any]]:
    path = self.writer.partial / 'metrics.jsonl'
    return [r for r in files.read_json_lines(path) if r['run'] == run]


@pytest.fixture
def session(tmp_path, make_config):
  """`session('csv')`: a session whose config wants these trackers."""
  sessions = []

  def make(names, place='study', **changes):
    def config(seed):
      fields = {'seed': seed, 'training.trackers': names, **changes}
      return make_config(fields)

    sessions.append(Session(tmp_path / place, config))
    return sessions[-1]

  yield make
  for one in sessions:
    one.writer.__exit__()
    for tracked in one.begun:  # only now, what a kill leaves open
      tracked.__exit__()


class Memory:
  """Keeps rows by run, as a service would, whatever happens to its process.

  Of `backs`: None: it forgets that it has any; 'all': it tells the last;
  'some': it also takes back what is beyond the point where training goes on.
  """

  kept: dict[str, list[int]] = {}
  members: list[Any] = []
  summaries: list[Any] = []
  backs: Any = 'some'

  def start(self, member):
    self.members.append(member)
    self.rows = self.kept.setdefault(member.id, [])
    if self.backs == 'some':
      self.rows[:] = [row for row in self.rows if row <= member.after]
    return max(self.rows, default=None) if self.backs else None

  def log(self, sequences, metrics):
    self.rows.append(sequences)

  def finish(self, summary):
    self.summaries.append(summary)


def _memory(how):
  attributes = {'kept': {}, 'members': [], 'summaries': [], 'backs': how}
  kind: Any = type('Mine', (Memory,), attributes)
  lv.register_tracker('mine', kind)
  return kind


@pytest.mark.parametrize('backs', ['some', 'all'])
def test_after_a_kill_no_row_is_missing_or_double(session, backs):
  mine = _memory(backs)
  one = session('mine')
  tracked = one.begin()
  one.write(tracked, 0, 8)
  one.save()
  one.write(tracked, 16)  # and killed: nobody calls finish
  one.go_back()
  with one.begin() as tracked:
    one.write(tracked, 16, 20)
  assert list(mine.kept.values()) == [[0, 32, 64, 80]] * 2


def test_a_tracker_that_forgets_is_told_everything_again(session):
  mine = _memory(None)
  one = session('mine')
  one.write(one.begin(), 0, 8)
  one.save()
  one.go_back()
  with one.begin() as tracked:
    one.write(tracked, 16)
  assert list(mine.kept.values()) == [[0, 32, 0, 32, 64]] * 2


def test_rows_that_a_tracker_never_got_are_handed_over_later(session):
  mine = _memory('all')
  one = session('mine')
  rows = [one.rows(update) for update in (0, 8, 16)]
  for of_update in rows:  # as if it had not been wanted then
    one.writer.append_metrics(of_update)
  with one.begin() as tracked:
    one.write(tracked, 20)
  assert list(mine.kept.values()) == [[0, 32, 64, 80]] * 2


def test_a_member_is_told_who_it_is(session):
  mine = _memory('all')
  one = session('mine', **{'optimizer.clip_norm': math.inf})
  one.write(one.begin(), 0, 8)
  one.save()
  one.go_back()
  one.begin()
  first, second, again, _ = mine.members
  assert first.after == -1 and again.after == 32
  assert again == first._replace(after=32)
  assert first.id != second.id and first.name == one.population.run_names[0]
  assert (first.study, first.population) == ('tiny', one.population.name)
  assert [m.config['seed'] for m in (first, second)] == [0, 1]
  assert first.config['optimizer.clip_norm'] == 'inf'
  assert first.config['model.variant'] == 'vanilla'
  assert not [name for name, value in first.config.items() if value is None]
  json.dumps(dict(first.config), allow_nan=False)


def test_another_study_of_the_same_runs_has_other_ids(session, monkeypatch):
  mine = _memory('all')
  session('mine').begin()
  read = results.read_study
  monkeypatch.setattr(
    results, 'read_study', lambda path: {**read(path), 'created': 'later'}
  )
  session('mine', 'another').begin()
  assert len({member.name for member in mine.members}) == 2
  assert len({member.id for member in mine.members}) == 4


def test_the_end_comes_with_the_rows_of_the_runs(session):
  mine = _memory('all')
  one = session('mine')
  with one.begin() as tracked:
    one.write(tracked, 0)
    ends = [{'id': name, 'status': 's'} for name in one.population.run_names]
    tracked.finish(ends)
  assert mine.summaries == ends
  one.save()
  one.go_back()
  with one.begin():  # an interrupted session
    pass
  assert mine.summaries == [*ends, None, None]


def test_what_a_tracker_does_to_what_it_is_given_changes_nothing(session):
  class Greedy(Memory):
    def start(self, member):
      member.config.clear()

    def finish(self, summary):
      summary.clear()

  lv.register_tracker('greedy', Greedy)
  mine = _memory('all')
  one = session('greedy,mine')
  ends = [{'id': name, 'status': 's'} for name in one.population.run_names]
  with one.begin() as tracked:
    tracked.finish(ends)
  assert all(member.config for member in mine.members)
  assert [end['status'] for end in [*ends, *mine.summaries]] == ['s'] * 4


@pytest.mark.parametrize('where', ['make', 'start', 'log', 'finish'])
def test_a_tracker_that_fails_is_left_out_with_one_line(session, where, capsys):
  calls = []

  class Failing:
    def __init__(self):
      self._maybe('make')

    def _maybe(self, place):
      calls.append(place)
      if place == where:
        raise OSError(28, 'No space\nleft')

    def start(self, member):
      self._maybe('start')

    def log(self, sequences, metrics):
      self._maybe('log')

    def finish(self, summary):
      self._maybe('finish')

  lv.register_tracker('failing', Failing)
  one = session('failing,csv')
  with one.begin() as tracked:
    one.write(tracked, 0, 8)
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith('the tracker failing is left out from here on: OSErro')
  assert line.endswith('No space left; metrics.jsonl has every row')
  if where != 'finish':
    assert calls.count(where) == 1
  for name in one.population.run_names:
    table = one.writer.partial / 'csv' / f'{name}.csv'
    assert len(table.read_text().splitlines()) == 3


@pytest.mark.parametrize('where', ['start', 'log', 'finish'])
def test_a_tracker_that_is_left_out_is_ended_once_for_each_run(
  session, where, capsys
):
  started, ended = [], []

  class Failing:
    def start(self, member):
      self.run = member.name
      if where == 'start' and started:
        raise OSError('no')
      started.append(self.run)

    def log(self, sequences, metrics):
      if where == 'log':
        raise OSError('no')

    def finish(self, summary):
      ended.append(self.run)
      raise OSError('nor this')

  lv.register_tracker('failing', Failing)
  one = session('failing')
  with one.begin() as tracked:
    one.write(tracked, 0, 8)
    if where != 'finish':
      assert ended == started
  assert ended == started and len(started) == (1 if where == 'start' else 2)
  assert len(capsys.readouterr().err.splitlines()) == 1


def test_ending_a_tracker_that_hangs_has_an_end(session, monkeypatch):
  ended = []

  class Failing(Memory):
    def log(self, sequences, metrics):
      raise OSError('no')

    def finish(self, summary):
      ended.append(self)

  monkeypatch.setattr(tracking, '_PATIENCE', -1.0)
  lv.register_tracker('failing', Failing)
  one = session('failing')
  one.write(one.begin(), 0)
  assert not ended


@pytest.mark.parametrize('ended', [SystemExit('log in'), OSError('no')])
def test_a_tracker_that_ends_the_process_ends_no_training(
  session, ended, capsys
):
  class Failing(Memory):
    def start(self, member):
      raise ended

  lv.register_tracker('failing', Failing)
  one = session('failing')
  with one.begin() as tracked:
    one.write(tracked, 0)
  (line,) = capsys.readouterr().err.splitlines()
  assert f'from here on: {type(ended).__name__}: {ended}; metrics' in line


@pytest.mark.parametrize('last', ['12', 1.5, True])
def test_what_start_must_return_is_said(session, last, capsys):
  class Failing(Memory):
    def start(self, member):
      return last

  lv.register_tracker('failing', Failing)
  with session('failing').begin():
    pass
  (line,) = capsys.readouterr().err.splitlines()
  assert f'start() returns {last!r}: must be the sequences of the last' in line


def test_an_event_file_is_closed_also_where_it_cannot_be_flushed():
  calls = []

  class Full:
    def flush(self):
      raise OSError(28, 'No space left')

    def close(self):
      calls.append('close')

  tracker = tensorboard.TensorBoard()
  tracker._file = Full()  # pyrefly: ignore[bad-assignment]
  with pytest.raises(OSError, match='No space'):
    tracker.finish(None)
  assert calls == ['close']


def _end(one, tracked):
  """End as the loop does; return the rows of the runs."""
  ends = [{'id': name, 'status': 's'} for name in one.population.run_names]
  tracked.finish(ends)
  one.writer.finish(ends, {}, {})
  return ends


def test_a_finished_population_is_handed_over_to_whom_lacks_some_of_it(session):
  class Sometimes(Memory):
    kept: dict[str, list[int]] = {}
    summaries: list[Any] = []
    full = True

    def log(self, sequences, metrics):
      if self.full and sequences:
        raise OSError(28, 'No space left')
      super().log(sequences, metrics)

  lv.register_tracker('sometimes', Sometimes)
  mine = _memory('all')
  one = session('sometimes,mine')
  with one.begin() as tracked:
    one.write(tracked, 0, 8)
    ends = _end(one, tracked)
  assert list(Sometimes.kept.values()) == [[0], [0]]
  started = len(mine.members)

  Sometimes.full = False
  Sometimes.summaries.clear()
  tracking.hand_over(one.workdir, one.population)
  assert list(Sometimes.kept.values()) == [[0, 32]] * 2
  assert Sometimes.summaries == ends
  members = len(Sometimes.members)
  tracking.hand_over(one.workdir, one.population)  # nobody lacks anything
  assert len(Sometimes.members) == members and len(mine.members) == started
  assert list(mine.kept.values()) == [[0, 32]] * 2


def test_a_population_that_goes_on_is_lacking_again(session, monkeypatch):
  mine = _memory('all')
  one = session('mine')
  with one.begin() as tracked:
    one.write(tracked, 0)
    one.save()
    _end(one, tracked)
  one.writer.reopen()
  one.writer.resume(*one._saved)
  one.writer.append_metrics(one.rows(8))  # by one who wants no tracker
  with monkeypatch.context() as patch:
    patch.setattr(tracking, '_wanted', lambda population: [])
    with one.begin() as tracked:
      _end(one, tracked)
  tracking.hand_over(one.workdir, one.population)
  assert list(mine.kept.values()) == [[0, 32]] * 2


def _table(one, name):
  with open(one.writer.partial / 'csv' / f'{name}.csv', newline='') as file:
    return list(csv.DictReader(file))


def test_a_csv_file_is_metrics_jsonl(session):
  one = session('csv')
  tracked = one.begin()
  one.write(tracked, 0, 8)
  one.save()
  one.write(tracked, 16)
  one.go_back()
  with one.begin() as tracked:
    one.write(tracked, 16, 20)
  for name in one.population.run_names:
    rows = [
      {k: float(v) if v else None for k, v in row.items()}
      for row in _table(one, name)
    ]
    expected = [
      {k: v for k, v in row.items() if k != 'run'} for row in one.written(name)
    ]
    assert rows == expected
    assert [row['update'] for row in rows] == [0, 8, 16, 20]


def _scalars(folder):
  """Read event files as TensorBoard does, and void what they void.

  TFRecord: length, checksum, data, checksum.
  """
  event_pb2: Any = pytest.importorskip('tensorboardX.proto.event_pb2')

  scalars = []
  for path in sorted(folder.iterdir()):
    content, place = path.read_bytes(), 0
    while place < len(content):
      (size,) = struct.unpack_from('<Q', content, place)
      data = content[place + 12 : place + 12 + size]
      event = event_pb2.Event.FromString(data)
      if event.HasField('session_log'):
        scalars = [row for row in scalars if row[0] < event.step]
      scalars += [
        (event.step, v.tag, v.simple_value) for v in event.summary.value
      ]
      place += size + 16
  return scalars


def _expected_scalars(one, name):
  return [
    (row['sequences'], tag, pytest.approx(row[tag]))
    for row in one.written(name)
    for tag in ('train_loss', 'loss')
    if row[tag] is not None
  ]


@pytest.mark.parametrize('flushed', [True, False])
def test_event_files_are_metrics_jsonl(session, monkeypatch, flushed):
  pytest.importorskip('tensorboardX')
  monkeypatch.setattr(tensorboard, '_PAUSE', 0.0 if flushed else math.inf)
  one = session('tensorboard')
  tracked = one.begin()
  one.write(tracked, 0, 8, 16)
  one.save()
  one.write(tracked, 20)
  one.go_back()
  one.begin()  # voids 20; ends before it has written anything
  one.go_back()
  with one.begin() as third:
    one.write(third, 20, 28)
  for name in one.population.run_names:
    folder = one.writer.partial / 'tensorboard' / name
    assert _scalars(folder) == _expected_scalars(one, name)
    assert len(list(folder.iterdir())) == 3


def test_events_that_were_void_do_not_count_as_there(session, monkeypatch):
  pytest.importorskip('tensorboardX')
  monkeypatch.setattr(tensorboard, '_PAUSE', 0.0)
  one = session('tensorboard')
  tracked = one.begin()
  one.write(tracked, 0)
  one.save()
  one.write(tracked, 8, 16)
  one.go_back()
  monkeypatch.setattr(tensorboard, '_PAUSE', math.inf)
  tracked = one.begin()  # voids 8 and 16
  for of_run in tracked._tracked['tensorboard'].values():
    of_run.tracker._file.flush()
  one.write(tracked, 8, 16)
  one.save()  # killed before its own events are on the disk
  one.go_back()
  with one.begin() as tracked:
    one.write(tracked, 20)
  for name in one.population.run_names:
    folder = one.writer.partial / 'tensorboard' / name
    assert _scalars(folder) == _expected_scalars(one, name)


def test_a_torn_event_file_is_gone_on_with_where_it_is_torn(session):
  pytest.importorskip('tensorboardX')
  one = session('tensorboard')
  with one.begin() as tracked:
    one.write(tracked, 0, 8)
  one.save()
  name = one.population.run_names[0]
  folder = one.writer.partial / 'tensorboard' / name
  (file,) = folder.iterdir()
  file.write_bytes(file.read_bytes()[:-5])
  one.go_back()
  with one.begin() as tracked:
    one.write(tracked, 16)
  steps = [step for step, tag, _ in _scalars_of_last(folder) if tag == 'loss']
  assert steps == [32, 64]


def _scalars_of_last(folder):
  first, _ = sorted(folder.iterdir())
  first.unlink()
  return _scalars(folder)


@pytest.mark.parametrize(
  'names, advice',
  [
    ('csv,wandbb', "'wandbb' is no tracker; nearest: 'wandb'; choices: csv"),
    ('mine', 'needs --import=MODULE'),
    ('wandb', "needs an extra: pip install 'lstm-variants[wandb]'"),
    ('csv, mlflow', "needs an extra: pip install 'lstm-variants[mlflow]'"),
  ],
)
def test_a_tracker_that_is_not_there_is_refused(
  make_config, monkeypatch, names, advice
):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(rules.InputError) as info:
    local.check(make_config({'training.trackers': names}))
  message = str(info.value)
  assert message.startswith(f'--config.training.trackers={names!r}: ')
  assert advice in message


def test_tensorboard_without_its_extra_is_refused(make_config, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  config = make_config({'training.tensorboard': True})
  with pytest.raises(rules.InputError) as info:
    local.check(config)
  message = str(info.value)
  assert message.startswith('--config.training.tensorboard=True: ')
  assert "pip install 'lstm-variants[tensorboard]'" in message
  settings.from_record(config.to_dict())  # what was trained stays readable


def test_names_are_taken_once_and_spaces_are_allowed():
  assert trackers.chosen(' csv,mine ,csv,', True) == [
    'csv',
    'mine',
    'tensorboard',
  ]
  assert trackers.chosen('') == []


def test_what_makes_no_tracker_is_not_registered():
  half: Any = type('Half', (), {'start': lambda s, m: None})
  with pytest.raises(registry.RegistryError, match='has no method log'):
    lv.register_tracker('half', half)
  nonsense: Any = 3
  with pytest.raises(registry.RegistryError, match='a int, must be a function'):
    lv.register_tracker('three', nonsense)
  with pytest.raises(registry.RegistryError, match='taken'):
    lv.register_tracker('csv', Memory)
