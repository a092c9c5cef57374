"""The wheel is whole: installed, its commands run anywhere by themselves."""

import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile

import pytest

from lstm_variants import __main__
from tests import conftest, readme
from tests.commands import forks

ROOT = conftest.REPOSITORY
BUILD = (
  'import setuptools.build_meta as build\n'
  'build.build_wheel("dist")\n'
  'build.build_sdist("dist")\n'
)
TINY = (
  '--config.task.length=4',
  '--config.model.hidden_features=2',
  '--config.model.recurrent_init=uniform',
  '--config.training.batch_size=2',
  '--config.training.updates=2',
  '--config.training.evaluation_batches=1',
)


def tracked() -> list[str]:
  """Return the files of the repository, new ones included."""
  listed = subprocess.run(
    ('git', 'ls-files', '-z', '-co', '--exclude-standard'),
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  files = listed.stdout.strip('\0').split('\0')
  return [file for file in files if (ROOT / file).is_file()]


@pytest.fixture(scope='module')
def built(tmp_path_factory) -> pathlib.Path:
  """The directory with the wheel and the source distribution."""
  # A copy: setuptools leaves build/ behind, and puts all of it into wheels.
  source = tmp_path_factory.mktemp('source')
  for file in tracked():
    (source / file).parent.mkdir(parents=True, exist_ok=True)
    (source / file).write_bytes((ROOT / file).read_bytes())
  subprocess.run(
    (sys.executable, '-c', BUILD), cwd=source, capture_output=True, check=True
  )
  return source / 'dist'


@pytest.fixture(scope='module')
def wheel(built) -> pathlib.Path:
  (path,) = built.glob('*.whl')
  return path


@pytest.fixture(scope='module')
def names(wheel) -> set[str]:
  return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory) -> pathlib.Path:
  """The programs of an environment with the wheel, beside what it needs."""
  place = tmp_path_factory.mktemp('environment')
  venv.create(place, with_pip=False, symlinks=True)
  python = place / 'bin' / 'python'
  subprocess.run(
    (
      *(sys.executable, '-m', 'pip', '--python', str(python), 'install'),
      *('--quiet', '--no-deps', '--no-index', '--no-compile', str(wheel)),
    ),
    check=True,
  )
  # Of those that the tests have; this leaves out what is installed there in
  # its own place by a .pth file, as our own package.
  (packages,) = place.glob('lib/python*/site-packages')
  paths = {sysconfig.get_path('purelib'), sysconfig.get_path('platlib')}
  (packages / 'beside.pth').write_text('\n'.join(sorted(paths)))
  return place / 'bin'


@pytest.fixture(scope='module')
def run(installed):
  """`run(directory, 'train', …)` runs a command as its user would."""
  environ = {**os.environ, **conftest.QUICK}
  environ.pop('PYTHONPATH', None)

  def run(
    directory: pathlib.Path, *words: str, program: str = 'lstm-variants'
  ) -> subprocess.CompletedProcess:
    return subprocess.run(
      (str(installed / program), *words),
      cwd=directory,
      env=environ,
      capture_output=True,
      text=True,
      timeout=120,
    )

  return run


def _output(done: subprocess.CompletedProcess) -> str:
  assert (done.returncode, done.stderr) == (0, '')
  return done.stdout


def test_the_wheel_has_our_package_alone_with_the_configs_inside(names):
  ours = {file for file in tracked() if file.startswith('lstm_variants/')}
  configs = {
    f'lstm_variants/{file}' for file in tracked() if file.startswith('configs/')
  }
  assert configs and 'lstm_variants/py.typed' in ours
  assert {name for name in names if '.dist-info/' not in name} == ours | configs


def test_the_wheel_says_what_it_is(wheel, names):
  (metadata,) = [name for name in names if name.endswith('/METADATA')]
  text = zipfile.ZipFile(wheel).read(metadata).decode()
  head = text.partition('\n\n')[0].splitlines()
  assert 'Requires-Python: >=3.11' in head
  assert 'License-Expression: Apache-2.0' in head
  assert 'Classifier: Typing :: Typed' in head
  extras = {line.split(': ')[1] for line in head if 'Provides-Extra' in line}
  assert {'all', 'data', 'importance', 'onnx', 'tensorboard'} < extras


def test_the_source_distribution_has_the_same_files_and_no_tests(built, names):
  (path,) = built.glob('*.tar.gz')
  packed = {name.partition('/')[2] for name in tarfile.open(path).getnames()}
  for name in names:
    if '.dist-info/' not in name:
      inside = name.replace('lstm_variants/configs/', 'configs/')
      assert inside in packed
  assert {'CHANGELOG.md', 'CITATION.cff', 'constraints.txt'} < packed
  assert not [name for name in packed if name.startswith(('tests', 'docs'))]


def test_it_lists_its_commands_without_jax(run, tmp_path):
  listed = _output(run(tmp_path))
  assert '\n  train      Train one run.\n' in listed
  assert '\n  lstm-variants train --config=adding ' in listed
  code = (
    'import sys\n'
    'from lstm_variants import __main__\n'
    '__main__.main()\n'
    'assert not {"jax", "numpy", "absl"} & set(sys.modules)\n'
  )
  again = _output(run(tmp_path, '-c', code, program='python'))
  assert again == listed


def test_it_trains_beside_the_configs_and_experiments_of_a_user(run, tmp_path):
  for name in ('configs', 'experiments'):
    (tmp_path / name).mkdir()
    (tmp_path / name / '__init__.py').write_text('MINE = True\n')
  # As a module of Python's own: it hides nothing.
  (tmp_path / 'copy.py').write_text('raise AssertionError\n')
  copied = _output(run(tmp_path, 'config', '--copy=adding'))
  assert '--config=configs/adding.py --workdir=runs/adding\n' in copied
  mine = tmp_path / 'configs' / 'adding.py'
  text = mine.read_text().replace('import lstm', 'import configs\nimport lstm')
  mine.write_text(f'{text}\nassert configs.MINE\n')
  words = ('train', '--config=configs/adding.py', *TINY, '--workdir=runs/mine')
  assert '\nresults: runs/mine\n' in _output(run(tmp_path, *words))
  (file,) = tmp_path.rglob('provenance.json')
  provenance = json.loads(file.read_text())
  assert provenance['command'] == ['lstm-variants', *words]
  refused = run(tmp_path, 'train', '--config=ading', '--workdir=runs/other')
  assert refused.returncode == 2
  assert refused.stderr.endswith('nearest: --config=adding\n')


def test_every_command_of_the_readme_runs_in_an_empty_directory(
  installed, tmp_path
):
  (tmp_path / 'mine.py').write_text(readme.blocks('python')[-1])
  server = forks.Server(
    {**conftest.QUICK, 'PYTHONPATH': ''},
    python=str(installed / 'python'),
    directory=tmp_path,
  )
  used = set()
  for program, name, *words in readme.commands('lstm-variants '):
    more = ()
    if name in ('train', 'sweep', 'search'):
      more = readme.SHORT
    elif name == 'reproduce':  # without its half an hour
      more = ('--budget=0', '--workdir=runs/reproduce')
    if name == 'watch':  # that ends by Ctrl-C; `report/live_test` has it so
      more = ('--help',)
    done = server.run(program, name, *words, *more)
    assert done['status'] == 0, (name, words, done['stderr'])
    used.add(name)
  server.close()
  assert used == set(__main__.commands())
  made = {path.name for path in tmp_path.iterdir()} - {'__pycache__'}
  assert made == {'mine.py', 'configs', 'runs', 'best.onnx'}
