"""Runs a program with a fault planted: python -m tests.faults.injected sweep …

The environment's FAULT says where and what, as JSON:

    at       compile, evaluation (the first), chunk, save, finish: inside of it;
             fsync, replace, rename, link, open: that call of the system
    number   which of these calls, from 0 on
    signals  to be sent to the process inside of it
    gap      the seconds between them
    errno    to be raised by the call instead
    remove   a directory to be removed before the call
    host     the name of the host, as of another container

What happens is appended to the file FAULT_LOG: 'signal', 'raised' or 'left',
and the time.
"""

import contextlib
import functools
import json
import os
import runpy
import shutil
import socket
import sys
import threading
import time
from typing import Any

from lstm_variants.runs import checkpoint, files
from lstm_variants.runs import writer as writer_lib
from lstm_variants.training import interrupt, population

# Into a chunk or a compilation, in seconds.
_DELAY = 0.01
# For a signal to be heard, in seconds, on a machine that has much to do.
_PATIENCE = 5.0
_CALLS = ('fsync', 'replace', 'rename', 'link', 'open')
_FAULT = json.loads(os.environ['FAULT'])
_counts: dict[str, int] = {}


def _log(word: str) -> None:
  with open(os.environ['FAULT_LOG'], 'a') as file:
    file.write(f'{word} {time.monotonic()}\n')


def _send(numbers: list[int]) -> None:
  gap = _DELAY
  for number in numbers:
    time.sleep(gap)
    gap = _FAULT.get('gap', 0)
    _log('signal')
    os.kill(os.getpid(), number)


def _wait_until_heard() -> None:
  """Give the thread that hears signals the time that it needs."""
  end = time.monotonic() + _PATIENCE
  while not interrupt.requested() and time.monotonic() < end:
    time.sleep(_DELAY)


@contextlib.contextmanager
def _around(point: str):
  """Do what is planted at this call of this point, if it is the one."""
  count = _counts[point] = _counts.get(point, -1) + 1
  if (point, count) != (_FAULT['at'], _FAULT.get('number', 0)):
    yield
    return
  if 'remove' in _FAULT:
    shutil.rmtree(_FAULT['remove'])
  if 'errno' in _FAULT:
    _log('raised')
    raise OSError(_FAULT['errno'], os.strerror(_FAULT['errno']))
  signals = _FAULT.get('signals', [])
  sender = threading.Thread(target=_send, args=(signals,))
  sender.start()
  if point in (*_CALLS, 'save', 'finish'):
    sender.join()  # these are short
    time.sleep(_DELAY)
  yield
  if point in ('chunk', 'evaluation'):
    sender.join()  # however short it is, the signal came inside of it
    _wait_until_heard()
  _log('left')


def _wrap(point: str, function):
  @functools.wraps(function)
  def wrapped(*args, **kwargs):
    with _around(point):
      return function(*args, **kwargs)

  return wrapped


def _wrap_advance(compile_population):
  """Tell the first evaluation from the chunks."""

  @functools.wraps(compile_population)
  def wrapped(*args):
    with _around('compile'):
      compiled = compile_population(*args)

    def advance(state, updates):
      import jax

      with _around('chunk' if updates else 'evaluation'):
        return jax.block_until_ready(compiled.advance(state, updates))

    return compiled._replace(advance=advance)

  return wrapped


def _plant() -> None:
  if 'host' in _FAULT:
    socket.gethostname = lambda: _FAULT['host']
  population.compile_population = _wrap_advance(population.compile_population)  # pyrefly: ignore[bad-assignment]
  checkpoint.save = _wrap('save', checkpoint.save)
  writer = writer_lib.PopulationWriter
  writer.finish = _wrap('finish', writer.finish)
  # `storage` finds an `open` of its own before the builtin.
  homes: dict[str, Any] = {
    'fsync': (os, os.fsync),
    'replace': (os, os.replace),
    'rename': (os, os.rename),
    'link': (os, os.link),
    'open': (files, open),
  }
  for name, (home, function) in homes.items():
    if _FAULT['at'] == name:
      setattr(home, name, _wrap(name, function))


if __name__ == '__main__':
  _plant()
  program = sys.argv.pop(1)
  runpy.run_module(f'experiments.{program}', run_name='__main__')
