"""Streams that are closed, full or read no further, for every command."""

import io
import json
import os
import pathlib
import pty
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest

from lstm_variants import console
from lstm_variants.report import comparison, tables
from lstm_variants.runs import files, results
from tests import conftest

CONFIG = """
from tests import conftest


def get_config():
  return conftest.tiny_config({})
"""
# What a shell says as >&- and so on, of stdin, stdout and stderr.
QUIET = ('1=closed', '1=broken', '2=closed', '2=full', '2=broken')
STDIN = ('0=closed', '0=nothing')
# `DIR` is a trained study, `OUT` a new file.
COMMANDS = {
  'help': ('lstm-variants', '--help'),
  'help of a command': ('train', '--help'),
  'list': ('list', 'tasks'),
  'config': ('config',),
  'status': ('status', '--workdir=DIR'),
  'train': ('train', '--config=CONFIG', '--workdir=DIR', '--resume'),
  'sweep': ('sweep', '--config=GRID', '--workdir=GRID_DIR', '--resume'),
  'compare': ('compare', '--workdir=DIR'),
  'export': ('export', '--workdir=DIR', '--run=best', '--out=OUT.safetensors'),
  'show': ('show', '--task=adding', '--samples=1', '--out=OUT.svg'),
  'analyse': ('analyse', '--workdir=DIR', '--figure=survival'),
  'reproduce': ('reproduce', '--list'),
}

CHEAP = ('help', 'help of a command', 'config', 'status', 'reproduce')


@pytest.fixture(scope='module')
def places(fork, tmp_path_factory) -> dict[str, str]:
  """Train a study of one run, and one with a grid."""
  folder = tmp_path_factory.mktemp('streams')
  (folder / 'tiny.py').write_text(CONFIG)
  grid = CONFIG + '\n\ndef get_hyper(hyper):\n  return [{}]\n'
  (folder / 'grid.py').write_text(grid)
  named = {
    'GRID_DIR': str(folder / 'swept'),
    'CONFIG': str(folder / 'tiny.py'),
    'GRID': str(folder / 'grid.py'),
    'DIR': str(folder / 'study'),
  }
  done = fork(
    'train', f'--config={named["CONFIG"]}', f'--workdir={folder}/study'
  )
  assert done['status'] == 0, done
  done = fork('sweep', f'--config={named["GRID"]}', f'--workdir={folder}/swept')
  assert done['status'] == 0, done
  return named


def _arguments(name: str, places, tmp_path) -> list[str]:
  arguments = []
  for word in COMMANDS[name]:
    for place, path in {**places, 'OUT': str(tmp_path / 'out')}.items():
      flag, _, value = word.partition('=')
      if value.partition('.')[0] == place:
        word = f'{flag}={path}{value.removeprefix(place)}'
    arguments.append(word)
  return arguments


@pytest.mark.parametrize('name', COMMANDS)
def test_a_stream_that_takes_nothing_changes_nothing_else(
  fork, places, tmp_path, name
):
  arguments = _arguments(name, places, tmp_path)
  whole = fork(*arguments)
  assert whole['status'] == 0, whole
  assert whole['stdout'] and 'Traceback' not in whole['stderr']
  # `make faults` tries all of them with every command.
  each = (*QUIET, *STDIN) if name in CHEAP else ('1=broken',)
  for streams in ('0=closed 1=closed 2=closed', *each):
    done = fork(*arguments, STREAMS=streams)
    assert done['status'] == 0, (streams, done)
    assert done['stderr'] in ('', whole['stderr']), (streams, done)
    if '1=' not in streams:
      assert done['stdout'] == whole['stdout'], streams
  done = fork(*arguments, STREAMS='1=full')
  assert done['status'] == 6, done
  line = done['stderr'].removeprefix(whole['stderr'])
  assert line == (
    'error: stdout: No space left on device: what was to be read there is '
    'lost; all else is done\n'
  )


@pytest.mark.parametrize('streams', ['1=full', '1=broken', '1=closed 2=closed'])
def test_a_study_is_trained_to_its_end_where_nobody_can_read_of_it(
  fork, places, tmp_path, streams
):
  """study.json was written, and then `isatty` of what was closed failed."""
  done = fork(
    *('train', f'--config={places["CONFIG"]}', f'--workdir={tmp_path / "s"}'),
    STREAMS=streams,
  )
  assert done['status'] == (6 if 'full' in streams else 0), done
  assert done['stderr'].count('\n') == ('full' in streams)
  assert len(results.read_runs(str(tmp_path / 's'))) == 1


@pytest.mark.parametrize('streams', ['', *QUIET, '1=full', '1=full 2=full'])
def test_bad_input_has_its_status_whatever_the_streams(fork, tmp_path, streams):
  done = fork(
    *('train', '--config=adding', '--config.seed=-1'),
    f'--workdir={tmp_path / "study"}',
    STREAMS=streams,
  )
  assert done['status'] == 2 and done['stderr'].count('\n') <= 1
  assert not (tmp_path / 'study').exists()


@pytest.mark.parametrize(
  'streams, status', [('>&-', 0), ('2>&-', 0), ('>/dev/full', 6), ('| true', 0)]
)
def test_the_program_itself_meets_what_a_shell_gives_it(streams, status):
  command = f'"{sys.executable}" -m lstm_variants --help {streams}'
  done = subprocess.run(
    ['bash', '-c', f'{command}; exit ${{PIPESTATUS[0]}}'],
    cwd=conftest.REPOSITORY,
    capture_output=True,
    text=True,
  )
  assert done.returncode == status, done
  assert done.stderr.count('\n') == (status != 0), done


def test_what_is_opened_is_not_taken_for_a_stream_that_is_closed(tmp_path):
  """Else what XLA logs would go into the next file that is opened."""
  code = (
    'import sys\nfrom lstm_variants import console\n'
    'with console.guarded():\n'
    '  file = open(sys.argv[1], "w")\n'
    '  print("to stdout"); print("to stderr", file=sys.stderr)\n'
    '  file.write(str(file.fileno()))'
  )
  subprocess.run(
    [
      *('bash', '-c', f'"{sys.executable}" -c "$0" "$1" <&- >&- 2>&-'),
      *(code, str(tmp_path / 'file')),
    ],
    cwd=conftest.REPOSITORY,
    check=True,
  )
  assert int((tmp_path / 'file').read_text()) > 2


# Sets the title, clears the screen, hides what follows, turns the direction.
PLANTED = '\x1b]0;title\x07\x1b[2J\x1b[8m\x9b31m\u202e'


class _Writer:
  """All that `print` asks of a stream."""

  def write(self, text: str) -> int:
    return len(text)

  def flush(self) -> None:
    pass


@pytest.mark.parametrize('kind', ['closed', 'only written', 'none', 'ascii'])
def test_from_python_any_stream_will_do(monkeypatch, kind):
  closed = io.StringIO()
  closed.close()
  stream: Any = {
    'closed': closed,
    'only written': _Writer(),
    'ascii': io.TextIOWrapper(io.BytesIO(), 'ascii'),
  }.get(kind)
  for name in ('stdout', 'stderr'):
    monkeypatch.setattr(sys, name, stream)
  for tell in (console.say, console.note, console.say_next, console.warn):
    tell('σ of a run')
  assert sys.stdout is stream and not console.is_terminal(stream)


def test_a_planted_directory_commands_no_terminal(fork, places, tmp_path):
  workdir = pathlib.Path(shutil.copytree(places['DIR'], tmp_path / 'study'))
  study = files.read_json(workdir / 'study.json')
  text = json.dumps(study)
  (task,) = study['tasks']
  (workdir / 'study.json').write_text(
    text.replace(json.dumps(task), json.dumps(task + PLANTED)).replace(
      json.dumps(study['name']), json.dumps(study['name'] + PLANTED)
    )
  )
  for path in workdir.rglob('runs.jsonl'):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
      row['model'] += PLANTED
      row['task'] += PLANTED
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  said = ''
  for command in ('compare', 'status', 'analyse', 'export'):
    extra = ('--run=x\x1b[2J', '--out=x.onnx') if command == 'export' else ()
    done = fork(command, f'--workdir={workdir}', *extra)
    said += done['stdout'] + done['stderr']
  assert 'title' in said
  assert [
    sign for sign in said if not sign.isprintable() and sign != '\n'
  ] == []


def test_on_a_terminal_colours_are_drawn_and_commands_are_not():
  ours, theirs = pty.openpty()
  stream = console._Output(theirs, None, False)
  stream.write('\x1b[1mbold\x1b[0m \x1b]0;title\x07 \x1b[2J \x1b[?25h\n')
  stream.flush()
  assert os.read(ours, 1000) == (
    b'\x1b[1mbold\x1b[0m ?]0;title? ?[2J \x1b[?25h\r\n'
  )
  # What is said is no drawing.
  assert console.clean('\x1b[1mbold\x1b[0m') == '?[1mbold?[0m'
  os.close(ours)
  stream.write('nobody reads this\n')
  stream.flush()
  os.close(theirs)


def test_a_table_on_a_terminal_draws_only_what_is_its_own(places):
  """Labels and facts are another's; colours and lines are the table's."""
  study = results.read_study(places['DIR'])
  (task,) = study['tasks']
  runs = results.read_runs(places['DIR'])
  rows = comparison.compare([task], runs, 'vanilla')
  study['tasks'][task + PLANTED] = {'summary': PLANTED}
  rows = [
    row._replace(task=task + PLANTED, model=f'{row.model}{PLANTED}')
    for row in rows
  ]
  file = io.StringIO()
  file.isatty = lambda: True
  tables.show(study, rows, file)
  drawn = re.sub(r'\x1b\[[\d;]*m', '', file.getvalue())
  assert [one for one in drawn if not one.isprintable() and one != '\n'] == []
  assert 'title' in drawn and '?[8m' in drawn
