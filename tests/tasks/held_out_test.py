"""Held-out sets that have every T of a range, or every string of a list."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants import models, tasks
from lstm_variants.config import schema, settings
from lstm_variants.runs import record
from lstm_variants.tasks import base, held_out, reber_grammar
from lstm_variants.training import step
from tests.tasks import registry_test

FAST = {'xla_backend_optimization_level': 0}


def _set_of(task: base.Task, batch_size: int, wanted: int) -> list[base.Batch]:
  """Return the batches of a held-out set."""
  count = held_out.count_batches(task, batch_size, wanted)

  @functools.partial(jax.jit, compiler_options=FAST)
  def draw(index):
    key = jax.random.fold_in(jax.random.key(0), index)
    return held_out.sample(task, key, batch_size, index, count)

  return [jax.tree.map(np.asarray, draw(index)) for index in range(count)]


def _spell(batch: base.Batch) -> list[str]:
  """Return the strings that a batch spells."""
  inputs = np.asarray(batch.inputs)
  return [
    ''.join(reber_grammar.NAMES[n] for n in row.argmax(-1)[row.any(-1)])
    for row in inputs
  ]


def _lengths(task: base.Task, batches: list[base.Batch]) -> np.ndarray:
  """Return the T of each sequence of words with a token behind them."""
  return np.concatenate([batch.inputs.sum((1, 2)) for batch in batches]) - 1


@pytest.mark.parametrize('batch_size', [1, 48, 512])
def test_the_reber_grammar_is_judged_on_all_of_its_strings(batch_size):
  task = tasks.make_task('embedded_reber', held_out=True, spread=True)
  batches = _set_of(task, batch_size, wanted=4)
  assert len(batches) == -(-512 // batch_size)
  spelled = [text for batch in batches for text in _spell(batch)]
  every = reber_grammar.draw_strings()
  assert set(spelled) == set(every) and len(set(every)) == 259
  # Each as often as among the 512, and over again to fill the last batch.
  more = collections.Counter(spelled)
  more.subtract(every)
  assert min(more.values()) >= 0 and more.total() == len(spelled) - 512
  drawn = tasks.make_task('embedded_reber', held_out=True)
  some = [_spell(batch) for batch in _set_of(drawn, 64, wanted=4)]
  assert len({text for texts in some for text in texts}) < 200


def test_shorter_strings_of_the_grammar_are_all_there_too():
  task = tasks.make_task('embedded_reber', None, 12, held_out=True, spread=True)
  (batch,) = _set_of(task, 512, wanted=1)
  short = {text for text in reber_grammar.draw_strings() if len(text) <= 12}
  assert set(_spell(batch)) == short


@pytest.mark.parametrize('batches', [1, 12])
def test_every_length_of_a_range_is_judged_equally_often(batches):
  task = tasks.make_task(
    'parity', 'deletang23', 400, shortest=41, held_out=True, spread=True
  )
  lengths = _lengths(task, _set_of(task, 32, batches))
  counts = np.bincount(lengths.astype(int), minlength=401)
  if batches == 12:  # 384 sequences of 360 lengths
    assert not counts[:41].any()
    assert counts[41:].min() == 1 and counts[41:].max() == 2
  else:  # a few of so many: evenly over all of them
    gaps = np.diff(np.sort(lengths), prepend=41, append=400)
    assert gaps.max() <= 12 and len(set(lengths)) == 32
  drawn = tasks.make_task(
    'parity', 'deletang23', 400, shortest=41, held_out=True
  )
  few = _lengths(drawn, _set_of(drawn, 32, 12))
  assert len(set(few)) <= 12


# Of each way in which samplers make use of T, one.
RANGED = (
  *('adding_urnn16', 'copy_urnn16', 'parity_deletang23', 'parity_xlstm24'),
  *('anbn_gers01', 'associative_recall_zoology23', 'timed_spikes_gers02'),
)


@pytest.mark.parametrize('key', RANGED)
def test_a_sequence_of_its_own_length_is_one_that_its_task_draws(key):
  """Each is a batch of one at its T, whatever the others have."""
  name, dialect = tasks.TASKS.choice(key)
  found = tasks.find_dialect(name, dialect)
  shortest = max(found.shortest, registry_test.build(key).length)
  longest = shortest + 4
  task = tasks.make_task(
    name, dialect, longest, shortest=shortest, held_out=True, spread=True
  )
  assert task.spread == (shortest, longest)
  size = longest - shortest + 1
  sample = functools.partial(held_out.sample, task)
  batch = jax.jit(sample, static_argnums=1, compiler_options=FAST)(
    jax.random.key(0), size, jnp.asarray(0), 1
  )
  keys = jax.random.split(jax.random.key(0), size)
  one = jax.jit(
    lambda key, length: task.sample(key, 1, length=length),
    compiler_options=FAST,
  )
  for number, length in enumerate(range(shortest, longest + 1)):
    for leaf, alone in zip(batch, one(keys[number], length), strict=True):
      np.testing.assert_array_equal(leaf[number], alone[0])
  outputs = np.random.default_rng(0).normal(
    size=(size, task.num_steps, task.out_features)
  )
  measured = task.measure(jnp.asarray(outputs, jnp.float32), batch)
  assert all(np.isfinite(mean.total) for mean in measured.values())


def test_an_evaluation_is_of_all_strings_whatever_its_batches(make_config):
  changes = {
    'task.name': 'embedded_reber',
    'task.length': 100,
    'training.batch_size': 128,
    'training.evaluation_batches': 1,
  }
  run = settings.from_config(make_config(changes))
  state = step.init_state(run.settings, run.hyperparams)
  _, metrics = step.evaluate(run.settings, run.hyperparams, state)
  task = tasks.make_task('embedded_reber', held_out=True)
  assert task.cases is not None
  every = task.cases.pick(jnp.arange(512))
  _, outputs = models.apply_model(
    state.params,
    run.settings.architecture,
    run.hyperparams.toggles,
    every.inputs,
  )
  for name, mean in task.measure(outputs, every).items():
    expected = float(mean.total / mean.weight)
    assert float(metrics[name]) == pytest.approx(expected, rel=1e-5), name


def test_what_is_spread_is_another_run_and_what_cannot_be_is_not(make_config):
  identity = record.new(schema.unrecorded()).identity

  def of(**changes):
    dotted = {f'task.{name}': value for name, value in changes.items()}
    dotted['task.length'] = 40
    return settings.from_config(make_config(dotted))

  new, old = of(name='parity'), of(name='parity', evaluation_set='drawn')
  assert new.config['task']['evaluation_set'] == 'spread'
  assert identity(new.config)['task.evaluation_set'] == 'spread'
  assert 'task.evaluation_set' not in identity(old.config)
  plain = of(name='adding')
  assert plain.config['task']['evaluation_set'] == 'drawn'
  assert 'task.evaluation_set' not in identity(plain.config)
  assert 'task.success_limit' not in identity(new.config)
  # A record of before had batches that were drawn.
  before = {
    **new.config,
    'task': {
      name: value
      for name, value in new.config['task'].items()
      if name not in ('evaluation_set', 'success_limit')
    },
  }
  again = settings.from_record(before)
  assert again.settings == old.settings and again.config == old.config
  assert identity(again.config) == identity(old.config)


def test_a_loss_without_mistakes_is_refused_but_read_where_it_was_trained(
  make_config,
):
  wanted = make_config({'task.success_limit': 0.0})
  words = r'success_limit=0.0: adding .urnn16. is judged by its loss.*: 0.0\d+'
  with pytest.raises(ValueError, match=words):
    settings.from_config(wanted)
  read = settings.from_record(wanted.to_dict())
  rule = read.settings.held_out_task.success
  assert isinstance(rule, base.HeldOut) and rule.below == 1e-9


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    (
      {'task.evaluation_set': 'spread'},
      "task.evaluation_set='spread'.*adding .*single T.*nearest: drawn",
    ),
    (
      {
        'task.dialect': 'hs97',
        'task.length': 40,
        'task.success_limit': 0.0,
      },
      'task.success_limit=0.0.*adding .hs97. is not judged on a held-out set',
    ),
  ],
)
def test_a_choice_that_changes_nothing_is_refused(make_config, changes, words):
  with pytest.raises(ValueError, match=words):
    settings.from_config(make_config(changes))


@pytest.mark.parametrize('limit', [0.0, 0.02, None])
def test_the_limit_of_success_is_the_one_that_is_chosen(make_config, limit):
  run = settings.from_config(
    make_config({'task.name': 'parity', 'task.success_limit': limit})
  )
  rule = run.settings.held_out_task.success
  assert isinstance(rule, base.HeldOut) and rule == run.settings.task.success
  assert rule.metric == 'wrong'
  if limit == 0:  # of any number of sequences not one may be wrong
    assert 0 < rule.below < 1e-6
  else:
    assert rule.below == (limit or 0.1)
