"""Signals, in a process that only installs what answers them."""

import signal
import subprocess
import sys

import pytest

from lstm_variants.training import interrupt

# Prints 'on' where it lives on after the signals that it sends itself.
PROGRAM = """
import os, sys, time
from lstm_variants.training import interrupt

interrupt.install()
for number in sys.argv[1:]:
  os.kill(os.getpid(), int(number))
  time.sleep(0.2)
print('on')
"""


def _run(*numbers: int, ignored: int | None = None):
  before = ignored and signal.signal(ignored, signal.SIG_IGN)
  try:
    return subprocess.run(
      [sys.executable, '-c', PROGRAM, *map(str, numbers)],
      capture_output=True,
      text=True,
    )
  finally:
    if before is not None:
      signal.signal(ignored or 0, before)


@pytest.mark.parametrize('number', [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_is_told_and_has_the_status_that_shells_count(number):
  done = _run(number)
  assert done.returncode == 128 + number and not done.stdout
  assert done.stderr.startswith(f'{signal.Signals(number).name}: ended at once')


def test_what_nohup_ignores_stays_ignored():
  done = _run(signal.SIGHUP, ignored=signal.SIGHUP)
  assert (done.returncode, done.stdout, done.stderr) == (0, 'on\n', '')


def test_the_end_of_a_parent_behind_a_signal_is_no_second_one(monkeypatch):
  """As where both were signalled: it would end who saves at once."""
  heard: list[int] = []
  monkeypatch.setattr(interrupt, '_notice', heard.append)
  monkeypatch.setattr(interrupt, '_tell', lambda text: None)
  for before, answered in (None, [signal.SIGTERM]), (signal.SIGINT, []):
    heard.clear()
    monkeypatch.setattr(interrupt._State, 'requested', before)
    interrupt._end_with_parent()
    assert heard == answered
