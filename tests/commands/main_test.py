"""`lstm-variants NAME`: every command by its name, and the configs."""

import pytest

from lstm_variants import __main__ as main_module
from lstm_variants import console
from tests import conftest

MAIN = 'lstm_variants.__main__'
COMMANDS = sorted(
  path.stem
  for path in (conftest.REPOSITORY / 'experiments').glob('*.py')
  # The tour is drawn by what is in docs/.
  if path.stem not in ('__init__', 'tour')
)


def refused(done) -> str:
  assert done['status'] == 2 and not done['stdout'], done
  assert done['stderr'].count('\n') == 1
  assert done['stderr'].startswith('error: ')
  return done['stderr']


def test_it_lists_what_experiments_has_a_sentence_each(fork):
  done = fork(MAIN)
  assert done['status'] == 0 and not done['stderr'], done
  assert fork(MAIN, '--help') == done
  listed = {
    line.split()[0]: line.split(maxsplit=1)[1]
    for line in done['stdout'].splitlines()
    if line.startswith('  ') and line[2].isalpha() and '--' not in line
  }
  assert sorted(listed) == COMMANDS
  assert all(sentence[0].isupper() for sentence in listed.values())
  assert max(map(len, done['stdout'].splitlines())) <= 80


@pytest.mark.parametrize(
  'name, close',
  [('trian', 'train'), ('--train', 'train'), ('comparison', 'compare')],
)
def test_a_wrong_name_gets_the_nearest_in_a_line(fork, name, close):
  line = refused(fork(MAIN, name, '--workdir=x'))
  assert repr(name) in line
  assert f'nearest: python -m lstm_variants {close}; choices: ' in line


@pytest.mark.parametrize('name', ['command', 'config_file', 'xyzzy', '../x'])
def test_what_is_no_command_is_refused(fork, name):
  assert 'no such command' in refused(fork(MAIN, name))


def test_it_tells_its_version(fork):
  text = (conftest.REPOSITORY / 'pyproject.toml').read_text()
  (version,) = [
    line.split('"')[1]
    for line in text.splitlines()
    if line.startswith('version = ')
  ]
  assert fork(MAIN, '--version')['stdout'] == f'lstm-variants {version}\n'


def test_commands_are_found_without_importing_them():
  assert sorted(main_module.commands()) == COMMANDS


@pytest.mark.parametrize(
  'words, shown',
  [
    ((MAIN, 'compare'), 'python -m lstm_variants compare'),
    (('compare',), 'python -m experiments.compare'),
  ],
)
def test_help_and_errors_name_the_program_as_it_was_started(fork, words, shown):
  assert f'\n    {shown} --workdir=' in fork(*words, '--help')['stdout']
  line = refused(fork(*words, '--workdir=nowhere'))
  assert f'make one with {shown.replace("compare", "train")} or ' in line


def test_otherwise_the_program_is_the_installed_one():
  assert console.command_line('train') == 'lstm-variants train'


def test_a_config_by_name_is_the_run_of_its_file(fork):
  flags = ('--config.model.variant=gru', '--workdir=x')
  by_name = fork('plan', '--config', 'adding', *flags)
  assert by_name['status'] == 0, by_name
  assert by_name == fork('plan', '--config=configs/adding.py', *flags)


def test_the_configs_are_listed(fork):
  done = fork('config')
  assert done['status'] == 0 and not done['stderr'], done
  for name in ('adding', 'studies/quickstart', 'published/hs97'):
    assert f'{name} ' in done['stdout']
  assert max(map(len, done['stdout'].splitlines())) <= 80


def test_a_config_is_copied_out_and_never_over_a_file(fork, tmp_path):
  out = tmp_path / 'new' / 'mine.py'
  flags = ('--copy=studies/quickstart', f'--out={out}')
  done = fork('config', *flags)
  assert (done['status'], done['stderr']) == (0, ''), done
  house = conftest.REPOSITORY / 'configs/studies/quickstart.py'
  assert out.read_bytes() == house.read_bytes()
  last = done['stdout'].splitlines()[-1]
  assert last == (
    f'next: python -m experiments.sweep --config={out} --workdir=runs/mine'
  )
  out.write_text('mine')
  line = refused(fork('config', *flags))
  assert 'is there already' in line and 'mine_2.py' in line
  assert out.read_text() == 'mine'
  # In a clone, that is where the config of the house is.
  assert 'configs/adding.py is there' in refused(
    fork('config', '--copy=adding')
  )


@pytest.mark.parametrize(
  'name, experiment',
  [('', 'reber'), (':reber', 'reber'), (':adding', 'adding')],
)
def test_a_copy_with_experiments_goes_on_with_one(
  fork, tmp_path, name, experiment
):
  out = tmp_path / 'hs97.py'
  done = fork('config', f'--copy=published/hs97{name}', f'--out={out}')
  assert (done['status'], done['stderr']) == (0, ''), done
  house = conftest.REPOSITORY / 'configs/published/hs97.py'
  assert out.read_bytes() == house.read_bytes()
  config = f'--config={out}:{experiment}'
  last = done['stdout'].splitlines()[-1]
  assert last == (
    f'next: python -m experiments.sweep {config} '
    f'--workdir=runs/hs97_{experiment}'
  )
  assert fork('plan', config, '--workdir=x')['status'] == 0


@pytest.mark.parametrize(
  'flags, words',
  [
    (
      ('--copy=published/hs97:rebr', '--out={dir}/x.py'),
      ('hs97:rebr', 'nearest: --copy=published/hs97:reber; choices: reber, '),
    ),
    (('--copy=adding:x',), ('--copy=adding:x', 'nearest: --copy=adding')),
    (('--copy=ading',), ('--copy=ading', 'nearest: --copy=adding; ')),
    (('--copy=../adding',), ('--copy=../adding', 'experiments.config lists')),
    (
      ('--copy=adding', '--out={dir}/x'),
      ('end in .py', 'nearest: --out={dir}'),
    ),
    (('--out=x.py',), ('--out=x.py', '--copy=')),
    (('--copi=adding',), ('--copi', 'nearest: --copy')),
  ],
)
def test_a_copy_of_nothing_is_refused_in_a_line(fork, tmp_path, flags, words):
  given = [flag.replace('{dir}', str(tmp_path)) for flag in flags]
  line = refused(fork('config', *given))
  for word in words:
    assert word.replace('{dir}', str(tmp_path)) in line
  assert not list(tmp_path.iterdir())


def test_a_copy_where_nothing_can_be_written_ends_with_status_6(fork):
  done = fork('config', '--copy=adding', '--out=/proc/new/adding.py')
  assert done['status'] == 6 and done['stderr'].count('\n') == 1


def test_configs_say_how_they_are_run():
  """By a name that is theirs, in a line that a user can copy."""
  folder = conftest.REPOSITORY / 'configs'
  for path in sorted(folder.rglob('*.py')):
    text = path.read_text()
    name = str(path.relative_to(folder).with_suffix(''))
    assert 'python -m experiments.' not in text or name == 'studies/tour'
    if 'lstm-variants sweep' in text or 'lstm-variants train --' in text:
      assert f'--config={name}' in text or name == 'base'
