"""SIGINT, SIGTERM and SIGHUP: end a program in order, or at once.

Python calls signal handlers only between two of its instructions, and a
compilation or a chunk of updates is one instruction that may take minutes. A
separate thread reads the signals from a pipe, and so notices them at any time.
"""

from collections.abc import Iterator
import contextlib
import os
import signal
import threading
import time
from typing import Any

from lstm_variants import children
from lstm_variants.runs import exclusive

# SIGHUP comes when the terminal is closed or the connection to it is lost.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STDERR = 2
# Who draws hides it.
_SHOW_CURSOR = '\x1b[?25h'
# `timeout` signals the program and then its group; make passes on a Ctrl-C that
# its children got too; systemd sends SIGHUP behind SIGTERM. Within so many
# seconds that is one wish, not two.
_ECHO = 0.5


# What the first signal is answered with.
_SAVING = 'saving after this chunk; once more ends at once'


class Interrupted(Exception):
  """A signal asked for the end, and what was trained is saved.

  Attributes:
    what: happened, in words.
    exit_status: 128 + the number of the signal, as shells count: 130, 143, 129.
  """

  def __init__(self, number: int, saved: bool):
    name = signal.Signals(number).name
    self.what = f'{name}: {"saved" if saved else "nothing to save yet"}'
    go_on = '; repeat the command with --resume to go on' if saved else ''
    super().__init__(self.what + go_on)
    self.exit_status = 128 + number


class _State:
  """The signal that the process has received, and how it is to be answered."""

  requested: int | None = None
  requested_at = 0.0
  deferred = False
  # Whether a program is compiled: only `heard` lets a signal wait for that.
  compiling = False
  # Whether somebody draws on the terminal, who tells of a signal that waits.
  drawn = False
  # Shared by the thread that reads the signals and the one that trains.
  lock = threading.Lock()


def install() -> None:
  """Start to read signals; to be called once, by the main thread.

  Outside of `deferred`, and always for a second signal, the process ends at
  once with status 128 + the number of the signal. Within half a second another
  signal counts as an echo of the first, and so does SIGHUP at any time: a line
  that is lost wants nothing at once. A signal that is ignored, as SIGHUP under
  nohup, stays ignored. The end of the program that started this one is answered
  as SIGTERM (`children`).
  """
  reader, writer = os.pipe()
  os.set_blocking(writer, False)
  signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
  for number in SIGNALS:
    # A shell may have set a signal of a background program to be ignored.
    if signal.getsignal(number) != signal.SIG_IGN:
      signal.signal(number, lambda *unused: None)
  threading.Thread(target=_watch, args=(reader,), daemon=True).start()
  children.watch_parent(_end_with_parent)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
  """Within the block, let the first signal wait until `check` is called."""
  with _State.lock:
    before, _State.deferred = _State.deferred, True
  try:
    yield
  finally:
    with _State.lock:
      _State.deferred = before


@contextlib.contextmanager
def compiling() -> Iterator[None]:
  """Within the block, let the first Ctrl-C of `heard` wait until `check`.

  A process that goes on after an interrupted compilation ends in a crash: XLA
  still works in the background.
  """
  _State.compiling = True
  try:
    yield
  finally:
    _State.compiling = False


@contextlib.contextmanager
def heard() -> Iterator[None]:
  """Have Ctrl-C save and end in order, in a process that goes on afterwards.

  For whoever trains from Python, where `install` is not called: the first
  SIGINT waits for `check` while there is something to save (`deferred`) and
  while a program is compiled (`compiling`), any other one is Python's. Threads
  but the main one hear no signals.

  Raises:
    KeyboardInterrupt: in place of `Interrupted`.
  """
  before = signal.getsignal(signal.SIGINT)
  is_main = threading.current_thread() is threading.main_thread()
  if not is_main or before == signal.SIG_IGN:
    yield
    return

  def answer(number: int, frame: Any) -> None:
    del frame
    # No lock: it may be held by the code that this interrupts.
    waits = _State.deferred or _State.compiling
    if not waits or _State.requested is not None:
      raise KeyboardInterrupt
    _State.requested, _State.requested_at = number, time.monotonic()
    if not _State.drawn:
      _tell(f'SIGINT: {_SAVING}')

  signal.signal(signal.SIGINT, answer)
  try:
    yield
  except Interrupted as interrupted:
    raise KeyboardInterrupt(
      f'{interrupted.what}; resume=True goes on'
    ) from None
  finally:
    signal.signal(signal.SIGINT, before)
    _State.requested = None


def requested() -> bool:
  """Tell whether a signal is waiting for `check`."""
  return _State.requested is not None


def requested_number() -> int | None:
  """Return the number of the signal that waits, None if none does."""
  return _State.requested


def requested_name() -> str:
  """Return the name of the signal that waits, empty if none does."""
  number = _State.requested
  return '' if number is None else signal.Signals(number).name


def announce_elsewhere(drawn: bool) -> None:
  """Leave it to somebody who draws on the terminal to tell what waits."""
  _State.drawn = drawn


def check(saved: bool) -> None:
  """End the program in order if a signal is waiting.

  Args:
    saved: whether there is a checkpoint.

  Raises:
    Interrupted: if a signal is waiting.
  """
  if _State.requested is not None:
    raise Interrupted(_State.requested, saved)


def _watch(reader: int) -> None:
  while True:
    for number in os.read(reader, 64):
      if number in SIGNALS:
        _notice(number)


def _end_with_parent() -> None:
  """Answer the end of the parent as SIGTERM, unless a signal came before."""
  if _State.requested is None:
    _tell('the program that started this one ends')
    _notice(signal.SIGTERM)


def _notice(number: int) -> None:
  name, now = signal.Signals(number).name, time.monotonic()
  with _State.lock:
    is_echo = now - _State.requested_at < _ECHO or number == signal.SIGHUP
    if _State.requested is not None and is_echo:
      return
    if _State.deferred and _State.requested is None:
      _State.requested, _State.requested_at = number, now
      if not _State.drawn:
        _tell(f'{name}: {_SAVING}')
      return
  if _State.drawn:
    _tell(_SHOW_CURSOR)
  _tell(f'{name}: ended at once; what was saved before is whole')
  exclusive.release_all()
  os._exit(128 + number)


def _tell(text: str) -> None:
  """Write a line to stderr without its buffer, which may be in use."""
  with contextlib.suppress(OSError):
    os.write(_STDERR, f'{text}\n'.encode())
