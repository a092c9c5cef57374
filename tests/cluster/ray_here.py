"""A real Ray of a head and a node on this machine; needs root."""

import os
import pathlib
import re
import subprocess
import sys
import time

from tests.cluster import harness

_PORT = 6399
# Seconds that a node is waited for: it starts much.
_PATIENCE = 300.0
# Each of a core; on a busy machine they take their time.
_NODE = ('--block', '--num-cpus=1', '--disable-usage-stats')
# Where ports are given no node waits for them, in vain on a busy machine.
_PORTS = (
  'dashboard-agent-grpc-port',
  'dashboard-agent-listen-port',
  'metrics-export-port',
  'runtime-env-agent-port',
)
_ENVIRON = {'RAY_raylet_start_wait_time_s': '300', 'RAY_AUTH_MODE': 'disabled'}


class Ray:
  """The nodes; a context, at whose end they end."""

  def __init__(self, place: pathlib.Path):
    """Tell where.

    Args:
      place: an empty directory; its path is short, as that of a socket.
    """
    self._place = place
    self.address = f'127.0.0.1:{_PORT}'
    self.environ = {**os.environ, **_ENVIRON}
    self._program = str(pathlib.Path(sys.executable).with_name('ray'))
    self._nodes: list[subprocess.Popen[bytes]] = []

  def __enter__(self) -> 'Ray':
    head = ('--head', f'--port={_PORT}', '--node-ip-address=127.0.0.1')
    try:
      self._start(*head, f'--temp-dir={self._place}')
      self._wait_for(1)
      self._start(f'--address={self.address}', '--node-ip-address=127.0.0.2')
      self._wait_for(2)
    except BaseException:
      self.__exit__()
      raise
    return self

  def __exit__(self, *unused: object) -> None:
    for node in reversed(self._nodes):
      node.kill()
      node.wait(30)

  def kill_node(self) -> None:
    """End the node that is not the head, as a power cut does."""
    self._nodes[1].kill()
    self._nodes[1].wait(30)

  def cores(self) -> float:
    """Return how many cores the cluster has; 0 where nobody answers."""
    code = (
      f'import ray; ray.init("{self.address}", log_to_driver=False); '
      'print("\\ncores", ray.cluster_resources().get("CPU", 0.0))'
    )
    done = subprocess.run(
      [sys.executable, '-c', code],
      env=self.environ,
      capture_output=True,
      text=True,
    )
    answer = re.search(r'^cores (.*)', done.stdout, re.MULTILINE)
    return float(answer[1]) if answer else 0.0

  def _wait_for(self, cores: int) -> None:
    end = time.monotonic() + _PATIENCE
    while self.cores() < cores:
      if time.monotonic() > end:
        logs = [path.read_text() for path in self._place.glob('*.out')]
        raise AssertionError('\n'.join(logs))
      time.sleep(2)

  def _start(self, *flags: str) -> None:
    number = len(self._nodes)
    first = _PORT + 1 + number * len(_PORTS)
    ports = [f'--{name}={first + each}' for each, name in enumerate(_PORTS)]
    path = self._place / f'node{number}.out'
    with open(path, 'ab') as output:
      self._nodes.append(
        subprocess.Popen(
          [*harness.ALONE, self._program, 'start', *flags, *_NODE, *ports],
          env=self.environ,
          stdout=output,
          stderr=output,
        )
      )
