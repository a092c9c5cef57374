"""A real Ray of two nodes on this machine: `make cluster`."""

import pathlib
import shutil
import tempfile

import pytest

from tests.cluster import harness, ray_here
from tests.faults import harness as faults


@pytest.fixture
def ray():
  """Start a Ray; its path is short, as that of a socket has to be."""
  place = pathlib.Path(tempfile.mkdtemp(prefix='ray_'))
  with ray_here.Ray(place) as ray:
    yield ray
  shutil.rmtree(place)


def test_with_a_node_that_is_killed_it_leaves_what_one_process_does(
  ray, tmp_path_factory
):
  expected = harness.alone(tmp_path_factory.getbasetemp())
  workdir = tmp_path_factory.mktemp('ray') / 'study'
  process = harness.start(
    workdir,
    *('--launch=ray', '--workers=2', f'--launch_option=address={ray.address}'),
    environ=ray.environ,
  )
  harness.wait_until_two_train(workdir)
  ray.kill_node()
  out, err = process.communicate(timeout=harness.PATIENCE)
  assert process.returncode == 0, (out, err, harness.logs(workdir))
  assert faults.digest(workdir) == expected
