"""Where the workers of this machine run: its cores and GPUs, shared out."""

from collections.abc import Mapping
import itertools
import os
import pathlib
import re
import sys
from typing import NamedTuple


class Place(NamedTuple):
  """Where a worker runs.

  Attributes:
    cores: that it may use; none where that cannot be told.
    environ: variables by which jax uses these cores and a GPU, and no others.
  """

  cores: frozenset[int]
  environ: Mapping[str, str]


def share_out(workers: int) -> list[Place]:
  """Return a place for each worker; of too few cores or GPUs some share one."""
  gpus, environ = _gpus(), {}
  if 0 < len(gpus) < workers:
    environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'
  cores: list[int] = []
  if sys.platform == 'linux':
    cores = sorted(os.sched_getaffinity(0))
  else:
    share = max((os.cpu_count() or 1) // workers, 1)
    environ['JAX_NUM_CPU_DEVICES'] = str(share)
  places = []
  for number in range(workers):
    if gpus:
      environ['CUDA_VISIBLE_DEVICES'] = gpus[number % len(gpus)]
    first = number * len(cores) // workers
    last = max((number + 1) * len(cores) // workers, first + 1)
    places.append(Place(frozenset(cores[first:last]), {**environ}))
  return places


def _gpus() -> list[str]:
  """Return the GPUs that this process may use, without taking one."""
  named = os.environ.get('CUDA_VISIBLE_DEVICES')
  if named is not None:
    names = [name.strip() for name in named.split(',')]
    # At one that is no device CUDA stops.
    return list(itertools.takewhile(lambda name: name not in ('', '-1'), names))
  devices = pathlib.Path('/dev').glob('nvidia*')
  # CUDA counts those that a container has from 0, whatever they are called.
  gpus = [one for one in devices if re.fullmatch(r'nvidia\d+', one.name)]
  return [str(number) for number in range(len(gpus))]
