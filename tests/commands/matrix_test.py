"""Every entry of the matrix does what it says: status, line, no directory."""

import pytest

from tests.commands import bad_input_test, matrix

directory = bad_input_test.directory
TRIED = [e for e in matrix.ENTRIES if e.arguments or e.environ]
LIMIT = 15.0  # seconds; 3 are asked for, of an idle machine


def _arguments(entry: matrix.Entry, directory, tmp_path) -> list[str]:
  given = [word.replace('{dir}', str(directory)) for word in entry.arguments]
  study = 'configs/studies/quickstart.py'
  config = study if entry.program == 'sweep' else 'configs/adding.py'
  defaults = (f'--config={config}', f'--workdir={tmp_path}/new')
  flags = {word.partition('=')[0] for word in given}
  return [d for d in defaults if d.partition('=')[0] not in flags] + given


def test_there_are_64():
  assert [entry.number for entry in matrix.ENTRIES] == list(range(1, 65))
  assert all(entry.why for entry in matrix.ENTRIES if entry not in TRIED)
  assert len(TRIED) >= 50
  assert len(matrix.table()) == 2 + 64


@pytest.mark.parametrize('entry', TRIED, ids=lambda entry: str(entry.number))
def test_a_bad_input_does_what_the_matrix_says(
  entry, directory, fork, run_command, tmp_path
):
  arguments = _arguments(entry, directory, tmp_path)
  if entry.environ:
    ended = run_command(entry.program, *arguments, **dict(entry.environ))
    status, stderr = ended.status, ended.stderr
    assert ended.seconds < LIMIT
  else:
    done = fork(entry.program, *arguments)
    status, stderr = done['status'], done['stderr']
  assert status == entry.status, stderr
  assert 'Traceback' not in stderr
  for word in entry.words:
    assert word.replace('{dir}', str(directory)) in stderr
  if status:
    assert stderr.count('\n') == 1 and stderr.startswith('error: ')
    assert not (tmp_path / 'new').exists()
