"""The program that draws what a study's models do."""

import os
import shutil

import pytest

from lstm_variants.launch import local
from tests import conftest


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A finished study of one run that was not solved."""
  path = tmp_path_factory.mktemp('analyse') / 'study'
  config = conftest.tiny_config()
  local.train(
    str(path), 'small', config, local.expand(config, lambda hyper: [{}])
  )
  return path


def refused(done) -> str:
  assert done['status'] == 2 and not done['stdout'], done
  assert done['stderr'].count('\n') == 1
  assert done['stderr'].startswith('error: ')
  return done['stderr']


def test_figures_are_drawn_named_and_shown_in_the_report(fork, trained):
  done = fork('analyse', f'--workdir={trained}', '--figure=survival')
  assert done['status'] == 0 and not done['stderr'], done
  picture, report, after = done['stdout'].splitlines()
  assert after == (
    f'next: python -m experiments.export --workdir={trained} --run=best '
    '--out=model.onnx'
  )
  assert picture.startswith('survival: ') and picture.endswith('-survival.svg')
  assert os.path.exists(picture.removeprefix('survival: '))
  assert report == f'results: {trained / "report.html"}'
  assert 'How soon the runs are solved' in (trained / 'report.html').read_text()


@pytest.mark.parametrize(
  'flags, words',
  [
    (('--figure=gate',), ('--figure', 'gates')),
    (('--tasks=copy',), ('--tasks=copy', 'choices: adding-urnn16-T8')),
    (('--models=vanila',), ('--models=vanila', 'nearest: vanilla')),
    (('--baseline=gru',), ("--baseline='gru'", 'choices: vanilla')),
    (('--workdir=nowhere',), ('--workdir=nowhere', 'holds no study')),
    (
      ('--figure=importance',),
      ('--figure=importance', 'nearest: --figure=all'),
    ),
  ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(fork, trained, flags, words):
  before = sorted(path.name for path in trained.rglob('*'))
  line = refused(fork('analyse', f'--workdir={trained}', *flags))
  for word in words:
    assert word in line
  assert sorted(path.name for path in trained.rglob('*')) == before


def test_parameters_that_are_damaged_are_refused_in_a_line(
  fork, trained, tmp_path
):
  copy = tmp_path / 'copy'
  shutil.copytree(trained, copy)
  (params,) = copy.rglob('params.npz')
  params.write_bytes(params.read_bytes()[:100])
  line = refused(fork('analyse', f'--workdir={copy}', '--figure=gates'))
  assert 'params.npz' in line and 'cannot be read' in line
