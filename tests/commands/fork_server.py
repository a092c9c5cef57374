"""Runs programs in forks of one process that has imported jax already.

Reads a JSON list of arguments per line, the program's name first; writes a JSON
object per line. The program `plan` is `train` that prints the config of its run
instead of training it. A fork costs some ten milliseconds where a new process
costs two seconds; each starts from the same clean state.
"""

import json
import os
import runpy
import sys
import tempfile
import traceback

import jax

import lstm_variants.evidence  # noqa: F401
from lstm_variants.launch import local

# What the programs import, so that the forks need not.
import lstm_variants.report.write  # noqa: F401

_compilations = []


def _count(event: str, duration_secs: float, **unused: str | int) -> None:
  if 'backend_compile' in event:
    _compilations.append(duration_secs)


def _plan(workdir, name, config, runs, mode) -> None:
  """Print what would be trained."""
  del workdir, name, config, mode
  print(json.dumps([run.config for run in runs][0]))


def _child(program: str, arguments: list[str], out: int, err: int) -> int:
  os.dup2(out, 1)
  os.dup2(err, 2)
  sys.argv = [program, *arguments]
  status = 0
  if program == 'plan':
    program = sys.argv[0] = 'train'
    local.train = _plan
  try:
    runpy.run_module(f'experiments.{program}', run_name='__main__')
  except SystemExit as error:
    status = error.code
    if isinstance(status, str):
      print(status, file=sys.stderr)
      status = 1
  except BaseException:
    traceback.print_exc()
    status = 1
  sys.stdout.flush()
  sys.stderr.flush()
  return (status or 0) | (64 if _compilations else 0)


def _run(program: str, *arguments: str) -> dict[str, int | str]:
  with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
    child = os.fork()
    if not child:
      os._exit(_child(program, list(arguments), out.fileno(), err.fileno()))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    out.seek(0)
    err.seek(0)
    return {
      'status': code & ~64 if code >= 0 else code,
      'compiled': code >= 0 and bool(code & 64),
      'stdout': out.read().decode(),
      'stderr': err.read().decode(),
    }


if __name__ == '__main__':
  jax.monitoring.register_event_duration_secs_listener(_count)
  print('ready', flush=True)
  for line in sys.stdin:
    print(json.dumps(_run(*json.loads(line))), flush=True)
