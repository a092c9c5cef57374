"""The program that draws the tour."""

import shutil

import pytest

from docs import tour
from tests.tour import tiny


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A study that has what the picture of the peepholes needs."""
  path = tmp_path_factory.mktemp('tour') / 'study'
  tiny.train(str(path), 'timed_spikes')
  return path


def refused(done) -> str:
  assert done['status'] == 2 and not done['stdout'], done
  assert done['stderr'].count('\n') == 1
  assert done['stderr'].startswith('error: ')
  return done['stderr']


def test_the_list_names_the_ten_with_a_sentence_each(fork):
  done = fork('tour', '--list')
  assert done['status'] == 0 and not done['stderr'] and not done['compiled']
  *lines, after = done['stdout'].splitlines()
  assert after == 'next: python -m experiments.tour --only=chain'
  assert [line.split()[0] for line in lines] == list(tour.PICTURES)
  for line, shown in zip(lines, tour.PICTURES.values(), strict=True):
    assert line.endswith(shown.sentence)


def test_chosen_pictures_are_drawn_in_the_order_of_the_tour(
  fork, trained, tmp_path
):
  out = tmp_path / 'new' / 'pictures'
  done = fork(
    *('tour', f'--workdir={trained}', '--only=peepholes,vanishing'),
    f'--out={out}',
  )
  assert done['status'] == 0 and not done['stderr'], done
  assert done['stdout'].splitlines() == [
    *(f'{name}: {out / name}.svg' for name in ('vanishing', 'peepholes')),
    f'results: {out}',
    f'next: python -m experiments.analyse --workdir={trained}',
  ]
  assert {path.name for path in out.iterdir()} == {
    *('vanishing.svg', 'vanishing.csv', 'peepholes.svg', 'peepholes.csv')
  }


@pytest.mark.parametrize(
  'flags, words',
  [
    (('--only=conveyer',), ('--only=conveyer', 'nearest: conveyor')),
    (('--only=chain,,gates',), ('--only=:', 'choices: chain, ')),
    (('--workdir=nowhere',), ('--workdir=nowhere', 'holds no study')),
    ((), ('simple_rnn on adding_urnn16', 'configs/studies/tour.py')),
    (('--only=next_word',), ('vanilla on words_next',)),
    (('--onyl=chain',), ('--onyl', 'nearest: --only')),
  ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(
  fork, trained, tmp_path, flags, words
):
  out = tmp_path / 'new'
  done = fork('tour', f'--workdir={trained}', f'--out={out}', *flags)
  line = refused(done)
  for word in words:
    assert word in line
  assert not out.exists() and not done['compiled']


def test_parameters_that_are_damaged_are_refused_in_a_line(
  fork, trained, tmp_path
):
  copy = tmp_path / 'copy'
  shutil.copytree(trained, copy)
  for params in copy.rglob('params.npz'):
    params.write_bytes(params.read_bytes()[:100])
  done = fork('tour', f'--workdir={copy}', '--only=peepholes')
  line = refused(done)
  assert 'params.npz' in line and 'cannot be read' in line


def test_a_place_that_cannot_be_written_ends_with_status_6(fork, trained):
  done = fork(
    *('tour', f'--workdir={trained}', '--only=vanishing'), '--out=/proc/tour/x'
  )
  assert done['status'] == 6 and done['stderr'].count('\n') == 1
