"""One training by several processes, on one host or many: `jax.distributed`.

Each process brings its devices, and a population is spread over all of them.
The first one has the run directory, and the coordinator of jax: a service that
the others find by its address, and that hears from each of them all the time.
One that is gone ends the others (`HEARTBEAT_SECONDS`).
"""

from collections.abc import Callable, Iterable, Iterator
import contextlib
import hashlib
import json
import os
import pathlib
import socket
import sys
import traceback
from typing import NamedTuple, NoReturn

import jax

from lstm_variants import console, errors, extensions
from lstm_variants.config import settings as settings_lib
from lstm_variants.runs import exclusive, provenance
from lstm_variants.training import agreement, backend, interrupt

# A process that is not heard of for so long counts as gone; the others are
# ended, by the runtime of jax if they notice nothing themselves.
HEARTBEAT_SECONDS = 60
# For all processes to come, and to go.
_MEETING_SECONDS = 300
_NEAREST = (
  'nearest: --coordinator_address=HOST:PORT --num_processes=2 --process_id=0'
)


class JoinError(errors.Error):
  """This process cannot join the others; the message is one line."""


class Place(NamedTuple):
  """A process among all, in the words of `jax.distributed.initialize`.

  What is None is asked of the cluster: SLURM, Open MPI, Kubernetes, a TPU pod.

  Attributes:
    coordinator_address: HOST:PORT of process 0.
    num_processes: of all of them.
    process_id: of this one, from 0.
  """

  coordinator_address: str | None = None
  num_processes: int | None = None
  process_id: int | None = None

  def __str__(self) -> str:
    given = [f'--{k}={v}' for k, v in self._asdict().items() if v is not None]
    return ' '.join(given) or '--distributed'


def run(
  place: Place, arguments: Iterable[str], program: Callable[[], None]
) -> None:
  """Run a program as one of several processes.

  Args:
    place: of this process.
    arguments: of its command line, the same in all of them.
    program: ends with `refuse` where it fails.

  Raises:
    JoinError: this process cannot be one of them.
    SystemExit: the program ends.
  """
  _connect(place)
  quiet = contextlib.nullcontext()
  if not agreement.is_first():
    quiet = console.silent()
  with quiet, interrupt.deferred():
    try:
      agreement.check_same({'command': _digest(arguments), **_program()})
      console.say(
        f'{jax.process_count()} processes with {jax.device_count()} devices'
      )
      program()
    except errors.Error as error:
      refuse(error)
    except SystemExit:
      raise
    except BaseException:
      traceback.print_exc()
      _end_at_once(1)
    finally:
      jax.distributed.shutdown()


def refuse(error: Exception) -> NoReturn:
  """End all processes with an error, and one line of the first of them."""
  try:
    agreement.tell(error)
  except (agreement.OtherError, agreement.GoneError) as other:
    error = other
  status = getattr(error, 'exit_status', 2)
  if isinstance(error, agreement.GoneError):
    with contextlib.suppress(SystemExit):
      console.refuse(error)
    _end_at_once(status)
  if agreement.is_first():
    console.refuse(error)
  sys.exit(status)


def _end_at_once(status: int) -> NoReturn:
  """End this process without waiting for the others, who are ended by that."""
  exclusive.release_all()
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(OSError, ValueError):
      stream.flush()
  os._exit(status)


def check_same_study(
  name: str, mode: str, runs: Iterable[settings_lib.Run], start: str
) -> None:
  """Refuse processes that are not about to train the same.

  Args:
    name: of the study.
    mode: what is done with one that exists.
    runs: of the study.
    start: the digest of the weights with which they begin, or ''.

  Raises:
    OtherError: naming the first process that differs, and in what.
  """
  if agreement.count() == 1:
    return
  # The label of a task has a digest of the user's data.
  configs = [(run.settings.task_label, run.config) for run in runs]
  texts = name, mode, start, json.dumps(configs, sort_keys=True, default=str)
  agreement.check_same({'study': _digest(texts), **_program()})


def check_alone(flag: str) -> None:
  """Refuse what only a process can do that no other is joined to.

  Raises:
    JoinError: there are others.
  """
  if agreement.count() > 1:
    raise joined(flag)


def joined(flag: str) -> JoinError:
  """Return the refusal of what only a process can do that is not joined."""
  return JoinError(
    f'{flag}: is for processes that are not joined to each other; nearest: '
    'leave it out, or --distributed, --coordinator_address, --num_processes, '
    '--process_id'
  )


def _connect(place: Place) -> None:
  """Join the others.

  Raises:
    JoinError: the place cannot be used, or the cluster does not tell it.
  """
  _check_address(place)
  # What answers SIGTERM here is ours: jax's own would take its place.
  jax.config.update('jax_enable_preemption_service', False)
  backend.use_every_core()
  if place.process_id in (None, 0):
    console.say(f'waiting up to {_MEETING_SECONDS} s for all processes')
  try:
    jax.distributed.initialize(
      **place._asdict(),
      initialization_timeout=_MEETING_SECONDS,
      shutdown_timeout_seconds=_MEETING_SECONDS,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
    )
  except (ValueError, TypeError, RuntimeError) as error:
    raise JoinError(f'{place}: {error}; {_NEAREST}') from error
  try:
    backend.check()
  except backend.BackendError as error:
    raise JoinError(str(error)) from error


def _check_address(place: Place) -> None:
  """Refuse an address for which jax would wait in vain."""
  address = place.coordinator_address
  if address is None:
    return
  host, _, port = address.rpartition(':')
  if not (host and port.isdecimal() and 0 < int(port) < 2**16):
    raise JoinError(f'{place}: the address is no HOST:PORT; {_NEAREST}')
  try:
    socket.getaddrinfo(host.strip('[]'), int(port))
  except (OSError, UnicodeError) as error:  # the latter where it is no name
    reason = getattr(error, 'strerror', None) or error
    raise JoinError(
      f'{place}: there is no host {host}: {reason}; {_NEAREST}'
    ) from error


def _program() -> dict[str, str]:
  """Return what all processes are to have in common, but for the study."""
  versions = provenance.packages()
  return {
    'code': _digest([provenance.source(), *_sources(extensions.modules())]),
    'packages': ' '.join(f'{name} {v}' for name, v in versions.items()),
  }


def _sources(modules: Iterable[str]) -> Iterator[str]:
  """Yield digests of the code of modules of the user's own."""
  for name in modules:
    path = getattr(sys.modules.get(name), '__file__', None)
    if path:
      with contextlib.suppress(OSError):
        yield hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def _digest(texts: Iterable[str]) -> str:
  return hashlib.sha256('\0'.join(texts).encode()).hexdigest()[:12]
