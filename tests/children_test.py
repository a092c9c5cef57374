"""What one program starts ends with it."""

import os
import pathlib
import signal
import subprocess
import sys
import time

from lstm_variants.runs import status
from tests import conftest

CONFIG = """
from tests import conftest


def get_config():
  return conftest.tiny_config({'training.updates': 2_000_000})


def get_hyper(hyper):
  return hyper.sweep('config.seed', [0])
"""
PARENT = """
import sys, time
from lstm_variants import children

with open(sys.argv[1], 'wb') as log:
  print(children.start(sys.argv[2:], log).pid, flush=True)
time.sleep(600)
"""


def test_a_study_saves_and_ends_when_what_started_it_is_killed(tmp_path):
  workdir, log = tmp_path / 'study', tmp_path / 'log'
  (tmp_path / 'long.py').write_text(CONFIG)
  parent = subprocess.Popen(
    [
      *(sys.executable, '-c', PARENT, str(log), 'sweep'),
      *(f'--config={tmp_path / "long.py"}', f'--workdir={workdir}'),
    ],
    env={**os.environ, **conftest.QUICK},
    cwd=conftest.REPOSITORY,
    stdout=subprocess.PIPE,
    text=True,
  )
  assert parent.stdout
  child = int(parent.stdout.readline())
  try:
    _wait_for(lambda: any(map(_trains, workdir.rglob('metrics.jsonl'))), log)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _wait_for(lambda: not _lives(child), log)
  finally:
    parent.kill()
    parent.stdout.close()
    if _lives(child):
      os.kill(child, signal.SIGKILL)
  said = log.read_text()
  assert 'the program that started this one ends' in said
  assert said.splitlines()[-1].startswith('error: SIGTERM: saved')
  assert any(workdir.rglob('*.safetensors'))
  assert not status.read(str(workdir)).holder


def test_a_file_where_a_study_is_started_hides_nothing_of_python_s(tmp_path):
  for name in ('ast', 'copy'):
    (tmp_path / f'{name}.py').write_text('raise SystemExit("a user\'s")')
  log = tmp_path / 'log'
  program = (
    'import sys\nsys.path.remove("")  # as of the command lstm-variants\n'
    'from lstm_variants import children\n'
    'with open(sys.argv[1], "wb") as log:\n'
    '  sys.exit(children.start(["--version"], log).wait())'
  )
  for place in (tmp_path, conftest.REPOSITORY):
    subprocess.run(
      [sys.executable, '-c', program, str(log)],
      env={**os.environ, 'PYTHONPATH': str(conftest.REPOSITORY)},
      cwd=place,
      check=True,
    )
    assert log.read_text().startswith('lstm-variants ')


def _trains(metrics: pathlib.Path) -> bool:
  return metrics.read_text().count('\n') > 1


def _wait_for(happens, log: pathlib.Path) -> None:
  end = time.monotonic() + 120
  while not happens():
    assert time.monotonic() < end, log.read_text()
    time.sleep(0.05)


def _lives(process: int) -> bool:
  """Tell whether a process runs; one that waits to be counted does not."""
  try:
    stat = pathlib.Path(f'/proc/{process}/stat').read_text()
  except FileNotFoundError:
    return False
  return stat.rpartition(')')[2].split()[0] not in 'ZX'
