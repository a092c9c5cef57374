"""Hosts that see one directory, where locks do not reach: `make cluster`.

Each has a name and processes of its own (namespaces of Linux, so root is
needed), and sees the directory by a mount of its own, of bindfs: what one locks
by flock the other locks too.
"""

from collections.abc import Iterator
import contextlib
import fcntl
import pathlib
import subprocess

import pytest

from lstm_variants.runs import lease
from tests.cluster import harness
from tests.faults import harness as faults

_HOSTS = ('north', 'south')


@pytest.fixture
def mounts(tmp_path) -> Iterator[dict[str, pathlib.Path]]:
  """Yield where each host sees the directory `tmp_path / 'shared'`."""
  shared = tmp_path / 'shared'
  shared.mkdir()
  with contextlib.ExitStack() as stack:
    places = {}
    for host in _HOSTS:
      places[host] = tmp_path / host
      places[host].mkdir()
      subprocess.run(['bindfs', shared, places[host]], check=True)
      unmount = ['umount', '--lazy', places[host]]
      stack.callback(subprocess.run, unmount, check=True)
    yield places


def _on(host: str) -> tuple[str, ...]:
  """Return what stands before a command that runs on a host."""
  named = f'hostname {host} && exec "$@"'
  return (*harness.ALONE, '--uts', 'sh', '-c', named, 'sh')


def _locks_reach(mounts: dict[str, pathlib.Path]) -> bool:
  (mounts[_HOSTS[0]] / 'lock').touch()
  with contextlib.ExitStack() as stack:
    for place in mounts.values():
      file = stack.enter_context(open(place / 'lock', 'rb'))
      try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError:
        return True
  return False


def test_two_hosts_leave_what_one_process_leaves_though_one_dies(
  tmp_path, mounts, tmp_path_factory
):
  expected = harness.alone(tmp_path_factory.getbasetemp())
  assert not _locks_reach(mounts)
  workdir = tmp_path / 'shared' / 'study'
  north, south = (
    harness.start(mounts[host] / 'study', '--share', '--wait', before=_on(host))
    for host in _HOSTS
  )
  harness.wait_until_two_train(workdir)
  holders = {each.holder.host for each in lease.leases(workdir)}
  assert holders == set(_HOSTS)
  north.kill()  # and with it all of its processes
  north.communicate()
  out, err = south.communicate(timeout=harness.PATIENCE)
  assert south.returncode == 0, (out, err)
  assert faults.digest(workdir) == expected
