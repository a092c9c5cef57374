"""The state of a population on the disk, of every optimizer."""

import hashlib

import jax
import numpy as np
import optax
import pytest

from lstm_variants import optimizers
from lstm_variants.config import fields, populations, rules, schema, settings
from lstm_variants.launch import local
from lstm_variants.runs import checkpoint, directory, record
from lstm_variants.training import population, states, trained
from tests import conftest


def _run(changes) -> settings.Run:
  return settings.from_config(conftest.tiny_config(changes))


def _any_state(members: populations.Population):
  """Return a state of the population with numbers of its own in each leaf."""
  described = population.describe_state(
    members.settings, [run.hyperparams for run in members.runs]
  )
  randomness = np.random.default_rng(0)
  return jax.tree.map(
    lambda leaf: randomness.integers(0, 99, leaf.shape).astype(leaf.dtype),
    described,
  )


@pytest.mark.parametrize('optimizer', optimizers.OPTIMIZERS)
@pytest.mark.parametrize('models', [('vanilla',), ('coupled', 'fgr'), ('gru',)])
def test_a_state_of_any_optimizer_comes_back(tmp_path, optimizer, models):
  runs = [
    _run({'optimizer.name': optimizer, 'model.variant': model})
    for model in models
  ]
  for members in populations.split(runs):
    state = _any_state(members)
    digest = hashlib.sha256(b'').hexdigest()
    checkpoint.save(
      tmp_path / members.name,
      members.identity,
      states.named_leaves(state),
      checkpoint.Progress(0, 0.0, 0, digest, 'here'),
      1,
    )
    saved = states.load(tmp_path / members.name, members)
    assert saved is not None
    assert jax.tree.structure(saved[0]) == jax.tree.structure(state)
    for one, other in zip(
      jax.tree.leaves(saved[0]), jax.tree.leaves(state), strict=True
    ):
      np.testing.assert_array_equal(one, other)


def test_without_a_checkpoint_no_state_is_traced(tmp_path, monkeypatch):
  (members,) = populations.split([_run({})])
  monkeypatch.setattr(states, 'describe', lambda population: 1 / 0)
  assert states.load(tmp_path / 'none', members) is None
  (tmp_path / 'notes.txt').touch()
  assert states.load(tmp_path, members) is None


def test_what_nothing_read_is_kept_when_a_study_goes_on(tmp_path, capsys):
  """Before, sgd took b2, which is part of the names of its directories."""
  config = conftest.tiny_config({'optimizer.name': 'sgd'})
  plain = settings.from_config(config)
  flat = dict(fields.flatten(plain.config))
  old = settings.from_record(fields.nest({**flat, 'optimizer.b2': 0.99}))
  local.train(str(tmp_path), 'old', config, [old])
  mode = directory.Mode.RESUME
  local.train(str(tmp_path), 'old', config, [plain], mode)
  assert 'already finished' in capsys.readouterr().out
  other = settings.from_config(
    conftest.tiny_config(
      {'optimizer.name': 'sgd', 'optimizer.learning_rate': 0.5}
    )
  )
  with pytest.raises(directory.ResumeError, match='learning_rate'):
    local.train(str(tmp_path), 'old', config, [other], mode)


def test_a_grid_of_before_is_taken_where_it_is_gone_on_with(tmp_path, capsys):
  """Its runs differ in what one of them does not read, which is refused now."""
  grid = [
    {'config.model.variant': variant, 'config.model.forget_bias': bias}
    for variant in ('vanilla', 'nfg')
    for bias in (1.0, 2.0)
  ]
  config = conftest.tiny_config({'training.updates': 2})
  with pytest.raises(rules.InputError, match='nfg does not read it'):
    local.expand(config, lambda hyper: grid)
  plain = dict(fields.flatten(config.to_dict()))
  before = [
    settings.from_record(
      fields.nest({**plain, **{k[7:]: v for k, v in setting.items()}})
    )
    for setting in grid
  ]
  local.train(str(tmp_path), 'old', config, before)
  mode = directory.Mode.RESUME
  records = local.recorded(str(tmp_path), mode)
  runs = local.expand(config, lambda hyper: grid, records)
  local.train(str(tmp_path), 'old', config, runs, mode)
  assert 'already finished' in capsys.readouterr().out
  other = [{**setting, 'config.seed': 5} for setting in grid]
  with pytest.raises(rules.InputError, match='nfg does not read it'):
    local.expand(config, lambda hyper: other, records)


@pytest.mark.parametrize(
  'row, words',
  [
    (
      ('optimizer.updates', 5, rules.Integer(1, 9), fields.PROGRAM),
      'last word',
    ),
    (
      ('optimizer.mu', None, rules.Open(rules.Real(1.0)), fields.RUN),
      'a traced one is a number',
    ),
    (('optimizer.kind', 'a', rules.Text(), fields.RUN), 'a traced one'),
  ],
)
def test_a_row_that_a_program_cannot_read_is_refused(row, words):
  name, default, rule, role = row
  own = fields.Field(name, default, rule, role, 'Its own.', by='optimizer.name')
  entry = optimizers.Optimizer(lambda options: optax.sgd(0.1), fields=(own,))
  with pytest.raises(ValueError, match=words):
    optimizers.register_optimizer('of_ones_own', entry)


def test_the_table_follows_each_of_many_registrations(extension):
  del extension
  for number in range(8):
    own = fields.Field(
      f'optimizer.of_{number}',
      1.0,
      rules.Real(1.0),
      fields.RUN,
      'Its own.',
      by='optimizer.name',
    )
    entry = optimizers.Optimizer(lambda options: optax.sgd(0.1), fields=(own,))
    optimizers.register_optimizer(f'number_{number}', entry)
    assert own.name in schema.table()


@pytest.fixture
def extension(monkeypatch):
  """An optimizer from outside, with two fields of its own."""
  own = (
    fields.Field(
      'optimizer.boost',
      1.0,
      rules.Real(1.0, above=0),
      fields.RUN,
      'Factor of each change.',
      by='optimizer.name',
    ),
    fields.Field(
      'optimizer.mu',
      None,
      rules.Open(rules.Real(1.0, least=0)),
      fields.PROGRAM,
      'Left open, it is none.',
      by='optimizer.name',
    ),
  )
  monkeypatch.setattr(
    optimizers.OPTIMIZERS, '_entries', dict(optimizers.OPTIMIZERS)
  )
  monkeypatch.setattr(
    optimizers.OPTIMIZERS, '_modules', dict(optimizers.OPTIMIZERS._modules)
  )
  optimizers.register_optimizer(
    'boosted',
    optimizers.Optimizer(
      lambda options: optax.sgd(options['learning_rate'] * options['boost']),
      fields=own,
    ),
  )
  yield own
  schema._table.cache_clear()
  schema._extension_fields.cache_clear()


def test_a_study_has_nothing_of_a_component_that_it_does_not_use(extension):
  with_it = _run({})
  names = {name for name, _ in fields.flatten(with_it.config)}
  assert not names & {row.name for row in extension}
  assert 'optimizer.boost' not in with_it.hyperparams.values
  now = record.new(schema.unrecorded())
  used = _run({'optimizer.name': 'boosted', 'optimizer.boost': 2.0})
  assert used.hyperparams.boost == 2.0
  assert now.identity(used.config)['optimizer.boost'] == 2.0


def test_a_field_left_open_comes_back_open(extension, tmp_path):
  run = _run({'optimizer.name': 'boosted', 'training.updates': 0})
  config = conftest.tiny_config(
    {'optimizer.name': 'boosted', 'training.updates': 0}
  )
  local.train(str(tmp_path), 'open', config, [run])
  (back,) = trained.read(str(tmp_path)).runs
  assert back.config['optimizer']['mu'] is None
  assert back.config == run.config
