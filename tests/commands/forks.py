"""Programs as forks of a server: starts them, signals them, waits for them."""

from collections.abc import Mapping
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
from typing import Any, IO, TypedDict

_REPOSITORY = pathlib.Path(__file__).parents[2]
_SERVER = pathlib.Path(__file__).with_name('fork_server.py')
# By its path, so that another interpreter finds it from any directory, and with
# that directory first among the places of modules, as `python -m` has it.
_START = (
  'import os, runpy, sys; sys.path[0] = os.getcwd(); '
  f'runpy.run_path({str(_SERVER)!r}, run_name="__main__")'
)
# Seconds between two questions whether a program has ended: at least, and as
# a part of how long it has run.
_PAUSE = 0.005
_PART = 0.02


class Ended(TypedDict):
  """How a program ended: see `fork_server`."""

  status: int
  compiled: bool
  stdout: str
  stderr: str


class Server:
  """A process that programs are forks of; see `fork_server`."""

  def __init__(
    self,
    environ: Mapping[str, str] | None = None,
    python: str = sys.executable,
    directory: pathlib.Path = _REPOSITORY,
  ):
    self._process = subprocess.Popen(
      [python, '-c', _START],
      cwd=directory,
      env={**os.environ, **(environ or {})},
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    self._requests: IO[str] = _of(self._process.stdin)
    self._answers: IO[str] = _of(self._process.stdout)
    self._lock = threading.Lock()
    assert self._answers.readline() == 'ready\n'

  def ask(self, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request, return its answer; from any thread."""
    with self._lock:
      self._requests.write(json.dumps(request) + '\n')
      self._requests.flush()
      return json.loads(self._answers.readline())

  def start(self, *arguments: str, **environ: str) -> 'Fork':
    """Start a program: its name and its arguments."""
    answer = self.ask({'start': arguments, 'environ': environ})
    return Fork(self, answer['pid'])

  def run(self, *arguments: str, **environ: str) -> Ended:
    """Run a program to its end."""
    return self.start(*arguments, **environ).wait(300)

  def close(self) -> None:
    """End the server."""
    self._requests.close()
    self._process.wait(10)
    self._answers.close()


def _of(stream: IO[str] | None) -> IO[str]:
  assert stream
  return stream


class Fork:
  """A program that was started; `pid` takes signals."""

  def __init__(self, server: Server, pid: int):
    self._server, self.pid = server, pid

  def wait(self, seconds: float) -> Ended:
    """Return how it ended.

    Raises:
      TimeoutError: it still runs after so many seconds.
    """
    started = time.monotonic()
    while True:
      ended: Any = self._server.ask({'ended': self.pid})
      if ended:
        return ended
      waited = time.monotonic() - started
      if waited > seconds:
        raise TimeoutError(self.pid)
      time.sleep(max(_PAUSE, _PART * waited))
