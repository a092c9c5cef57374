"""Modules from outside: which are imported, which are not, what is said."""

import importlib
import sys

import pytest

from lstm_variants import extensions
from lstm_variants.registry import Registry

COLOURS = Registry('colour', {'red': 1})


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
  """Go to an empty directory; what is imported there is forgotten again."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, 'path', list(sys.path))
  monkeypatch.setattr(extensions, '_loaded', [])
  monkeypatch.setattr(extensions, '_named_by', {})
  for part in ('_entries', '_modules'):
    monkeypatch.setattr(COLOURS, part, dict(getattr(COLOURS, part)))
  before = set(sys.modules)
  importlib.invalidate_caches()
  yield tmp_path
  for name in set(sys.modules) - before:
    del sys.modules[name]


def write(directory, **modules: str) -> None:
  """Write modules; `_in_` stands between a module and its package."""
  for name, text in modules.items():
    module, *package = name.split('_in_')
    file = directory.joinpath(*package, module).with_suffix('.py')
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text(text)


GREEN = "from tests import extensions_test as t\nt.COLOURS.register('green', 2)"


def test_modules_of_the_current_directory_are_imported_once(directory):
  write(directory, my_colours=GREEN, more_in_mine='')
  assert extensions.modules() == []
  extensions.load(['my_colours', 'mine.more', 'my_colours'])
  assert extensions.modules() == ['my_colours', 'mine.more']
  assert COLOURS['green'] == 2


def test_nothing_is_imported_that_is_not_named(directory):
  write(directory, my_colours=GREEN, sitecustomize='1 / 0')
  extensions.load([])
  extensions.load_installed()
  assert 'green' not in COLOURS and 'my_colours' not in sys.modules
  assert str(directory) not in sys.path


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('my_colour', 'there is no module my_colour; nearest: --import=my_colours'),
    ('mine.mor', 'there is no module mine.mor; nearest: --import=mine.more'),
    ('theirs.x', 'there is no module theirs'),
    ('my_colours.py', 'not the name of a module; nearest: --import=my_colours'),
    ('mine/more.py', 'not the name of a module; nearest: --import=mine.more'),
    ('', 'not the name of a module; nearest: --import=my_cells'),
    ('fails', 'fails: ZeroDivisionError: division by zero (fails.py, line 2)'),
    ('typo', "fails: SyntaxError: expected ':' (typo.py, line 1)"),
    ('ends', 'fails: SystemExit: 3 (ends.py, line 1)'),
    ('lacks', "fails: ModuleNotFoundError: No module named 'torchx' (lacks.py"),
    ('many', 'fails: ValueError: one two (many.py, line 1)'),
    (
      'taken',
      "fails: RegistryError: colour 'red': the name is taken (by "
      'lstm_variants); nearest: my_red (taken.py, line 2)',
    ),
  ],
)
def test_what_cannot_be_imported_is_told_in_a_line(directory, name, message):
  write(
    directory,
    my_colours=GREEN,
    more_in_mine='',
    fails='\n1 / 0',
    typo='def f()',
    ends='raise SystemExit(3)',
    lacks='import torchx',
    many='raise ValueError("one\\ntwo")',
    taken=GREEN.replace('green', 'red'),
  )
  with pytest.raises(extensions.ExtensionError) as refusal:
    extensions.load([name])
  line = f'--import={name}: {message}'
  assert str(refusal.value)[: len(line)] == line
  assert '\n' not in str(refusal.value)
  assert extensions.modules() == []


def test_what_a_run_needs_is_the_module_that_was_named(directory):
  write(
    directory,
    __init___in_package='import package.inner',
    inner_in_package=GREEN,
    alone=GREEN.replace('green', 'blue'),
  )
  extensions.load(['package'])
  assert COLOURS.module_of('green') == 'package.inner'
  assert extensions.needed_by((COLOURS, 'green')) == ['package']
  assert extensions.needed_by((COLOURS, 'red')) == []
  importlib.import_module('alone')
  both = extensions.needed_by((COLOURS, 'green'), (COLOURS, 'blue'))
  assert both == ['alone', 'package']


def test_a_script_is_named_by_its_file(monkeypatch):
  main = sys.modules['__main__']
  monkeypatch.setitem(COLOURS._modules, 'red', '__main__')
  monkeypatch.setattr(main, '__spec__', None)
  # The main module of a worker of pytest has none.
  monkeypatch.setattr(main, '__file__', '/home/me/my_script.py', raising=False)
  assert extensions.needed_by((COLOURS, 'red')) == ['my_script']


def test_who_lacks_a_component_is_told_its_module(directory):
  def refuse(name, needed):
    with pytest.raises(extensions.ExtensionError) as refusal:
      extensions.require('--workdir=x', [(COLOURS, name)], needed)
    return str(refusal.value)

  assert refuse('green', ['my_colours']) == (
    "--workdir=x: its runs use the colour 'green' of the module my_colours; "
    'nearest: --import=my_colours'
  )
  assert refuse('green', ['one', 'two.three']).endswith(
    'of the modules one, two.three; nearest: --import=one,two.three'
  )
  for odd in ([], ['x; rm', '\033[2J', 3, '']):
    assert refuse('green', odd).endswith('name its module with --import=MODULE')
  write(directory, my_colours=GREEN)
  extensions.load(['my_colours'])
  assert refuse('blue', ['my_colours']).endswith('with --import=MODULE')
  extensions.require('--workdir=x', [(COLOURS, 'green')], ['my_colours'])


def test_an_installed_package_is_found_and_a_broken_one_is_warned_of(
  directory, capsys, monkeypatch
):
  for package in ('good', 'broken'):
    info = directory / f'{package}-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(f'Name: {package}\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text(
      f'[lstm_variants]\nname = {package}_colours\n'
    )
  write(directory, good_colours=GREEN, broken_colours='raise ValueError("no")')
  monkeypatch.syspath_prepend(directory)
  extensions.load_installed()
  assert extensions.modules() == ['good_colours'] and COLOURS['green'] == 2
  warning = capsys.readouterr().err
  assert warning == (
    'the extension broken_colours of the package broken is left out: '
    'ValueError: no\n'
  )
