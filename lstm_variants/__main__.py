"""The program `lstm-variants NAME`: runs a command of the house by its name.

A command is a module of `lstm_variants/commands` with a `main`. They are found
by reading, so that a list of them waits for no import.
"""

import ast
import gc
import importlib
import os
import pathlib
import sys

import lstm_variants
from lstm_variants import console, errors, names

_HELP = ('help', '-h', '-help', '--help', '-?', '--helpfull', '--helpshort')
_FOLDER = pathlib.Path(__file__).parent / 'commands'
# New objects before Python looks for garbage, instead of 700: tracing makes
# many that stay. Measured; the memory of a long training stays level.
_GARBAGE = 50_000


def main() -> None:
  """Run the command that is named, or list them all."""
  name, arguments = (sys.argv[1:2] or ['--help'])[0], sys.argv[2:]
  known = commands()
  with console.guarded():
    if name in _HELP:
      console.say(_listed(known))
    elif name == '--version':
      console.say(f'lstm-variants {lstm_variants.__version__}')
    elif name not in known:
      tail = names.tail(name, known, console.command_line)
      console.refuse(errors.Error(f'{name!r}: no such command{tail}'))
    else:
      run(name, arguments)


def commands() -> dict[str, str]:
  """Return the name of each command and what it does, a sentence."""
  sentences = {}
  for path in sorted(_FOLDER.glob('*.py')):
    tree = ast.parse(path.read_text('utf-8'))
    if any(
      isinstance(node, ast.FunctionDef) and node.name == 'main'
      for node in tree.body
    ):
      sentences[path.stem] = (ast.get_docstring(tree) or '').partition('\n')[0]
  return sentences


def _listed(known: dict[str, str]) -> str:
  """Return the list of commands."""
  each = console.command_line('NAME')
  return '\n'.join(
    [
      f'{each} trains and compares LSTM variants.',
      '',
      *(console.entry(f'  {name}', known[name], 12) for name in known),
      '',
      f'{each} --help says more. To begin with:',
      '',
      f'  {console.command_line("train")} --config=adding --workdir=runs/one',
      f'  {console.command_line("compare")} --workdir=runs/one',
    ]
  )


def run(name: str, arguments: list[str], module: str = '') -> None:
  """Start a command with its arguments.

  Args:
    name: of the command.
    arguments: of its command line.
    module: has its `main`; nothing: that of the house.
  """
  # A config may import what is beside it, as by `python -m`; last, so that a
  # file copy.py or types.py there hides nothing of Python's own.
  if os.getcwd() not in sys.path:
    sys.path.append(os.getcwd())
  sys.argv = [console.command_line(name), *arguments]
  gc.disable()  # as all that is imported stays
  with console.guarded():
    environment = importlib.import_module('lstm_variants.commands.environment')
    try:
      environment.prepare(name)
      command = importlib.import_module('lstm_variants.commands.command')
      program = importlib.import_module(
        module or f'lstm_variants.commands.{name}'
      )
    except errors.Error as error:
      console.refuse(error)
    except Exception as error:  # of jax, when it is imported
      refusal = environment.refusal(error)
      if refusal is None:
        raise
      console.refuse(refusal)
    gc.freeze()
    gc.set_threshold(_GARBAGE, 20, 20)
    gc.enable()
    command.start(program)


if __name__ == '__main__':
  main()
