"""Progress of a study: a panel on a terminal, plain lines elsewhere.

The panel has three lines, whatever happens, none wider than the terminal:

    quickstart: population 2/5, runs 5/25 done, 0:03:12 left
    ⠋ adding-urnn16-T100_lstm32_7bfac14f ━━━━━╌╌╌ 1200/2000 85.2 updates/s
      loss: vanilla 0.01234, peephole 0.0145; solved 3/5

The time left is reckoned from what was measured: the time per unit of work of
this session, where the work of a population is that of its updates (`work`),
and the time that compiling took. Training may stop earlier. Of a population
that trains nothing is told before its second evaluation: the first calls of a
program take longer than all others.
"""

from collections.abc import Callable, Mapping, Sequence
import datetime
import functools
import math
import sys
import textwrap
import time
from typing import NamedTuple

import rich.console
import rich.live
import rich.progress_bar
import rich.table
import rich.text

from lstm_variants import console, models
from lstm_variants import names as names_lib
from lstm_variants.config import populations
from lstm_variants.training import interrupt

# Seconds between two plain lines, at first and later: a share of the time
# since the start, so that their number grows slowly.
_PAUSE, _SHARE = 5.0, 0.1
# Of so many populations each one's begin and end is worth a line.
_FEW = 20
_PER_SECOND = 5
# Lines of a terminal that losses may take above the panel.
_LOSS_LINES = 3
_SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'
_PLAIN_SPINNER = '|/-\\'
# What a time step costs beside its products, in parameters; about right for a
# CPU, and only needed where a study mixes sizes.
_OVERHEAD = 2000


class Report(NamedTuple):
  """Where a population stands.

  Attributes:
    update: updates done.
    solved: runs that met their success criterion.
    diverged: runs that are frozen.
    losses: model -> the median held-out loss of its runs.
  """

  update: int
  solved: int
  diverged: int
  losses: Mapping[str, float]


class Part(NamedTuple):
  """A population, as its progress is reckoned.

  Attributes:
    name: of the population.
    runs: in it.
    updates: at most.
    work: of one update of all its runs, in a unit that all populations share.
  """

  name: str
  runs: int
  updates: int
  work: float


def part(population: populations.Population) -> Part:
  """Return a population as its progress is reckoned."""
  settings, runs = population.settings, population.runs
  params = models.count_params(
    settings.architecture, runs[0].hyperparams.toggles
  )
  steps = len(runs) * settings.sequences_per_update * settings.task.length
  work = float(steps * (params + _OVERHEAD))
  return Part(population.name, len(runs), settings.updates, work)


def begin_drawing(
  draw: Callable[[rich.console.Console], rich.console.RenderableType],
) -> rich.live.Live | None:
  """Draw on the terminal, again and again; None: there is none, or no talk.

  Args:
    draw: called with the terminal, by a thread.
  """
  if not console.is_terminal(sys.stdout) or console.is_quiet():
    return None
  terminal = rich.console.Console(highlight=False, markup=False)
  live = rich.live.Live(
    get_renderable=functools.partial(draw, terminal),
    console=terminal,
    refresh_per_second=_PER_SECOND,
    transient=True,
  )
  interrupt.announce_elsewhere(True)
  live.start()
  return live


def end_drawing(live: rich.live.Live | None) -> None:
  """End what `begin_drawing` began; nothing of it stays."""
  if live is not None:
    live.stop()
    interrupt.announce_elsewhere(False)


class Progress:
  """Shows the progress of a study; a context manager.

  with Progress('quickstart', parts) as progress:
    for name in names:
      progress.begin(name)
      progress.start(update)
      progress.show(report)
      progress.end()
  """

  def __init__(self, study: str, parts: Sequence[Part]):
    self._study = study
    self._parts = {one.name: one for one in parts}
    self._clock = _Clock(parts)
    self._began_at = time.monotonic()
    self._printed_at = -math.inf
    self._current: Part | None = None
    self._report = Report(0, 0, 0, {})
    self._compiling = False
    self._begun: list[str] = []
    self._done_runs = 0
    self._live: rich.live.Live | None = None

  def __enter__(self) -> 'Progress':
    self._live = begin_drawing(self._panel)
    return self

  def __exit__(self, *exc_info) -> None:
    if self._current is not None:  # it was interrupted
      self._say(self._line(), True)
    end_drawing(self._live)

  def skip(self, name: str) -> None:
    """Count a population that an earlier session has finished."""
    self._begun.append(name)
    self._done_runs += self._parts[name].runs
    self._clock.skip(self._parts[name])
    self._say(f'{self._place()}{name}: already finished', True)

  def begin(self, name: str) -> None:
    """Turn to a population, which is compiled now."""
    self._begun.append(name)
    self._current, self._compiling = self._parts[name], True
    self._report = Report(0, 0, 0, {})
    self._clock.compile(self._current)
    if self._live is None:
      runs = names_lib.counted(self._current.runs, 'run')
      self._say(
        f'{self._place()}{name}: {runs}, compiling',
        len(self._parts) <= _FEW,
      )

  def start(self, update: int = 0) -> None:
    """Start the clock: compiling is over, training goes on after `update`."""
    self._compiling = False
    self._clock.start(update)

  def show(self, report: Report) -> None:
    """Show where the population stands."""
    self._report = report
    self._clock.reach(report.update)
    self._say(f'{self._line()}{self._left()}')

  def give_up(self) -> None:
    """Leave a population that others have taken over: it is not begun."""
    if self._current is None:
      return
    self._begun.remove(self._current.name)
    self._clock.give_up()
    self._current, self._report = None, Report(0, 0, 0, {})

  def end(self) -> None:
    """Leave a population: it is trained."""
    if self._current is None:
      return
    took = f'{self._report.update} updates in {_time(self._clock.seconds())}'
    state = _joined(self._marks(), self._losses(self._room()), took)
    self._say(
      f'{self._place()}{self._current.name}: {state}',
      len(self._parts) <= _FEW or len(self._begun) == len(self._parts),
    )
    self._done_runs += self._current.runs
    self._clock.end()
    self._current, self._report = None, Report(0, 0, 0, {})

  def _say(self, text: str, always: bool = False) -> None:
    """Print a line: above the panel, or where it is time for one."""
    if self._live is not None:
      if always:
        width = max(self._live.console.width - 1, 1)
        for line in _folded(text, width):
          self._live.console.print(_fitted(rich.text.Text(line), width))
      return
    now = time.monotonic()
    pause = max(_PAUSE, _SHARE * (now - self._began_at))
    if always or now - self._printed_at >= pause:
      self._printed_at = now
      console.say(text)

  def _place(self) -> str:
    """Return which of the populations it is, where there are several."""
    if len(self._parts) == 1:
      return ''
    return f'{len(self._begun)}/{len(self._parts)} '

  def _line(self) -> str:
    assert self._current is not None
    name, _, updates, _ = self._current
    rate = self._clock.rate()
    state = _joined(
      f'update {self._report.update}/{updates}',
      self._marks(),
      self._losses(self._room()),
      f'{rate:.1f} updates/s' if rate else '',
    )
    return f'{self._place()}{name}: {state}'

  def _marks(self) -> str:
    current = self._current
    runs = current.runs if current else 0
    marks = f'solved {self._report.solved}/{runs}'
    if self._report.diverged:
      marks += f', diverged {self._report.diverged}'
    return marks

  def _losses(self, room: int | None = None) -> str:
    """Return the loss of each model; empty before there is one.

    Args:
      room: characters that it may have: where that is too little for all, those
        of the lowest come first, and the others are counted.
    """
    losses = self._report.losses
    if not losses:
      return ''
    whole = 'loss ' + _joined(*(f'{m} {losses[m]:.4g}' for m in losses))
    if room is None or len(whole) <= room:
      return whole
    ordered = sorted(losses, key=lambda m: (math.isnan(losses[m]), losses[m]))
    each = [f'{model} {losses[model]:.4g}' for model in ordered]
    lines = [
      f'lowest loss {_joined(*each[:count])}, {len(each) - count} more'
      for count in range(len(each) - 1, 0, -1)
    ]
    return next((line for line in lines if len(line) <= room), whole)

  def _room(self) -> int | None:
    """Return what the losses may take of a line that stays."""
    if self._live is None:
      return None
    return _LOSS_LINES * (self._live.console.width - 1)

  def _left(self) -> str:
    left = self._clock.left()
    return '' if left is None else f', {_time(left)} left'

  # The panel.

  def _panel(self, terminal: rich.console.Console) -> rich.console.Group:
    """Return the three lines; called by a thread of `Live`."""
    width = max(terminal.width - 1, 1)
    frames = _SPINNER if 'utf' in terminal.encoding else _PLAIN_SPINNER
    frame = frames[int(time.monotonic() * _PER_SECOND) % len(frames)]
    foot = rich.text.Text(self._foot(width))
    lines = self._head(), self._bar(frame, width), foot
    return rich.console.Group(*(_fitted(line, width) for line in lines))

  def _head(self) -> rich.text.Text:
    number = interrupt.requested_name()
    if number:
      return rich.text.Text(
        f'{number}: saving after this chunk; once more ends at once', 'yellow'
      )
    total = sum(one.runs for one in self._parts.values())
    text = rich.text.Text(self._study, 'bold')
    text.append(
      f': population {len(self._begun)}/{len(self._parts)}, '
      f'runs {self._done_runs}/{total} done{self._left()}',
      'not bold',
    )
    return text

  def _bar(self, frame: str, width: int) -> rich.text.Text | rich.table.Table:
    current = self._current
    if current is None:
      ended = len(self._begun) == len(self._parts)
      doing = 'ending' if ended else 'reading what is there'
      return rich.text.Text(f'{frame} {doing}')
    name, _, updates, _ = current
    if self._compiling:
      seconds = _time(self._clock.seconds())
      return rich.text.Text(f'{frame} {name} compiling, {seconds}')
    rate = self._clock.rate()
    row = rich.table.Table.grid(padding=(0, 1, 0, 0))
    row.width = width
    row.add_column(no_wrap=True)
    row.add_column(no_wrap=True, overflow='ellipsis', max_width=width // 2)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    row.add_column(no_wrap=True)
    done = min(self._report.update, updates)
    bar = rich.progress_bar.ProgressBar(max(updates, 1), done)
    speed = f'{rate:.1f} updates/s' if rate else ''
    row.add_row(frame, name, bar, f'{done}/{updates}', speed)
    return row

  def _foot(self, width: int) -> str:
    """Return what fits of the losses, the lowest first where not all do."""
    if not self._report.losses:
      return ''
    head = f'  {self._marks()}; '
    return head + self._losses(width - len(head))


class _Clock:
  """Reckons with the time that work took.

  Attributes:
    pending: the populations that are not begun.
  """

  def __init__(self, parts: Sequence[Part]):
    self.pending = list(parts)
    self._current: Part | None = None
    self._update = self._first = self._chunks = 0
    self._compiling = False
    self._started = time.monotonic()
    # Of populations that are trained: seconds and work, compilations.
    self._seconds = self._work = 0.0
    self._compilations: list[float] = []

  def skip(self, one: Part) -> None:
    self.pending.remove(one)

  def compile(self, one: Part) -> None:
    self.pending.remove(one)
    self._current, self._update, self._first = one, 0, 0
    self._chunks, self._compiling = 0, True
    self._started = time.monotonic()

  def start(self, update: int) -> None:
    self._compilations.append(self.seconds())
    self._compiling = False
    self._started, self._first, self._update = time.monotonic(), update, update

  def reach(self, update: int) -> None:
    if update > self._update:
      self._chunks += 1
    self._update = update

  def end(self) -> None:
    if self._current is not None:
      self._seconds += self.seconds()
      self._work += (self._update - self._first) * self._current.work
      self._current = None

  def give_up(self) -> None:
    if self._current is not None:
      self.pending.append(self._current)
      self._current = None

  def seconds(self) -> float:
    """Return the seconds since compiling, or training, began."""
    return time.monotonic() - self._started

  def rate(self) -> float:
    """Return updates per second of this population; 0 where unknown."""
    if self._chunks < 2:
      return 0.0
    return (self._update - self._first) / max(self.seconds(), 1e-9)

  def left(self) -> float | None:
    """Return the seconds that all that is left will take, None if unknown."""
    done = self._work
    seconds = self._seconds
    current = self._current
    if current is not None and self._chunks > 1:
      done += (self._update - self._first) * current.work
      seconds += self.seconds()
    if not done:
      return None
    work = sum(one.work * one.updates for one in self.pending)
    compiling = sum(self._compilations) / len(self._compilations)
    left = work * seconds / done + compiling * len(self.pending)
    if current is not None:
      updates = max(current.updates - self._update, 0)
      rate = self.rate()
      own = seconds / done * current.work
      left += updates * (1 / rate if rate else own)
      if self._compiling:
        left += max(compiling - self.seconds(), 0.0)
    return left


def _joined(*parts: str) -> str:
  return ', '.join(text for text in parts if text)


def _time(seconds: float) -> str:
  """Return a time as h:mm:ss, to the second."""
  return str(datetime.timedelta(seconds=round(seconds)))


def _folded(text: str, width: int) -> list[str]:
  """Return a line as lines of a terminal."""
  return textwrap.wrap(
    text, width, subsequent_indent='  ', break_on_hyphens=False
  )


def _fitted(
  line: rich.text.Text | rich.table.Table, width: int
) -> rich.text.Text | rich.table.Table:
  """Return a line that is no wider than the terminal."""
  if isinstance(line, rich.text.Text):
    line.no_wrap = True
    line.truncate(width, overflow='ellipsis')
  return line
