"""Models that learnt from a file which has moved, or grown, since."""

import json
import pathlib
import shutil
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from lstm_variants import errors, tasks
from lstm_variants.config import settings
from lstm_variants.evidence import subjects
from lstm_variants.launch import local
from lstm_variants.runs import directory, results
from lstm_variants.tasks import recorded, text
from lstm_variants.training import trained
from tests import conftest

WORDS = 'to be or not to be that is the question ' * 8
SERIES = [6.0, 10.0, 8.0, 16.0, 12.0, 14.0, 18.0, 15.0] * 8
FILES = {
  'text.txt': WORDS,
  'series.csv': 'value\n' + '\n'.join(map(str, SERIES)) + '\n',
}
# What is appended; both learn from it other symbols, and another mean.
MORE = {'text.txt': 'whether tis nobler ' * 90, 'series.csv': '99\n' * 9}
RESUME = directory.Mode.RESUME


def _write(place: pathlib.Path) -> None:
  for name, content in FILES.items():
    (place / name).write_text(content)


def _expand(place: pathlib.Path):
  config = conftest.tiny_config(
    {
      'task.length': 4,
      'model.variant': 'simple_rnn',  # quicker to compile than an LSTM
      'model.hidden_features': 3,
      'training.stop_when_solved': False,
    }
  )
  grid = [
    {'config.task.name': task, 'config.task.path': str(place / file)}
    for task, file in zip(('words', 'forecasting'), FILES, strict=True)
  ]
  return config, local.expand(config, lambda hyper: grid)


@pytest.fixture(scope='module')
def study(tmp_path_factory) -> pathlib.Path:
  """A directory with two files, and with what was learnt from them."""
  place = tmp_path_factory.mktemp('data')
  _write(place)
  local.train(str(place / 'run'), 'data', *_expand(place))
  return place


class Known(NamedTuple):
  """A model as it is while its file is there."""

  params: Any
  seen: list[Any]


@pytest.fixture
def known(study) -> list[Known]:
  """The models, read while the files are there."""
  _write(study)
  return [
    Known(model.params, _seen(model.run.settings))
    for model in _models(study / 'run')
  ]


def _seen(chosen: settings.Settings) -> list[Any]:
  """Return what a model needs of its task."""
  return [
    (
      *(task.inputs, task.outputs, task.mean, task.scale),
      *(task.label, task.num_steps),
    )
    for task in (chosen.task, chosen.held_out_task)
  ] + [chosen.task_label, chosen.architecture]


def _change(place: pathlib.Path, how: str) -> None:
  for name, content in FILES.items():
    if how == 'moved':
      (place / name).unlink()
    else:
      (place / name).write_text(content + MORE[name])


def _models(workdir: pathlib.Path) -> list[trained.Trained]:
  saved = trained.read(str(workdir))
  return [trained.load(saved, index) for index in range(2)]


@pytest.mark.parametrize('how', ['moved', 'grown'])
def test_a_model_is_read_without_its_data(study, known, how, tmp_path):
  interrupted = tmp_path / 'run'
  shutil.copytree(study / 'run', interrupted)
  for path in (interrupted / 'populations').iterdir():
    path.rename(path.with_name(path.name + results.PARTIAL))
  _change(study, how)
  for workdir in (study / 'run', interrupted):
    for now, before in zip(_models(workdir), known, strict=True):
      jax.tree.map(np.testing.assert_array_equal, now.params, before.params)
      assert _seen(now.run.settings) == before.seen


def test_the_directory_knows_the_symbols_and_the_scale(study, known):
  _change(study, 'moved')
  words, series = (model.run.settings.task for model in _models(study / 'run'))
  assert set(words.inputs.names) == {*WORDS.split(), text.UNKNOWN}
  part = np.array(SERIES)[: len(SERIES) * 4 // 5 + 1]
  assert series.mean == pytest.approx(part.mean())
  assert series.scale == pytest.approx(part.std())


def test_the_directory_knows_how_many_errors_a_checkpoint_has():
  task = tasks.make_task('adding', 'hs97', 20)
  known = json.loads(json.dumps(recorded.describe(task)))
  config = {'name': 'adding', 'dialect': 'hs97', 'length': 20}
  restored = recorded.restore(known, config, task.label, 'gone')
  assert isinstance(restored.success, tasks.base.LastSequences)
  assert f'last {restored.success.window:,} ' in str(task.success)
  assert restored.label == task.label


def test_what_needs_the_data_says_so_in_one_line(study, known, capsys):
  _change(study, 'moved')
  for model in _models(study / 'run'):
    with pytest.raises(recorded.DataError, match='needs its data') as refusal:
      model.run.settings.task.sample(jax.random.key(0), 2)
    assert str(study) in str(refusal.value)
  looked_at = subjects.read(str(study / 'run'))
  assert len(looked_at.subjects) == 2
  assert list(subjects.families(looked_at, 'vanilla')) == []
  lines = capsys.readouterr().err.splitlines()
  assert len(lines) == 2
  for line, file in zip(lines, FILES, strict=True):
    assert f'{file}' in line and line.endswith(
      'No such file or directory; left out'
    )


def test_a_model_is_exported_without_its_data(study, known, fork):
  saved = trained.read(str(study / 'run'))
  _change(study, 'grown')
  for name in saved.names:
    out = study / f'{name}.onnx'
    flags = (f'--workdir={study / "run"}', f'--run={name}', f'--out={out}')
    done = fork('export', *flags)
    assert (done['status'], done['stderr']) == (0, '')
    assert out.stat().st_size > 500


def test_training_goes_on_with_the_same_data_alone(study, known):
  workdir = str(study / 'run')
  _change(study, 'grown')
  with pytest.raises(directory.ResumeError) as refusal:
    local.train(workdir, 'data', *_expand(study), RESUME)
  assert 'is of other data: ' in str(refusal.value)
  assert str(study / 'text.txt') in str(refusal.value)
  _change(study, 'moved')
  with pytest.raises(errors.Error, match='cannot be read: No such file'):
    _expand(study)
  _write(study)
  local.train(workdir, 'data', *_expand(study), RESUME)


@pytest.mark.parametrize(
  'how, said',
  [('grown', 'has others now'), ('moved', 'cannot be read: No such file')],
)
def test_an_older_directory_needs_its_data(study, known, how, said, tmp_path):
  shutil.copytree(study / 'run', tmp_path / 'run')
  path = tmp_path / 'run/study.json'
  contents = json.loads(path.read_text())
  for task in contents['tasks'].values():
    for name in (
      'configs',
      'inputs',
      'outputs',
      'num_steps',
      'window',
      'mean',
      'scale',
    ):
      del task[name]
  path.write_text(json.dumps(contents))
  assert len(_models(tmp_path / 'run')) == 2
  _change(study, how)
  with pytest.raises(errors.Error, match=said) as refusal:
    trained.read(str(tmp_path / 'run'))
  assert str(study / 'text.txt') in str(refusal.value)


@pytest.mark.parametrize(
  'field, value',
  [
    ('inputs', None),
    ('outputs', {'names': [], 'one_hot': True}),
    ('inputs', {'names': [1], 'one_hot': True}),
    ('num_steps', -1),
    ('window', 'x'),
    ('scale', '1'),
    ('configs', 3),
  ],
)
def test_a_damaged_record_is_refused(study, known, field, value, tmp_path):
  shutil.copytree(study / 'run', tmp_path / 'run')
  _change(study, 'moved')
  path = tmp_path / 'run/study.json'
  contents = json.loads(path.read_text())
  next(iter(contents['tasks'].values()))[field] = value
  path.write_text(json.dumps(contents))
  with pytest.raises(results.WorkdirError, match='none of ours'):
    trained.read(str(tmp_path / 'run'))
