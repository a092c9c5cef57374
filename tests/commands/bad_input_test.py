"""Bad input: status 2, one line, nothing written, nothing compiled, at once."""

import os
import pathlib
from typing import NamedTuple

import pytest

from configs import base
from lstm_variants.config import settings
from lstm_variants.runs import directory as directory_lib
from lstm_variants.runs import writer as writer_lib

LIMIT = 15.0  # seconds; 3 are asked for, of an idle machine
CONFIG = '--config=configs/adding.py'
ODYSSEY = '--config=configs/studies/odyssey.py'
BASE = 'from configs import base\nget_config = base.get_config\n'
GRID = BASE + 'def get_hyper(hyper):\n  '
# Config files for the cases below, in the directory {dir}.
FILES = {
  'no_config.py': 'x = 1\n',
  'raises.py': 'def get_config():\n  raise ValueError("one\\ntwo")\n',
  'raises_on_import.py': '1 / 0\n',
  'imports.py': 'import nothere\n',
  'syntax.py': 'def (:\n',
  'exits.py': 'import sys\nsys.exit()\n',
  'exits_late.py': 'import sys\ndef get_config():\n  sys.exit(0)\n',
  'text.txt': 'def get_config(): ...\n',
  'number.py': 'def get_config():\n  return 3\n',
  'dict.py': 'def get_config():\n  return {"seed": 1}\n',
  'partial.py': (
    'from ml_collections import config_dict\n'
    'def get_config():\n  return config_dict.ConfigDict({"seed": 1})\n'
  ),
  'extra.py': (
    'from configs import base\ndef get_config():\n'
    '  config = base.get_config()\n'
    '  config.training.warmup = 3\n  return config\n'
  ),
  'empty_grid.py': GRID + 'return hyper.sweep("config.seed", [])\n',
  'no_grid.py': GRID + 'return None\n',
  'field.py': GRID + 'return hyper.sweep("config.model.varient", ["np"])\n',
  'prefix.py': GRID + 'return hyper.sweep("seed", [1])\n',
  'type.py': GRID + 'return hyper.sweep("config.seed", ["x"])\n',
  'name.py': GRID + 'return hyper.sweep("config.model.variant", ["npp"])\n',
  'rate.py': GRID
  + 'return hyper.sweep("config.optimizer.learning_rate", [-2])\n',
  'twice.py': GRID + 'return hyper.sweep("config.seed", [1, 1])\n',
  'raising_grid.py': GRID + 'return {}["x"]\n',
  'text_width.py': (
    'from configs import base\ndef get_config():\n'
    '  config = base.get_config()\n'
    '  with config.ignore_type():\n'
    '    config.model.hidden_features = "64"\n  return config\n'
  ),
  'config.pkl': 'x',
  'huge.py': GRID + 'return [{"config.seed": k} for k in range(100_001)]\n',
  'typo.py': GRID + 'return hyper.swep("config.seed", [1])\n',
  'argument.py': (
    'from configs import base\n'
    'def get_config(argument="none"):\n'
    '  if argument == "bad":\n    raise ValueError("must be\\na number")\n'
    '  return base.get_config()\n'
    'def get_hyper(hyper, argument="2"):\n'
    '  return hyper.sweep("config.seed", range(int(argument)))\n'
  ),
  'half_argument.py': (
    'from configs import base\n'
    'def get_config(argument=""):\n  return base.get_config()\n'
    'def get_hyper(hyper):\n  return hyper.sweep("config.seed", [1])\n'
  ),
}


class Case(NamedTuple):
  """A command line, and what its one line of refusal must hold."""

  program: str
  arguments: tuple[str, ...]
  words: tuple[str, ...]
  status: int = 2


def _train(*arguments: str, words) -> Case:
  return Case('train', (CONFIG, '--workdir={dir}/new', *arguments), words)


def _field(field: str, value: str, *words: str) -> Case:
  """A bad value of a field, given as one token."""
  flag = f'--config.{field}'
  return _train(f'{flag}={value}', words=(flag, value, *words))


def _config(program: str, name: str, *words: str) -> Case:
  path = '{dir}/' + name
  arguments = (f'--config={path}', '--workdir={dir}/new')
  return Case(program, arguments, words)


# One of each place that refuses. The last of each program is also run as a
# process of its own.
SPAWNED = [
  _train('--hiden=3', words=('--hiden', 'nearest: --config.model.hidden_')),
  _field('model.variant', 'peephol', "nearest: 'peephole'"),
  _train(
    *('--config.model.toggles.coupled=1', '--config.task.dialect=hs97'),
    *('--config.model.toggles.input_gate=0',),
    words=('coupled=True', 'input_gate=True', 'set coupled=False'),
  ),
  Case('train', (CONFIG,), ('--workdir', 'missing', 'nearest: --workdir=')),
  Case(
    'train',
    ('--config=configs/ading.py', '--workdir={dir}/new'),
    ('--config=configs/ading.py', 'nearest: --config=configs/adding.py'),
  ),
  _config('train', 'no_config.py', 'get_config', 'nearest: '),
  _config('sweep', 'empty_grid.py', 'get_hyper', 'empty'),
  Case('train', (CONFIG, '--workdir={dir}/file'), ('/file is a file',)),
  Case(
    'train',
    (CONFIG, '--workdir={dir}/study'),
    ('study', '--resume goes on', '--overwrite', 'choose {dir}/study_2'),
    5,
  ),
  Case('compare', ('--workdir={dir}/none',), ('/none', 'holds no study')),
]
FORKED = [
  # Fields and flags that only a fork tries.
  _train(
    *('--config.model.variant', 'peephol'),
    words=('--config.model.variant', 'peephol', "nearest: 'peephole'"),
  ),
  _field('training.tensorboard', 'maybe', 'true or false'),
  _field('optimizer.learning_rate', '0,001', 'nearest: 0.001'),
  _field('task.length', '1', 'at least 2', 'nearest: 2'),
  _field('task.length', '-1', 'nearest: 0'),
  _field('task.symbols', '4', 'adding in dialect urnn16 has no such option'),
  _field('task.shortest_length', '51', 'nearest: 50'),
  Case('train', ('--workdir={dir}/new',), ('--config', 'missing', 'nearest')),
  _train('stray', words=("'stray'", 'start with --')),
  # Flags and words.
  _field('model.hidden_features', '0', 'nearest: 1'),
  _field('model.varient', 'vanilla', 'nearest: --config.model.variant'),
  _train('--wrkdir=x', words=('--wrkdir', 'nearest: --workdir')),
  _train('--seed=3', words=('--seed', 'nearest: --config.seed')),
  _train('--model.variant=np', words=('nearest: --config.model.variant',)),
  _train('--learning_rate=1', words=('--config.optimizer.learning_rate',)),
  _train('-x', words=('unknown flag',)),
  _train(
    'model.variant=peephole',
    words=("'model.variant=", 'nearest: --config.model.variant=peephole'),
  ),
  _train(
    'config.seed=1', words=("'config.seed=1'", 'nearest: --config.seed=1')
  ),
  _train('--', '--config.seed=1', words=('unexpected argument',)),
  _train('--config.seed', words=('--config.seed', 'needs a value')),
  _train('--flagfile=/nowhere', words=('/nowhere', 'No such file')),
  _train('--flagfile=/dev/zero', words=('a device, not a regular file',)),
  _train('--flagfile={dir}/pipe', words=('a pipe, not a regular file',)),
  _train('--flagfile={dir}/flags', words=('a pipe, not a regular file',)),
  Case('train', (), ('--config', 'missing', 'nearest: --config=adding')),
  Case(
    'train',
    ('--config.seed=1', '--workdir={dir}/new'),
    ('config file', 'nearest: --config=adding'),
  ),
  Case('compare', (), ('--workdir', 'missing')),
  Case('sweep', (CONFIG,), ('--workdir', 'missing')),
  # Fields.
  _field('model', '3', 'unknown field'),
  _field('model.variant[0]', 'x', 'nearest: --config.model.variant'),
  _field('variant', 'np', 'nearest: --config.model.variant'),
  _train('-config.seed', 'x', words=('--config.seed=x', 'an integer')),
  # Names.
  _field('task.name', 'copyy', "nearest: 'copy'"),
  _field('task.dialect', 'hs98', "nearest: 'hs97'"),
  _field('optimizer.name', 'adamm', "nearest: 'adam'"),
  _field('model.recurrent_init', 'orthognal', "nearest: 'orthogonal'"),
  _field('model.dtype', 'float16', "nearest: 'bfloat16'"),
  _field('model.variant', '', 'choices: '),
  # Integers.
  *(
    _field(field, value, rule)
    for field in ('training.batch_size', 'model.num_layers')
    for value, rule in (
      ('0', 'nearest: 1'),
      ('-8', 'nearest: 1'),
      ('64.6', 'an integer; nearest: 65'),
      ('1e3', 'an integer; nearest: 1000'),
      ('nan', 'an integer'),
      ('inf', 'an integer'),
      ('abc', 'an integer'),
      ('', 'an integer'),
      ('0x10', 'an integer'),
      ('99999999999999999999', 'nearest: '),
    )
  ),
  _field('training.updates', '-1', 'nearest: 0'),
  _field('training.evaluation_interval', '0', 'nearest: 1'),
  _field('training.evaluation_batches', '0', 'nearest: 1'),
  _field('seed', '-1', 'nearest: 0'),
  _field('seed', '1099511627776', 'nearest: 4294967295'),
  _field('seed', '1\n2', 'an integer')._replace(words=('--config.seed=1 2',)),
  _field('model.hidden_features', '65536', 'GiB', 'nearest: '),
  # Numbers.
  *(
    _field('optimizer.learning_rate', value, rule, 'for example 0.001')
    for value, rule in (
      ('-0.1', '> 0'),
      ('0', '> 0'),
      ('nan', '> 0'),
      ('inf', '> 0'),
      ('1e-3x', 'a number'),
      ('', 'a number'),
      ('fast', 'a number'),
    )
  ),
  _field('optimizer.b1', '1.0', 'below 1'),
  _field('optimizer.b2', '-0.5', 'at least 0'),
  _field('optimizer.eps', '0', '> 0'),
  _field('optimizer.clip_norm', '0', '> 0'),
  _field('optimizer.clip_value', '-1', '> 0'),
  _field('optimizer.momentum', '0.9', 'adam does not read it', 'nearest: '),
  _field('optimizer.nesterov', 'True', 'adam does not read it', 'nearest: '),
  _field('model.forget_bias', 'nan', 'finite'),
  _field('model.chrono_t_max', '2', 'at least 3'),
  # Toggles.
  _field('model.toggles.peephole_i', 'perhaps', 'true or false'),
  _field('model.toggles.peephole_i', 'ture', 'nearest: true'),
  _field('model.toggles.peephol_i', '1', '--config.model.toggles.peephole_i'),
  _field('model.toggles.coupling_shift', 'x', 'a number'),
  _field('model.toggles.coupling_shift', 'nan', 'finite'),
  _train(
    *('--config.model.variant=simple_rnn',),
    *('--config.model.toggles.peephole_i=true',),
    words=('--config.model.toggles.peephole_i', 'simple_rnn does not read it'),
  ),
  _train(
    *('--config.task.dialect=hs97', '--config.task.length=10'),
    words=('--config.task.length=10', 'at least 11', 'nearest: 11'),
  ),
  # Config files.
  Case('train', ('--config=', '--workdir={dir}/new'), ('no such file',)),
  Case('train', ('--config=configs', '--workdir={dir}/new'), ('no such',)),
  _config('train', 'raises.py', 'raises.py', 'ValueError: one two'),
  _config('train', 'raises_on_import.py', 'ZeroDivisionError'),
  _config('train', 'imports.py', "No module named 'nothere'"),
  _config('train', 'syntax.py', 'SyntaxError'),
  _config('train', 'exits.py', 'SystemExit'),
  _config('train', 'exits_late.py', 'SystemExit'),
  _config('train', 'text.txt', 'must end in .py'),
  _config('train', 'number.py', 'int', 'not a ConfigDict'),
  _config('train', 'dict.py', 'dict', 'not a ConfigDict'),
  _config('train', 'partial.py', 'partial.py: model.bidirectional', 'missing'),
  _config('train', 'extra.py', 'extra.py: training.warmup=3: unknown'),
  Case(
    'train',
    (CONFIG + ':argument', '--workdir={dir}/new'),
    ('configs/adding.py:argument', 'get_config()', 'nearest: ' + CONFIG),
  ),
  Case('train', (CONFIG + ':', '--workdir={dir}/new'), ('colon', CONFIG)),
  _config('sweep', 'argument.py:bad', 'argument.py:bad: must be a number'),
  _config('sweep', 'argument.py:x', 'get_hyper: ValueError: ', "'x'"),
  _config('sweep', 'argument.py:0', 'get_hyper', 'empty'),
  _config(
    'sweep',
    'half_argument.py:3',
    '/half_argument.py:3: its get_hyper(hyper) takes no argument; nearest: '
    '--config={dir}/half_argument.py',
  ),
  _config(
    'sweep',
    'field.py:3',
    '/field.py:3: its get_config() takes no argument; nearest: --config={dir}',
  ),
  # How many runs the grid has tells what it was called with.
  *(
    Case(
      'sweep',
      (f'--config={config}', '--workdir={dir}/one_run', '--resume'),
      (f'runs: 1 before, {runs} now',),
      4,
    )
    for config, runs in (
      ('{dir}/argument.py:7', 7),
      ('{dir}/argument.py', 2),
      ('configs/studies/odyssey.py:3', 81),
      ('configs/studies/odyssey.py', 540),
    )
  ),
  *(
    Case(
      'sweep',
      (f'{ODYSSEY}:{argument}', '--workdir={dir}/new'),
      (f'{ODYSSEY}:{argument}: ', 'must be an integer from 1 to 3703', nearest),
    )
    for argument, nearest in (
      ('x', 'for example 200'),
      ('0', 'nearest: 1'),
      ('-3', 'nearest: 1'),
      ('1e9', 'nearest: 3703'),
    )
  ),
  # Grids.
  Case(
    'sweep',
    (CONFIG, '--workdir={dir}/new'),
    ('configs/adding.py', 'get_hyper', 'nearest: --config=studies/'),
  ),
  _config('sweep', 'no_grid.py', 'get_hyper', 'returns None'),
  _config('sweep', 'field.py', 'config.model.varient', "'model.variant'"),
  _config('sweep', 'prefix.py', "'seed'", "nearest: 'config.seed'"),
  _config('sweep', 'type.py', "config.seed='x': not an integer; nearest: 0"),
  # The value is the grid's, whatever the command line says.
  Case(
    'sweep',
    (
      *('--config={dir}/rate.py', '--workdir={dir}/new'),
      '--config.optimizer.learning_rate=0.1',
    ),
    ('--config={dir}/rate.py: optimizer.learning_rate=-2.0: must be > 0',),
  ),
  _config('sweep', 'name.py', "name.py: model.variant='npp'", "'np'"),
  _config('sweep', 'twice.py', 'settings 0 and 1', "'config.seed': 1"),
  _config('sweep', 'raising_grid.py', 'get_hyper', 'KeyError'),
  _config('sweep', 'typo.py', 'get_hyper', "'swep'"),
  # Directories.
  Case('train', (CONFIG, '--workdir='), ("--workdir=''", 'as /tmp/study')),
  Case('train', (CONFIG, '--workdir={dir}/file/new'), ('/file is a file',)),
  Case('train', (CONFIG, '--workdir={dir}'), ('not empty', 'as {dir}/study')),
  Case('train', (CONFIG, '--workdir={dir}/' + 'a' * 300), ('too long',)),
  Case('train', (CONFIG, '--workdir=/proc/new'), ('/proc/new',), 6),
  Case('sweep', ('--config=configs/studies/quickstart.py',), ('--workdir',)),
  Case(
    'sweep',
    ('--config=configs/studies/quickstart.py', '--workdir={dir}/study'),
    ('{dir}/study', 'holds a study', 'choose {dir}/study_2'),
    5,
  ),
  Case(
    'train',
    (CONFIG, '--workdir={dir}/study', '--resume'),
    (
      '--resume',
      'optimizer.learning_rate: 0.001 before, 0.01 now',
      'choose {dir}/study_2',
    ),
    4,
  ),
  Case(
    'train',
    (CONFIG, '--workdir={dir}/new', '--resume'),
    ('nothing to go on with', 'leave out --resume'),
    4,
  ),
  Case(
    'train',
    (CONFIG, '--workdir={dir}/study', '--resume', '--overwrite'),
    ('--resume --overwrite', 'nearest: --resume'),
  ),
  _train('--resume=perhaps', words=('--resume', 'perhaps')),
  _train('--resum', words=('--resum', 'nearest: --resume')),
  _field('training.batch_devices', '3', 'must divide', 'nearest: 2'),
  _field('training.batch_devices', '4096', 'must divide', 'nearest: 32'),
  _train(
    *(
      '--config.training.batch_size=64',
      '--config.training.batch_devices=64',
    ),
    words=('--config.training.batch_devices=64', 'device(s) are there'),
  ),
  _field('training.keep_checkpoints', '0', 'nearest: 1'),
  _field('training.save_interval', '-1', 'nearest: 0'),
  _field('training.save_minutes', '-1', 'at least 0'),
  # The report.
  Case('compare', ('--workdir={dir}/empty',), ('holds no study',)),
  Case('compare', ('--workdir={dir}/study',), ('no finished runs',)),
  Case('compare', ('--workdir={dir}/file',), ('{dir}/file',)),
  Case('compare', ('--workdir=',), ('--workdir=',)),
  Case(
    'compare',
    ('--workdir={dir}/done', '--baseline=vanila'),
    ('--baseline', "'vanila'", "nearest: 'vanilla'"),
  ),
  Case('compare', ('--workdir={dir}/done', '--baselin=x'), ('--baseline',)),
  Case('compare', ('--workdir={dir}/done', 'stray'), ("'stray'",)),
]
CASES = SPAWNED + FORKED


def _name(case: Case) -> str:
  words = (
    w for w in case.arguments if w not in (CONFIG, '--workdir={dir}/new')
  )
  return '_'.join((case.program, *words))[:60]


@pytest.fixture(scope='module')
def directory(tmp_path_factory) -> pathlib.Path:
  """The files and directories that the cases name."""
  path = tmp_path_factory.mktemp('bad_input')
  for name, text in FILES.items():
    (path / name).write_text(text)
  (path / 'file').write_text('mine')
  os.mkfifo(path / 'pipe')
  (path / 'flags').write_text(f'--flagfile={path / "pipe"}\n')
  (path / 'empty').mkdir()
  whole = settings.from_config(base.get_config()).config
  for name, config in (
    ('study', {'seed': 0}),
    ('done', {'seed': 0}),
    ('one_run', whole),
  ):
    tasks = {'adding-urnn16-T8': {'baselines': {}}}
    with directory_lib.open_study(str(path / name), name, {}, tasks, [config]):
      pass
  run = {
    'id': 'vanilla_seed0',
    'population': 'p',
    'task': 'adding-urnn16-T8',
    'model': 'vanilla',
    'config': {'seed': 0},
    'status': 'unsolved',
    'sequences_to_success': None,
    'sequences': 8,
    'updates': 2,
    'final': {'loss': 0.5},
    'params_in_use': 1,
    'params': 1,
    'seconds_per_update': 0.1,
  }
  with writer_lib.PopulationWriter(str(path / 'done'), 'p') as writer:
    writer.start()
    writer.finish([run], {}, {})
  return path


def _snapshot(path: pathlib.Path):
  return {
    str(file.relative_to(path)): file.is_file()
    and (file.stat().st_mtime_ns, file.read_bytes())
    for file in sorted(path.rglob('*'))
    if '__pycache__' not in file.parts
  }


def _arguments(case: Case, directory) -> list[str]:
  return [word.replace('{dir}', str(directory)) for word in case.arguments]


def _assert_refused(case: Case, directory, status, stdout, stderr):
  assert status == case.status, stderr
  assert stdout == ''
  assert stderr.startswith('error: ') and stderr.endswith('\n')
  assert stderr.count('\n') == 1
  assert 'Traceback' not in stderr
  assert len(stderr) < 2000
  for word in case.words:
    assert word.replace('{dir}', str(directory)) in stderr


@pytest.mark.parametrize('case', CASES, ids=_name)
def test_bad_input_is_refused_in_one_line_before_anything_is_done(
  case, directory, fork
):
  before = _snapshot(directory)
  done = fork(case.program, *_arguments(case, directory))
  _assert_refused(
    case, directory, done['status'], done['stdout'], done['stderr']
  )
  assert not done['compiled']
  assert _snapshot(directory) == before


@pytest.mark.parametrize(
  'case', {case.program: case for case in SPAWNED}.values(), ids=_name
)
def test_bad_input_is_refused_at_once_by_a_process(
  case, directory, run_command
):
  before = _snapshot(directory)
  done = run_command(case.program, *_arguments(case, directory))
  print(f'{done.seconds:.1f} s')
  _assert_refused(case, directory, done.status, done.stdout, done.stderr)
  assert done.seconds < LIMIT
  assert _snapshot(directory) == before


def test_there_are_enough_cases():
  assert len(SPAWNED) >= 10
  assert len(CASES) >= 60
  assert len(set(CASES)) == len(CASES)


def test_the_fork_server_sees_what_is_compiled(fork, tmp_path):
  # Without this, the assertions above would hold for a blind one.
  done = fork(
    *('train', CONFIG, f'--workdir={tmp_path}/new'),
    *('--config.training.updates=0', '--config.task.length=2'),
    *('--config.model.hidden_features=1', '--config.training.batch_size=1'),
    '--config.model.recurrent_init=uniform',
  )
  assert (done['status'], done['stderr']) == (0, '')
  assert done['compiled']
