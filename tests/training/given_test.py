"""Runs that begin with the weights of another run."""

import pathlib
import shutil

import numpy as np
import pytest

from lstm_variants import errors
from lstm_variants.commands import first_weights
from lstm_variants.launch import local
from lstm_variants.runs import directory, results
from lstm_variants.training import given, loop, trained

NEW, RESUME = directory.Mode.NEW, directory.Mode.RESUME
SHORT = {
  'training.updates': 2,
  'training.evaluation_interval': 1,
  'training.save_interval': 1,
  'training.keep_checkpoints': 9,
}


class Cut(Exception):
  """The end of a session."""


@pytest.fixture(scope='module')
def source(tmp_path_factory):
  """Return 'WORKDIR:RUN' of a run that was trained."""
  from tests import conftest

  workdir = str(tmp_path_factory.mktemp('source') / 'first:study')
  config = conftest.tiny_config(SHORT)
  local.train(workdir, 'first', config, [local.check(config)])
  (row,) = results.read_runs(workdir)
  return f'{workdir}:{row["id"]}'


def _train(source, config, workdir: pathlib.Path, mode=NEW) -> None:
  weights = first_weights.begin(source, config, str(workdir), mode)
  runs = [local.check(config)]
  local.train(str(workdir), 'further', config, runs, mode, weights)


def test_a_run_goes_on_from_the_weights_and_can_be_resumed_without_the_source(
  source, make_config, tmp_path, monkeypatch
):
  moved = tmp_path / 'source'
  shutil.copytree(source.rpartition(':')[0], moved)
  begun, workdir = f'{moved}:{source.rpartition(":")[2]}', tmp_path / 'further'
  changes = {**SHORT, 'seed': 5, 'optimizer.learning_rate': 0.1}
  config = make_config(changes)
  save = loop._Saver.save

  def save_and_end(saver, on_device):
    save(saver, on_device)
    raise Cut

  with monkeypatch.context() as patched, pytest.raises(Cut):
    patched.setattr(loop._Saver, 'save', save_and_end)
    _train(begun, config, workdir)
  shutil.rmtree(moved)
  again = make_config(changes)
  _train(None, again, workdir, RESUME)

  weights = trained.weights(source)
  (row,) = results.read_runs(str(workdir))
  assert row['config']['training']['start'] == weights.digest
  assert row['updates'] == 2
  # It begins where the other one ended, and moves on.
  (end,) = results.read_runs(source.rpartition(':')[0])
  losses = [row['loss'] for row in results.read_metrics(str(workdir))]
  np.testing.assert_allclose(losses[0], end['final']['loss'], rtol=1e-6)
  assert len(set(losses)) == 3
  saved = trained.read(str(workdir))
  ((first, *_, last),) = trained.moments(saved, [0])
  assert (first.update, last.update) == (0, 2)
  layer = first.params['layers'][0]
  np.testing.assert_array_equal(layer.kernel, weights.arrays['layers/0/kernel'])
  # Adam begins anew: its first step is one of the learning rate everywhere.
  second = trained.moments(saved, [0])[0][1].params['readout']['bias']
  step = second - weights.arrays['readout/bias']
  np.testing.assert_allclose(np.abs(step), 0.1, rtol=0.05)

  with pytest.raises(given.GivenError, match='began from .*nearest: --from='):
    first_weights.begin(source, again, str(workdir), RESUME)
  path = workdir / results.START
  path.write_bytes(path.read_bytes()[:-4] + b'0000')
  with pytest.raises(given.GivenError, match='not what the study began with'):
    trained.moments(saved, [0])


def test_the_weights_are_those_of_the_run_that_is_named(make_config, tmp_path):
  config, workdir = make_config(SHORT), str(tmp_path / 'two')
  runs = local.expand(config, lambda hyper: hyper.sweep('config.seed', (0, 1)))
  local.train(workdir, 'two', config, runs)
  saved = trained.read(workdir)
  for index, name in enumerate(saved.names):
    np.testing.assert_array_equal(
      trained.weights(f'{workdir}:{name}').arrays['layers/0/kernel'],
      trained.load(saved, index).params['layers'][0].kernel,
    )


def test_every_run_of_a_grid_is_checked_against_the_weights(
  source, make_config
):
  weights, config = trained.weights(source), make_config(SHORT)
  grid = [{'config.model.variant': name} for name in ('vanilla', 'peephole')]
  runs = local.expand(config, lambda hyper: grid)
  with pytest.raises(given.GivenError, match='peephole is missing, that of pe'):
    given.check(weights, runs)


def test_identities_know_the_weights_and_not_where_they_were(source):
  weights = trained.weights(source)
  elsewhere = weights._replace(source='another:place')
  assert weights.digest == elsewhere.digest
  changed = {k: v.copy() for k, v in weights.arrays.items()}
  changed['readout/bias'][0] += 1
  assert weights._replace(arrays=changed).digest != weights.digest


def _refusal(source, config, workdir: pathlib.Path) -> str:
  with pytest.raises(errors.Error) as refusal:
    _train(source, config, workdir)
  assert '\n' not in str(refusal.value) and not workdir.exists()
  return str(refusal.value)


@pytest.mark.parametrize(
  'changes, said',
  [
    (
      {'model.hidden_features': 6},
      'its layers/0/kernel is [2, 20], that of vanilla [2, 24]',
    ),
    (
      {'model.num_layers': 2},
      'its layers/1/kernel is missing, that of vanilla [5, 20]',
    ),
    ({'model.learned_carry': True}, 'carries/0/c is missing, that of vanilla'),
  ],
)
def test_weights_of_other_shapes_are_refused_with_both(
  source, make_config, tmp_path, changes, said
):
  message = _refusal(source, make_config(changes), tmp_path / 'new')
  assert message.startswith(f'--from={source}: ') and said in message


def test_a_run_is_named_as_export_names_it(source):
  workdir, name = source.rsplit(':', 1)
  for enough in ('best', name[:-2], 'seed=0'):
    given_by = trained.weights(f'{workdir}:{enough}')
    assert given_by.source == source
    assert given_by.digest == trained.weights(source).digest


def test_what_names_no_run_is_refused(source, make_config, tmp_path):
  workdir, name = source.rsplit(':', 1)
  new = tmp_path / 'new'
  message = _refusal(f'{workdir}:{name[:-1]}x', make_config(), new)
  assert f'unknown; nearest: --from={workdir}:{name}' in message
  assert 'must be WORKDIR:RUN' in _refusal('runs', make_config(), new)
  start = make_config({'training.start': 'f' * 64})
  assert 'is set by --from=WORKDIR:RUN' in _refusal(None, start, new)
  nothing = f'{tmp_path}:x'
  line = _refusal(nothing, make_config(), new)
  assert line.startswith(f'--from={nothing}: holds no study')
