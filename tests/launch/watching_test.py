"""What a launcher shows while workers train: one line that never wraps."""

import errno
import functools
import io
import itertools
import sys

import pytest

from lstm_variants.launch import watching
from lstm_variants.runs import results, status
from lstm_variants.training import interrupt
from tests.training import screen

NAME = 'a_study_whose_name_is_longer_than_others\x1b[2J'


@pytest.fixture
def looks(monkeypatch):
  """The clock and what is read, which a test sets."""
  now: dict = {'seconds': 0.0, 'done': 0, 'reads': 0}
  now['error'] = results.WorkdirError('holds no study')

  def read(workdir):
    now['reads'] += 1
    now['seconds'] += now.get('takes', 0.0)
    if now['done'] is None:
      raise now['error']
    training = status.Training('p', 6, 40, None, {}, 0.0, None)
    return status.Status(
      *(NAME, '', 27, [{}] * now['done'], 1, [training], 600, 'somebody'),
      seconds_left=75.0,
    )

  monkeypatch.setattr(status, 'read', read)
  monkeypatch.setattr(watching.time, 'monotonic', lambda: now['seconds'])
  return now


LINE = 'a_study_whose_name_is_longer_than_others?[2J: runs {}/27 done, {}'
TRAINING = '6 in training, 0:01:15 left'


def test_a_pipe_has_a_line_now_and_then_ever_rarer(looks, capsys):
  looks['done'] = None  # a study that begins
  at = []
  with watching.Watch('anywhere') as watch:
    for second in range(400):
      looks['seconds'] = float(second)
      watch.look()
      looks['done'] = 3
      if capsys.readouterr().out == f'{LINE.format(3, TRAINING)}\n':
        at.append(second)
  pauses = [after - before for before, after in itertools.pairwise(at)]
  assert at[0] == 5 and pauses[0] == 5 and pauses == sorted(pauses)
  assert len(at) < 40


def test_a_file_system_that_does_not_answer_ends_nothing(looks, capsys):
  with watching.Watch('anywhere') as watch:
    looks['done'], looks['error'] = None, OSError(errno.EIO, 'silent')
    watch.look()
    looks['done'], looks['seconds'] = 3, 9.0
    watch.look()
  assert capsys.readouterr().out == f'{LINE.format(3, TRAINING)}\n'


def test_a_large_study_is_read_a_fiftieth_of_the_time(looks):
  looks['takes'] = 4.0
  with watching.Watch('anywhere') as watch:
    while looks['seconds'] < 2000:
      watch.look()
      looks['seconds'] += 1.0
  assert looks['reads'] * 4.0 <= 2000 / 40


@pytest.mark.parametrize('columns', [110, 80, 20])
def test_a_terminal_has_one_line_that_lives_and_never_wraps(
  looks, monkeypatch, columns
):
  monkeypatch.setenv('TERM', 'xterm-256color')
  monkeypatch.setenv('COLUMNS', str(columns))
  for name in ('NO_COLOR', 'FORCE_COLOR', 'TTY_COMPATIBLE', 'TTY_INTERACTIVE'):
    monkeypatch.delenv(name, raising=False)
  live = functools.partial(watching.rich.live.Live, auto_refresh=False)
  monkeypatch.setattr(watching.rich.live, 'Live', live)
  shown = io.StringIO()
  monkeypatch.setattr(shown, 'isatty', lambda: True)
  monkeypatch.setattr(sys, 'stdout', shown)

  def seen():
    assert watch._live
    watch._live.refresh()
    drawn = screen.Screen(columns)
    drawn.write(shown.getvalue())
    assert not drawn.wrapped and len(drawn.lines[0]) < columns
    (line,) = drawn.lines
    return line

  with watching.Watch('anywhere') as watch:
    lines = [seen()]
    for _ in range(2):
      watch.look()
      looks['done'], looks['seconds'] = 27, looks['seconds'] + 9.0
      lines.append(seen())
    monkeypatch.setattr(interrupt, 'requested_name', lambda: 'SIGINT')
    lines.append(seen())
  if columns == 110:
    assert lines == [
      'no run has begun yet; 0:00:00 so far',
      f'{LINE.format(0, TRAINING)}; 0:00:09 so far',
      f'{LINE.format(27, "6 in training")}; 0:00:18 so far',
      'SIGINT: the workers save and end',
    ]
  ended = screen.Screen(columns)
  ended.write(shown.getvalue())
  assert ended.lines == [] and ended.cursor and not ended.wrapped
