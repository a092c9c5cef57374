"""A training in a real terminal: what its screen shows, line by line."""

import fcntl
import io
import os
import pathlib
import pty
import shlex
import struct
import subprocess
import sys
import termios

import pytest

from lstm_variants import console
from tests import conftest
from tests.training import screen

PATHS = ('--config=tiny.py', '--workdir=runs/tiny')
STUDY = """
from tests import conftest


def get_config():
  return conftest.tiny_config({'training.updates': 64})


def get_hyper(hyper):
  return hyper.sweep('config.model.variant', ['vanilla', 'gru'])
"""


def _run(folder: pathlib.Path, columns: int, *words: str) -> screen.Screen:
  """Run a command in a terminal of some width, to the end."""
  ours, theirs = pty.openpty()
  fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('4H', 24, columns, 0, 0))
  environment = {
    name: value
    for name, value in os.environ.items()
    if name not in ('COLUMNS', 'LINES', 'NO_COLOR', 'FORCE_COLOR')
  }
  process = subprocess.Popen(
    [sys.executable, '-m', 'lstm_variants', *words],
    cwd=folder,
    env={
      **environment,
      **conftest.QUICK,
      'PYTHONPATH': str(conftest.REPOSITORY),
      'TERM': 'xterm-256color',
    },
    stdin=theirs,
    stdout=theirs,
    stderr=theirs,
  )
  os.close(theirs)
  output = b''
  while True:
    try:
      part = os.read(ours, 2**16)
    except OSError:  # on Linux, that nobody writes there any more
      break
    if not part:
      break
    output += part
  os.close(ours)
  assert process.wait(60) == 0, output.decode()
  seen = screen.Screen(columns)
  seen.write(output.decode())
  return seen


def _unfolded(lines: list[str]) -> list[str]:
  """Return lines whose folded ends are put behind their beginnings."""
  whole: list[str] = []
  for line in lines:
    if line.startswith('  '):
      whole[-1] += f' {line.strip()}'
    else:
      whole.append(line)
  return whole


def test_a_terminal_shows_a_training_without_a_line_that_wraps(tmp_path):
  (tmp_path / 'tiny.py').write_text(STUDY)
  seen = _run(tmp_path, 80, 'sweep', *PATHS)
  assert seen.wrapped == [] and seen.cursor
  assert seen.drawn > 3  # the panel lives while the program compiles
  first, vanilla, gru, *last = _unfolded(seen.lines)
  assert first == 'tiny: 2 runs in 2 compiled programs'
  assert vanilla.startswith('1/2 adding-') and 'solved 0/1, loss v' in vanilla
  assert gru.startswith('2/2 adding-') and 'solved 0/1, loss gru 0.' in gru
  assert ' updates in 0:00:0' in gru
  assert last == [
    'results: runs/tiny',
    'next: python -m lstm_variants compare --workdir=runs/tiny',
  ]

  again = _run(tmp_path, 110, 'sweep', *PATHS, '--resume')
  assert again.wrapped == [] and again.cursor
  assert [line[-16:] for line in again.lines[1:3]] == ['already finished'] * 2
  assert again.lines[-2:] == last

  told = _run(tmp_path, 50, 'status', PATHS[1])
  assert told.wrapped == [] and len(told.lines) > 4
  # Folded so that it can be copied.
  assert told.lines[-2:] == [
    'next: python -m lstm_variants compare \\',
    '    --workdir=runs/tiny',
  ]


@pytest.mark.parametrize('columns', [80, 110])
@pytest.mark.parametrize(
  'command', ['reproduce --list', 'list studies forget', 'list tasks']
)
def test_a_list_fits_the_terminal_and_its_commands_can_be_copied(
  fork, command, columns
):
  terminal = {'STREAMS': '1=terminal', 'COLUMNS': str(columns)}
  done = fork('lstm_variants.__main__', *command.split(), **terminal)
  assert done['status'] == 0 and not done['stderr'], done
  seen = screen.Screen(columns)
  seen.write(done['stdout'])
  assert seen.wrapped == [] and len(seen.lines) > 1
  piped = fork('lstm_variants.__main__', *command.split())['stdout']
  copied = ' '.join(done['stdout'].replace('\\\n', ' ').split())
  assert copied == ' '.join(piped.split()) and '\\' not in piped


@pytest.mark.parametrize('columns', [80, 110])
def test_a_command_that_is_next_is_continued_and_can_be_copied(
  columns, monkeypatch
):
  command = (
    'python -m experiments.train --config=base --config.task.name=adding '
    '--config.task.dialect=hs97 --config.model.variant=peephole '
    '--workdir=runs/adding'
  )
  shown = io.StringIO()
  monkeypatch.setattr(shown, 'isatty', lambda: True)
  monkeypatch.setattr(sys, 'stdout', shown)
  monkeypatch.setenv('COLUMNS', str(columns))
  console.say_next(command)
  lines = shown.getvalue().splitlines()
  assert len(lines) > 1 and max(map(len, lines)) <= columns
  assert ' '.join(shown.getvalue().replace('\\\n', ' ').split()) == (
    f'next: {command}'
  )


@pytest.mark.parametrize('columns', [1, 2, 30, 60])
def test_a_continued_command_is_to_a_shell_the_same_command(
  columns, monkeypatch
):
  words = ['compare', "--workdir=a long name, it's of mine", '--by=x "y  z"']
  command = shlex.join(words) + ' --import="a b"'
  shown = io.StringIO()
  monkeypatch.setattr(shown, 'isatty', lambda: True)
  monkeypatch.setattr(sys, 'stdout', shown)
  monkeypatch.setenv('COLUMNS', str(columns))
  text = console.continued(command, '  ')
  done = subprocess.run(
    ['sh', '-c', f'printf "%s\\0" {text}'],
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.split('\0') == [*words, '--import=a b', '']
  assert '\n' in text and (columns < 60 or max(map(len, text.split('\n'))) < 61)
