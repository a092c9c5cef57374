"""What a launcher shows while its workers train: how far the study is.

A terminal has one line, which lives:

    variants: runs 12/64 done, 36 in training, 0:03:12 left; 0:01:05 so far

A pipe or a file has such a line now and then, ever rarer. All of it is read
from the run directory, as `status` does: workers tell their launcher nothing.
"""

import contextlib
import time

import rich.console
import rich.live
import rich.text

from lstm_variants import console, errors
from lstm_variants.runs import status
from lstm_variants.training import interrupt, progress

# Seconds between two looks, at first and later: a share of the time since the
# start; and a multiple of what the look took, as a large study's takes long.
_PAUSE, _SHARE, _MULTIPLE = 5.0, 0.1, 50.0


class Watch:
  """Shows how far a study is; a context manager.

  with Watch(workdir) as watch:
    while …:
      watch.look()
  """

  def __init__(self, workdir: str):
    self._workdir = workdir
    self._began_at = time.monotonic()
    self._next = self._began_at
    self._text = 'no run has begun yet'
    self._live: rich.live.Live | None = None

  def __enter__(self) -> 'Watch':
    self._live = progress.begin_drawing(self._line)
    return self

  def __exit__(self, *exc_info) -> None:
    progress.end_drawing(self._live)

  def look(self) -> None:
    """Read how far the study is, if it is time for that."""
    now = time.monotonic()
    if now < self._next:
      return
    # As of a study that begins, or a file system that does not answer.
    with contextlib.suppress(errors.Error, OSError):
      self._text = _told(status.read(self._workdir))
      if self._live is None:
        console.say(self._text)
    took = time.monotonic() - now
    pause = max(_PAUSE, _SHARE * (now - self._began_at))
    if self._live is not None:
      pause = _PAUSE
    self._next = now + max(pause, _MULTIPLE * took)

  def _line(self, terminal: rich.console.Console) -> rich.text.Text:
    """Return the line of a terminal; called by a thread of `Live`."""
    signal = interrupt.requested_name()
    if signal:
      text = rich.text.Text(f'{signal}: the workers save and end', 'yellow')
    else:
      seconds = status.duration(time.monotonic() - self._began_at)
      text = rich.text.Text(f'{self._text}; {seconds} so far')
    text.no_wrap = True
    text.truncate(max(terminal.width - 1, 1), overflow='ellipsis')
    return text


def _told(read: status.Status) -> str:
  """Return how far a study is, in a line."""
  training = sum(
    each.runs for each in read.training if read.state(each) == 'in training'
  )
  parts = [f'runs {len(read.done)}/{read.runs} done']
  if training:
    parts.append(f'{training} in training')
  if read.seconds_left is not None and len(read.done) < read.runs:
    parts.append(f'{status.duration(read.seconds_left)} left')
  return console.printable(f'{read.name}: {", ".join(parts)}')
