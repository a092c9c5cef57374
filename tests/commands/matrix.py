"""Sixty-four bad inputs that any training program meets, and ours to each.

The list is that of the project's reference on reliability. Some name what this
program does not have; then `why` says so, and the nearest thing is tried.
"""

from typing import NamedTuple

_FIELDS = '--config.'


class Entry(NamedTuple):
  """A bad input.

  Attributes:
    number: in the list.
    what: in words.
    arguments: ours, after --config and --workdir, which may be replaced.
    status: the exit status, 0 where it is fine.
    words: what the line holds.
    why: it is different here.
    program: of `experiments`.
    environ: variables of the environment.
  """

  number: int
  what: str
  arguments: tuple[str, ...] = ()
  status: int = 2
  words: tuple[str, ...] = ()
  why: str = ''
  program: str = 'train'
  environ: tuple[tuple[str, str], ...] = ()


def _field(number: int, what: str, flag: str, *words: str, why: str = ''):
  """An entry of one config field, which the line names with its value."""
  field, _, value = flag.partition('=')
  return Entry(number, what, (_FIELDS + flag,), 2, (field, value, *words), why)


def _none(number: int, what: str, why: str) -> Entry:
  return Entry(number, what, status=0, why=why)


QUICK = (
  *('--config.training.updates=0', '--config.training.batch_size=1'),
  *('--config.task.length=2', '--config.model.hidden_features=1'),
  *('--config.model.recurrent_init=uniform',),
)
ENTRIES = (
  Entry(
    1, 'unknown flag', ('--hiden_size=64',), 2, ('--hiden_size', 'nearest')
  ),
  _field(2, 'unknown cell', 'model.variant=peep_hole', "nearest: 'peephole'"),
  _field(3, 'unknown task', 'task.name=copyy', "nearest: 'copy'"),
  _field(4, 'width 0', 'model.hidden_features=0', 'nearest: 1'),
  _field(5, 'negative width', 'model.hidden_features=-8', 'nearest: 1'),
  _field(6, 'fractional width', 'model.hidden_features=64.5', 'nearest: 64'),
  _field(7, 'width beyond the memory', 'model.hidden_features=65000', 'GiB'),
  _field(8, 'batch 0', 'training.batch_size=0', 'nearest: 1'),
  _field(
    *(9, 'length 0', 'task.length=-1', 'nearest: 0'),
    why='0 stands for the usual length',
  ),
  Entry(
    *(10, 'lag not below the length'),
    ('--config.task.dialect=hs97', '--config.task.length=10'),
    *(2, ('task.length=10', 'at least 11', 'nearest: 11')),
    'one length, of which a dialect makes the rest',
  ),
  _field(11, 'no room for two marks', 'task.length=1', 'at least 2'),
  Entry(
    *(12, 'copy with one symbol'),
    ('--config.task.name=copy', '--config.task.symbols=1'),
    *(2, ('task.symbols=1', 'must be 2 to', 'nearest: 2')),
  ),
  _field(13, 'negative rate', 'optimizer.learning_rate=-0.1', '> 0'),
  _field(14, 'rate 0', 'optimizer.learning_rate=0', '> 0'),
  _field(15, 'rate NaN', 'optimizer.learning_rate=nan', '> 0'),
  _field(16, 'rate infinite', 'optimizer.learning_rate=inf', '> 0'),
  _field(17, 'rate with a letter', 'optimizer.learning_rate=1e-3x', 'a number'),
  _field(18, 'clipping at 0', 'optimizer.clip_norm=0', '> 0, or inf'),
  _field(19, 'negative updates', 'training.updates=-1', 'nearest: 0'),
  Entry(20, 'no updates', QUICK, 0, why='evaluates the first parameters'),
  _field(21, 'never evaluated', 'training.evaluation_interval=0', 'nearest: 1'),
  _field(
    *(22, 'never saved', 'training.keep_checkpoints=0', 'nearest: 1'),
    why='intervals may be 0: it is saved at the end and by signals',
  ),
  _field(23, 'seed out of range', 'seed=1099511627776', 'nearest: 4294967295'),
  Entry(
    *(24, 'the same seed twice', ('--config={dir}/twice.py',)),
    *(2, ('settings 0 and 1',), '', 'sweep'),
  ),
  Entry(
    *(25, 'no seeds', ('--config={dir}/empty_grid.py',)),
    *(2, ('the grid is empty',), '', 'sweep'),
  ),
  Entry(
    *(
      26,
      'a toggle of another cell',
    ),
    (
      '--config.model.variant=simple_rnn',
      '--config.model.toggles.coupled=true',
    ),
    *(2, ('simple_rnn does not read it', 'nearest')),
  ),
  _none(27, 'peepholes with cuDNN', 'there is one implementation'),
  _none(28, 'cuDNN on a CPU', 'there is one implementation'),
  _none(29, 'cuDNN and a population', 'there is one implementation'),
  _none(30, 'Newton and dense recurrence', 'there is one implementation'),
  _field(31, 'forget bias NaN', 'model.forget_bias=nan', 'finite'),
  _none(32, 'dropout 1', 'there is no dropout'),
  _field(33, 'unknown dtype', 'model.dtype=float16x', "nearest: 'bfloat16'"),
  Entry(
    *(34, 'float64 not enabled', (*QUICK, '--config.model.dtype=float64')),
    status=0,
    why='the program enables it by itself',
  ),
  _field(35, 'unknown optimizer', 'optimizer.name=adamm', "nearest: 'adam'"),
  _field(36, 'b1 of 1', 'optimizer.b1=1.0', 'below 1'),
  _none(37, 'warm-up beyond the end', 'there are no schedules'),
  Entry(38, 'directory without a name', ('--workdir=',), 2, ("--workdir=''",)),
  Entry(
    39, 'directory is a file', ('--workdir={dir}/file',), 2, ('is a file',)
  ),
  Entry(40, 'not writable', ('--workdir=/proc/new',), 6, ('/proc/new',)),
  Entry(
    *(41, 'parent missing', (*QUICK, '--workdir={dir}/made/a/b')),
    status=0,
    why='it is made',
  ),
  Entry(
    *(42, 'a study is there', ('--workdir={dir}/study',)),
    *(5, ('--resume', '--overwrite', '{dir}/study_2')),
  ),
  Entry(
    *(43, 'nothing to resume', ('--resume',)),
    *(4, ('nothing to go on with', 'leave out --resume')),
  ),
  Entry(
    *(
      44,
      'resumed under other settings',
    ),
    ('--workdir={dir}/study', '--resume', '--config.seed=9'),
    *(4, ('seed: 0 before, 9 now',)),
  ),
  Entry(
    45, 'both flags', ('--resume', '--overwrite'), 2, ('nearest: --resume',)
  ),
  Entry(
    46, 'no such config', ('--config=configs/missing.py',), 2, ('no such',)
  ),
  Entry(
    47, 'malformed config', ('--config={dir}/syntax.py',), 2, ('SyntaxErr',)
  ),
  Entry(
    *(48, 'unknown key in a config', ('--config={dir}/extra.py',)),
    *(2, ('extra.py: training.warmup=3', 'unknown')),
  ),
  Entry(
    *(49, 'wrong type in a config', ('--config={dir}/text_width.py',)),
    *(2, ("hidden_features='64'", 'not an integer')),
  ),
  _none(50, 'a key twice in JSON', 'configs are Python, where the last counts'),
  Entry(
    *(51, 'a pickle for a config', ('--config={dir}/config.pkl',)),
    *(2, ('must end in .py',)),
    'a config is a Python file and is executed: use your own or ours',
  ),
  Entry(
    *(52, 'a word without dashes', ('model.hidden_features=64',)),
    *(2, ('nearest: --config.model.hidden_features=64',)),
  ),
  Entry(
    *(53, 'a flag twice', (*QUICK, '--config.seed=1', '--config.seed=2')),
    *(0, ('--config.seed is given twice: 2 counts',)),
    'the last one counts, which is said',
  ),
  Entry(
    *(54, 'a population of 0', ('--config={dir}/empty_grid.py',)),
    *(2, ('the grid is empty',), 'it is as large as the grid', 'sweep'),
  ),
  _field(
    *(55, 'not divisible by devices', 'training.batch_devices=3', 'nearest: 2'),
    why='a population is padded; a batch is not',
  ),
  Entry(
    *(56, 'unknown platform', ()),
    *(2, ('JAX_PLATFORMS=tpuu', 'nearest'), '', 'train'),
    (('JAX_PLATFORMS', 'tpuu'),),
  ),
  _field(57, 'no layers', 'model.num_layers=0', 'nearest: 1'),
  _none(58, 'unrolled 0 times', 'the scan is not unrolled'),
  _field(
    *(59, 'lengths of segments', 'training.remat=sqr', "nearest: 'sqrt'"),
    why='the length follows from T',
  ),
  Entry(
    *(60, 'unknown XLA flag', ()),
    *(2, ('XLA_FLAGS=--xla_nonsense=1',), '', 'train'),
    (('XLA_FLAGS', '--xla_nonsense=1'),),
  ),
  _none(61, '../ in a run name', 'names are made of the model and a hash'),
  Entry(
    *(62, 'a grid beyond 100,000', ('--config={dir}/huge.py',)),
    *(2, ('100,000',), '', 'sweep'),
  ),
  _none(63, 'torn last line of metrics', 'dropped with a notice; see `kill`'),
  _field(
    64, 'decimal comma', 'optimizer.learning_rate=0,001', 'nearest: 0.001'
  ),
)


def table() -> list[str]:
  """Return the list as a Markdown table."""
  lines = ['| | input | ours | status |', '| --- | --- | --- | --- |']
  for entry in ENTRIES:
    variables = [f'{name}={value}' for name, value in entry.environ]
    words = [w for w in (*variables, *entry.arguments) if w not in QUICK]
    ours = f'`{" ".join(words)}`'.replace('{dir}/', '') if words else ''
    ours += ('; ' * bool(ours and entry.why)) + entry.why
    status = entry.status if words or entry.number == 20 else '—'
    lines.append(f'| {entry.number} | {entry.what} | {ours} | {status} |')
  return lines
