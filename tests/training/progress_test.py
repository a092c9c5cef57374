"""What a terminal shows while a study trains: three lines, none too wide."""

import functools
import io
import sys

import pytest

from lstm_variants.config import populations, settings
from lstm_variants.training import interrupt, progress
from tests.training import screen

LONG = (
  'selective_copying-gu24-T4096-evaluated-T100to40000_multiplicative_lstm512'
)
MANY = {f'variant_with_a_name_{n}': 1.0 / (n + 1) for n in range(30)}


class Terminal(io.StringIO):
  """A terminal of some width, on which a study is shown."""

  encoding = 'utf-8'

  def __init__(self, columns, monkeypatch):
    super().__init__()
    self.columns, self._monkeypatch = columns, monkeypatch

  def isatty(self):
    return True

  def study(self, name, parts):
    """Return the progress of a study that is shown here."""
    self._monkeypatch.setattr(sys, 'stdout', self)
    return progress.Progress(name, parts)

  def screen(self):
    """Return what can be seen."""
    seen = screen.Screen(self.columns)
    seen.write(self.getvalue())
    return seen


@pytest.fixture(params=[80, 110, 40, 20])
def terminal(request, monkeypatch):
  monkeypatch.setenv('TERM', 'xterm-256color')
  monkeypatch.setenv('COLUMNS', str(request.param))
  monkeypatch.setenv('LINES', '24')
  for name in ('NO_COLOR', 'FORCE_COLOR', 'TTY_COMPATIBLE', 'TTY_INTERACTIVE'):
    monkeypatch.delenv(name, raising=False)
  # Only the test draws.
  live = functools.partial(progress.rich.live.Live, auto_refresh=False)
  monkeypatch.setattr(progress.rich.live, 'Live', live)
  return Terminal(request.param, monkeypatch)


def _parts(count=2, name='adding-urnn16-T8_lstm5_{}'):
  return [progress.Part(name.format(n), 5, 100, 1.0) for n in range(count)]


def _refresh(shown):
  shown._live.refresh()


def test_the_panel_has_three_lines_that_tell_all(terminal):
  with terminal.study('tiny', _parts()) as shown:
    shown.begin('adding-urnn16-T8_lstm5_0')
    _refresh(shown)
    first = terminal.screen().lines
    shown.start()
    shown.show(progress.Report(25, 0, 0, {}))
    shown.show(progress.Report(50, 2, 1, {'vanilla': 0.25, 'gru': 1e-7}))
    _refresh(shown)
    second = terminal.screen().lines
  if terminal.columns >= 80:
    assert first[0] == 'tiny: population 1/2, runs 0/10 done'
    assert 'adding-urnn16-T8_lstm5_0 compiling, 0:00:00' in first[1]
    assert second[0].startswith('tiny: population 1/2, runs 0/10 done, 0:0')
    assert second[0].endswith(' left')
    assert 'adding-urnn16-T8_lstm5_0 ━' in second[1] and ' 50/100 ' in second[1]
    assert second[2] == (
      '  solved 2/5, diverged 1; loss vanilla 0.25, gru 1e-07'
    )
  assert len(first) == 2 and len(second) == 3  # no losses at first


def test_behind_the_last_population_the_panel_tells_of_none(terminal):
  parts = _parts(1, 'short')
  with terminal.study('study', parts) as shown:
    shown.begin(parts[0].name)
    shown.start()
    shown.show(progress.Report(100, 2, 0, {'vanilla': 0.1}))
    shown.end()
    _refresh(shown)
    lines = terminal.screen().lines
  assert lines[-1].endswith(' ending')
  assert not any('solved 0/0' in line for line in lines)


@pytest.mark.parametrize('update', [0, 7, 100])
def test_nothing_wraps(terminal, update):
  parts = _parts(3, LONG + '_{}')
  with terminal.study('a_study_of_a_long_name' * 4, parts) as shown:
    for one in parts:
      shown.begin(one.name)
      _refresh(shown)
      shown.start()
      shown.show(progress.Report(update // 2, 5, 5, MANY))
      _refresh(shown)
      shown.show(progress.Report(update, 5, 5, MANY))
      _refresh(shown)
      shown.end()
      _refresh(shown)
  seen = terminal.screen()
  assert seen.wrapped == []
  assert seen.cursor
  # The panel is gone; each population has left a line, or a few.
  begun = [line[:3] for line in seen.lines if not line.startswith(' ')]
  assert begun == ['1/3', '2/3', '3/3']
  if terminal.columns >= 80:
    assert len(seen.lines) <= 3 * 6
    assert ' in 0:00:0' in seen.lines[-1]


def test_where_not_all_losses_fit_the_lowest_are_shown(terminal):
  losses = {f'variant_{n}': 0.5 / (n + 1) for n in range(20)}
  losses['lost'] = float('nan')
  with terminal.study('tiny', _parts()) as shown:
    shown.begin('adding-urnn16-T8_lstm5_0')
    shown.start()
    shown.show(progress.Report(50, 2, 0, losses))
    _refresh(shown)
    foot = terminal.screen().lines[-1]
    shown.end()
  if terminal.columns >= 80:
    assert foot.startswith('  solved 2/5; lowest loss variant_19 0.025, var')
    assert foot.endswith(' more')
    text = ' '.join(' '.join(terminal.screen().lines).split())
    assert 'variant_18 0.02632' in text and 'updates in 0:00:0' in text


def test_a_panel_stands_still(terminal):
  with terminal.study('tiny', _parts()) as shown:
    shown.begin('adding-urnn16-T8_lstm5_0')
    shown.start()
    heights = set()
    for update in range(0, 100, 10):
      shown.show(progress.Report(update, 0, 0, MANY))
      _refresh(shown)
      heights.add(len(terminal.screen().lines))
  assert heights == {3}


def test_each_redraw_is_one_write(terminal, monkeypatch):
  with terminal.study('tiny', _parts()) as shown:
    shown.begin('adding-urnn16-T8_lstm5_0')
    shown.start()
    shown.show(progress.Report(10, 0, 0, MANY))
    _refresh(shown)
    writes = []
    original = terminal.write
    monkeypatch.setattr(
      terminal, 'write', lambda text: (writes.append(text), original(text))[1]
    )
    _refresh(shown)
  assert len(writes[0].splitlines()) >= 3  # erased and drawn at once


def test_a_signal_that_waits_is_told_by_the_panel(terminal, monkeypatch):
  monkeypatch.setattr(interrupt, 'requested_name', lambda: 'SIGINT')
  with terminal.study('tiny', _parts()) as shown:
    assert interrupt._State.drawn
    shown.begin('adding-urnn16-T8_lstm5_0')
    _refresh(shown)
    lines = terminal.screen().lines
  assert 'SIGINT: saving after this chunk; once more ends at once'.startswith(
    lines[0].rstrip('…')
  )
  assert not interrupt._State.drawn


# The time that is left.


@pytest.fixture
def clock(monkeypatch):
  """A clock that stands still until it is moved."""
  now = [100.0]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])

  def move(seconds):
    now[0] += seconds

  return move


def _plain(capsys):
  return capsys.readouterr().out.splitlines()


def test_the_time_left_counts_work_and_compiling_of_all_that_is_left(
  clock, capsys
):
  parts = [
    progress.Part('small', 5, 100, 1.0),
    progress.Part('large', 5, 100, 3.0),
    progress.Part('done', 5, 100, 50.0),
  ]
  with progress.Progress('tiny', parts) as shown:
    shown.skip('done')
    shown.begin('small')
    clock(7)  # compiling
    shown.start()
    clock(10)
    shown.show(progress.Report(25, 0, 0, {}))
    clock(10)
    shown.show(progress.Report(50, 0, 0, {}))
    # 20 s for what is left of it, 7 s of compiling, 3 * 40 s for the large one.
    assert _plain(capsys)[-1].endswith('2.5 updates/s, 0:02:27 left')
    clock(20)
    shown.show(progress.Report(100, 0, 0, {}))
    shown.end()
    shown.begin('large')
    assert shown._clock.left() == pytest.approx(120 + 7)
    clock(9)  # longer than the mean of before
    assert shown._clock.left() == pytest.approx(120)
    shown.start()
    clock(15)
    shown.show(progress.Report(5, 0, 0, {}))
    clock(15)
    shown.show(progress.Report(10, 0, 0, {}))
    assert _plain(capsys)[-1].endswith('0.3 updates/s, 0:04:30 left')


def test_updates_of_an_earlier_session_are_not_reckoned_as_speed(clock, capsys):
  with progress.Progress('tiny', _parts(1)) as shown:
    shown.begin('adding-urnn16-T8_lstm5_0')
    shown.start(60)
    clock(9)  # warming up
    shown.show(progress.Report(62, 0, 0, {}))
    (line,) = [line for line in _plain(capsys) if '62/100' in line]
    assert 'updates/s' not in line and 'left' not in line
    clock(1)
    shown._printed_at = -1e9
    shown.show(progress.Report(80, 0, 0, {}))
  (line,) = [line for line in _plain(capsys) if 'left' in line]
  assert ' update 80/100,' in line
  assert line.endswith('2.0 updates/s, 0:00:10 left')


def test_lines_get_rarer(clock, capsys):
  with progress.Progress('tiny', _parts(1)) as shown:
    shown.begin('adding-urnn16-T8_lstm5_0')
    shown.start()
    for _ in range(3600):
      clock(1)
      shown.show(progress.Report(1, 0, 0, {'vanilla': 0.5}))
  assert 20 < len(_plain(capsys)) < 60


def test_many_populations_do_not_have_a_line_each(clock, capsys):
  parts = _parts(1000)
  with progress.Progress('tiny', parts) as shown:
    for one in parts:
      shown.begin(one.name)
      shown.start()
      clock(0.01)
      shown.show(progress.Report(100, 0, 0, {'vanilla': 0.5}))
      shown.end()
  lines = _plain(capsys)
  assert len(lines) < 20
  assert (
    lines[-1].startswith('1000/1000 ') and '100 updates in 0:00:00' in lines[-1]
  )


def test_wider_models_and_more_runs_are_more_work(make_config):
  def work(changes, runs=1):
    one = settings.from_config(make_config(changes))
    (population,) = populations.split(
      [
        one._replace(hyperparams=one.hyperparams.replace(seed=n))
        for n in range(runs)
      ]
    )
    return progress.part(population).work

  base = work({})
  assert work({}, 3) == 3 * base
  assert work({'task.length': 16}) > 1.9 * base
  assert work({'model.hidden_features': 256}) > 50 * base
