"""Runs programs in forks of one process that has imported jax already.

Reads a request per line, writes an answer per line, both JSON objects:

    {"start": [program, argument, …], "environ": {name: value}} → {"pid": …}
    {"ended": pid} → {} while it runs, then {"status": …, "compiled": whether
        XLA compiled something, "stdout": …, "stderr": …}

A program is one of `experiments`, or the dotted name of a module;
`lstm-variants` is the installed program, whose first argument names the
command; `plan` is `train` that prints the config of its run instead of training
it. A fork costs some ten milliseconds where a new process costs two seconds;
each starts from the same clean state. What jax reads from the environment when
it is imported is that of the server. STREAMS in the environment of a start, as
"1=full 2=closed", has it begin with such streams: see `_disturb`. "1=terminal"
has what is written there taken for a terminal's, of COLUMNS.
"""

import gc
import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback
from typing import Any, IO, NamedTuple

import jax

from lstm_variants import evidence
from lstm_variants.launch import shared

# What the programs import, so that the forks need not.
import lstm_variants.report.write  # noqa: F401
from lstm_variants.training import backend

for kind in evidence.KINDS:
  evidence.drawer(kind)
# Flags are tried in a process of their own: forks know what came of it.
backend.refusal(os.environ.get('XLA_FLAGS', ''))

_compilations = []
# In an exit status: something was compiled. No status has this bit, nor have
# those of signals.
_COMPILED = 64


class _Child(NamedTuple):
  out: IO[bytes]
  err: IO[bytes]


_children: dict[int, _Child] = {}


def _count(event: str, duration_secs: float, **unused: str | int) -> None:
  if 'backend_compile' in event:
    _compilations.append(duration_secs)


def _plan(workdir, name, config, runs, *more, **options) -> int:
  """Print what would be trained."""
  del workdir, name, config, more, options
  print(json.dumps([run.config for run in runs][0]))
  return 0


def _run(program: str, arguments: list[str], child: _Child) -> int:
  os.dup2(child.out.fileno(), 1)
  os.dup2(child.err.fileno(), 2)
  _disturb(os.environ.pop('STREAMS', ''))
  sys.argv = [program, *arguments]
  status = 0
  if program == 'plan':
    program = sys.argv[0] = 'train'
    shared.train_as = _plan
    # After the fork: it defines flags.
    command: Any = importlib.import_module('lstm_variants.commands.command')
    command.say_results = lambda workdir: None
  module = program if '.' in program else f'experiments.{program}'
  try:
    if program == 'lstm-variants':
      importlib.import_module('lstm_variants.__main__').main()
    else:
      runpy.run_module(module, run_name='__main__', alter_sys=True)
  except SystemExit as error:
    status = error.code
    if isinstance(status, str):
      print(status, file=sys.stderr)
      status = 1
  except BaseException:
    traceback.print_exc()
    status = 1
  try:
    for stream in (sys.stdout, sys.stderr):
      if stream:
        stream.flush()
  except OSError:
    status = 120  # as Python itself ends then
  return (status or 0) | (_COMPILED if _compilations else 0)


def _disturb(streams: str) -> None:
  """Have streams as a shell gives them: `>&-`, `>/dev/full`, `| true`."""
  for given in streams.split():
    descriptor, _, kind = given.partition('=')
    number = int(descriptor)
    if kind == 'closed':
      os.close(number)
      name = ('stdin', 'stdout', 'stderr')[number]
      setattr(sys, name, None)  # as Python begins
      setattr(sys, f'__{name}__', None)
    elif kind == 'full':
      os.dup2(os.open('/dev/full', os.O_WRONLY), number)
    elif kind == 'terminal':
      _take_for_a_terminal(number)
    elif kind == 'nothing':
      os.dup2(os.open(os.devnull, os.O_RDONLY), number)
    else:
      assert kind == 'broken'
      reader, writer = os.pipe()
      os.close(reader)
      os.dup2(writer, number)
      os.close(writer)


def _take_for_a_terminal(number: int) -> None:
  """Have a descriptor taken for a terminal's, though a file keeps all of it."""
  isatty = os.isatty
  os.isatty = lambda descriptor: descriptor == number or isatty(descriptor)


def _start(program: str, *arguments: str, environ: dict[str, str]) -> int:
  child = _Child(tempfile.TemporaryFile(), tempfile.TemporaryFile())
  pid = os.fork()
  if not pid:
    os.environ.update(environ)
    os._exit(_run(program, list(arguments), child))
  _children[pid] = child
  return pid


def _read(file: IO[bytes]) -> str:
  with file:
    file.seek(0)
    return file.read().decode()


def _ended(pid: int) -> dict[str, Any]:
  """Return how a child ended, or nothing while it runs."""
  ended, wait_status = os.waitpid(pid, os.WNOHANG)
  if not ended:
    return {}
  child = _children.pop(pid)
  code = os.waitstatus_to_exitcode(wait_status)
  return {
    'status': code & ~_COMPILED if code >= 0 else code,
    'compiled': code >= 0 and bool(code & _COMPILED),
    'stdout': _read(child.out),
    'stderr': _read(child.err),
  }


def _answer(request: dict[str, Any]) -> dict[str, Any]:
  if 'start' in request:
    return {'pid': _start(*request['start'], environ=request['environ'])}
  return _ended(request['ended'])


if __name__ == '__main__':
  # What is imported is no garbage: no fork looks through it, nor copies it.
  gc.collect()
  gc.freeze()
  jax.monitoring.register_event_duration_secs_listener(_count)
  print('ready', flush=True)
  for line in sys.stdin:
    print(json.dumps(_answer(json.loads(line))), flush=True)
