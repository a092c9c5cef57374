"""The temporal order problem against its papers, decoded in plain Python."""

import functools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import measures

SAMPLES = 10_000
# Compiling is what takes time here, not running.
QUICK = {'xla_backend_optimization_level': 0}
MEASURE = jax.jit(measures.classification, compiler_options=QUICK)
ERRORS = jax.jit(measures.class_errors, compiler_options=QUICK)
RULES = {
  'hs97_6a': {'XX': 'Q', 'XY': 'R', 'YX': 'S', 'YY': 'U'},
  'hs97_6b': {
    'XXX': 'Q',
    'XXY': 'R',
    'XYX': 'S',
    'XYY': 'U',
    'YXX': 'V',
    'YXY': 'A',
    'YYX': 'B',
    'YYY': 'C',
  },
  'pascanu13': {pair: pair for pair in ('AA', 'AB', 'BA', 'BB')},
}
# First and last step of each X or Y (A or B), counted from 1 as in 1997; of
# the program of 2013, whose steps count from 0 and whose ranges are half-open,
# converted by hand.
STEPS = {
  ('hs97_6a', 100): ((10, 20), (50, 60)),
  ('hs97_6a', 20): ((2, 4), (10, 12)),
  ('hs97_6b', 100): ((10, 20), (33, 43), (66, 76)),
  ('hs97_6b', 57): ((5, 11), (18, 24), (37, 43)),
  ('pascanu13', 10): ((2, 2), (6, 6)),
  ('pascanu13', 100): ((11, 20), (51, 60)),
  ('pascanu13', 57): ((6, 10), (29, 33)),
}
CASES = list(STEPS)
RARE = {'hs97_6a': 'XY', 'hs97_6b': 'XY', 'pascanu13': 'AB'}
NOISE = {'hs97_6a': 'abcd', 'hs97_6b': 'abcd', 'pascanu13': 'cdef'}


def compiled(task):
  return jax.jit(task.sample, static_argnums=1, compiler_options=QUICK)


@functools.cache
def draw(dialect: str, length: int):
  task = lv.make_task('temporal_order', dialect, length)
  batch = compiled(task)(jax.random.key(0), SAMPLES)
  return task, jax.tree.map(np.asarray, batch)


def read(task, inputs: np.ndarray) -> np.ndarray:
  """Return the symbol of each step, '-' for the zero vector."""
  assert np.all((inputs == 0) | (inputs == 1))
  total = inputs.sum(axis=-1)
  assert np.all((total == 0) | (total == 1))
  names = np.array([*task.inputs.names, '-'])
  return names[np.where(total > 0, inputs.argmax(axis=-1), -1)]


def ends(batch) -> np.ndarray:
  """Return each sequence's last step, from the one step that is graded."""
  assert np.all((batch.mask == 0) | (batch.mask == 1))
  np.testing.assert_array_equal(batch.mask.sum(axis=1), 1.0)
  return batch.mask.argmax(axis=1)


def solve(task, symbols: np.ndarray) -> np.ndarray:
  """Return the index of the class of each sequence, from its symbols alone."""
  rule, rare = RULES[task.dialect], RARE[task.dialect]
  orders = (''.join(n for n in row if n in rare) for row in symbols)
  return np.array([task.outputs.names.index(rule[order]) for order in orders])


def answer(classes: np.ndarray, batch, count: int) -> np.ndarray:
  """Return logits that are sure at the graded step and noise elsewhere."""
  shape = (*batch.mask.shape, count)
  outputs = np.random.default_rng(0).normal(size=shape)
  outputs[np.arange(len(classes)), ends(batch)] = 60 * np.eye(count)[classes]
  return outputs.astype(np.float32)


def value(mean) -> float:
  return float(mean.total / mean.weight)


@pytest.mark.parametrize(('dialect', 'length'), CASES)
def test_who_knows_the_rule_makes_no_error(dialect, length):
  task, batch = draw(dialect, length)
  batch = jax.tree.map(lambda leaf: leaf[:1000], batch)
  classes = solve(task, read(task, batch.inputs))
  outputs = answer(classes, batch, len(task.outputs.names))
  assert (task.measure, task.sequence_errors) == (
    measures.classification,
    measures.class_errors,
  )
  means = MEASURE(outputs, batch)
  assert value(means['loss']) < 1e-6 and means['loss'].weight == 1000
  assert means['wrong'].total == means['failed'].total == 0
  np.testing.assert_allclose(ERRORS(outputs, batch), 0, atol=1e-6)
  wrong = answer((classes + 1) % 4, batch, len(task.outputs.names))
  assert value(MEASURE(wrong, batch)['wrong']) == 1
  np.testing.assert_allclose(ERRORS(wrong, batch), 1, atol=1e-6)


@pytest.mark.parametrize(('dialect', 'length'), CASES)
def test_the_rare_symbols_come_uniformly_in_their_ranges(dialect, length):
  task, batch = draw(dialect, length)
  symbols = read(task, batch.inputs)
  rare = np.isin(symbols, list(RARE[dialect]))
  steps = STEPS[dialect, length]
  np.testing.assert_array_equal(rare.sum(axis=1), len(steps))
  places = np.nonzero(rare)[1].reshape(SAMPLES, len(steps)) + 1
  for (low, high), found in zip(steps, places.T, strict=True):
    counts = np.bincount(found, minlength=high + 1)
    assert not counts[:low].any() and len(counts) == high + 1
    expected = SAMPLES / (high - low + 1)
    assert np.all(np.abs(counts[low:] - expected) < 5 * expected**0.5)
  if length > 10:  # of ten steps, each place is fixed
    correlation = np.corrcoef(places.T) - np.eye(len(steps))
    assert np.abs(correlation).max() < 5 / SAMPLES**0.5


@pytest.mark.parametrize(('dialect', 'length'), CASES)
def test_classes_and_distractors_are_equally_likely(dialect, length):
  task, batch = draw(dialect, length)
  symbols = read(task, batch.inputs)
  # XXY and the like, each as often; and so each class.
  count = len(RULES[dialect])
  classes = np.bincount(solve(task, symbols), minlength=count)
  expected = SAMPLES / count
  assert np.all(np.abs(classes - expected) < 5 * expected**0.5)
  noise = np.isin(symbols, list(NOISE[dialect]))
  shares = [np.mean(symbols[noise] == n) for n in NOISE[dialect]]
  np.testing.assert_allclose(shares, 1 / 4, atol=5 / noise.sum() ** 0.5)
  # Independent from one step to the next.
  both = noise[:, 1:] & noise[:, :-1]
  same = np.mean((symbols[:, 1:] == symbols[:, :-1])[both])
  assert abs(same - 1 / 4) < 5 / both.sum() ** 0.5


@pytest.mark.parametrize(
  ('dialect', 'length'), [case for case in CASES if case[0] != 'pascanu13']
)
def test_hs97_starts_with_e_and_ends_with_b_after_t_to_11_tenths_of_t(
  dialect, length
):
  task, batch = draw(dialect, length)
  symbols = read(task, batch.inputs)
  longest = length + length // 10
  assert task.num_steps == longest == symbols.shape[1]
  last = ends(batch)
  counts = np.bincount(last + 1, minlength=longest + 1)
  assert not counts[:length].any()
  expected = SAMPLES / (length // 10 + 1)
  assert np.all(np.abs(counts[length:] - expected) < 5 * expected**0.5)
  assert np.all(symbols[:, 0] == 'E') and np.sum(symbols == 'E') == SAMPLES
  assert np.all(symbols[np.arange(SAMPLES), last] == 'B')
  assert np.sum(symbols == 'B') == SAMPLES
  outside = np.arange(longest) > last[:, None]
  assert np.all((symbols == '-') == outside)
  assert set(np.unique(symbols)) == set('EBabcdXY-')


def test_the_lags_at_t_100_are_those_of_table_10():
  for dialect, lag in (('hs97_6a', 40), ('hs97_6b', 24)):
    task, batch = draw(dialect, 100)
    symbols = read(task, batch.inputs)
    rare = np.isin(symbols, ['X', 'Y'])
    latest = rare.shape[1] - 1 - rare[:, ::-1].argmax(axis=1)
    assert np.min(ends(batch) - latest) == lag


@pytest.mark.parametrize('length', [10, 57, 100])
def test_pascanu13_has_t_steps_and_neither_start_nor_trigger(length):
  task, batch = draw('pascanu13', length)
  symbols = read(task, batch.inputs)
  assert symbols.shape == (SAMPLES, length) == (SAMPLES, task.num_steps)
  assert set(np.unique(symbols)) == set('ABcdef')
  np.testing.assert_array_equal(ends(batch), length - 1)


@pytest.mark.parametrize('dialect', RULES)
def test_outputs_are_named_by_their_classes_in_the_order_of_the_rule(dialect):
  task, batch = draw(dialect, 100)
  assert task.outputs.names == tuple(RULES[dialect].values())
  assert task.outputs.one_hot and task.inputs.one_hot
  targets = batch.targets[np.arange(SAMPLES), ends(batch)]
  np.testing.assert_array_equal(targets, solve(task, read(task, batch.inputs)))
  assert not batch.targets[batch.mask == 0].any()


@pytest.mark.parametrize('dialect', RULES)
def test_chance_level_is_that_of_a_guess(dialect):
  task, batch = draw(dialect, 100)
  count = len(RULES[dialect])
  assert task.baselines == {
    'loss': pytest.approx(math.log(count)),
    'wrong': 1 - 1 / count,
    'failed': 1 - 1 / count,
  }
  outputs = np.zeros((*batch.mask.shape, count), np.float32)
  means = MEASURE(outputs, batch)
  assert value(means['loss']) == pytest.approx(task.baselines['loss'], rel=1e-5)
  noise = 5 * (0.25 / SAMPLES) ** 0.5
  assert abs(value(means['wrong']) - task.baselines['wrong']) < noise
  assert abs(value(means['failed']) - task.baselines['failed']) < noise


@pytest.mark.parametrize(
  ('dialect', 'shortest'), [('hs97_6a', 20), ('hs97_6b', 20), ('pascanu13', 10)]
)
def test_with_drawn_lengths_each_batch_is_one_of_its_own_t(dialect, shortest):
  task = lv.make_task('temporal_order', dialect, 40, shortest=shortest)
  sample = compiled(task)
  seen = set()
  for n in range(150):
    batch = jax.tree.map(np.asarray, sample(jax.random.key(n), 16))
    last = ends(batch)
    symbols = read(task, batch.inputs)
    outside = np.arange(task.num_steps) > last[:, None]
    assert np.all((symbols == '-') == outside)
    targets = batch.targets[np.arange(16), last]
    np.testing.assert_array_equal(targets, solve(task, symbols))
    if dialect == 'pascanu13':
      assert len(set(last)) == 1
    else:
      assert np.all(symbols[np.arange(16), last] == 'B')
      assert last.max() + 1 <= 1.1 * (last.min() + 1)
    seen |= set(last + 1)
  longest = 40 if dialect == 'pascanu13' else 44
  assert seen == set(range(shortest, longest + 1))


@pytest.mark.parametrize(
  ('dialect', 'sequences', 'trials'),
  [('hs97_6a', 31_390, 20), ('hs97_6b', 571_100, 10)],
)
def test_hs97_is_judged_by_the_last_2000_sequences_within_03(
  dialect, sequences, trials
):
  task, batch = draw(dialect, 100)
  rule = task.success
  assert (rule.window, rule.tolerance) == (2000, 0.3)  # pyrefly: ignore[missing-attribute]
  assert (rule.mean, rule.allowed) == (0.1, 0)  # pyrefly: ignore[missing-attribute]
  (result,) = task.published
  assert (result.length, result.value) == (100, sequences)
  assert f'table 9, mean of {trials} trials' in result.source
  # A sequence is right from a probability of 0.7 on.
  count = len(RULES[dialect])
  targets = batch.targets[np.arange(SAMPLES), ends(batch)]
  chances = np.random.default_rng(0).uniform(0.5, 0.9, SAMPLES)
  outputs = np.zeros((*batch.mask.shape, count))
  rest = np.log((1 - chances) / (count - 1))
  outputs[np.arange(SAMPLES), ends(batch)] = rest[:, None]
  outputs[np.arange(SAMPLES), ends(batch), targets] = np.log(chances)
  errors = ERRORS(outputs.astype(np.float32), batch)
  np.testing.assert_allclose(errors, 1 - chances, atol=1e-5)


def test_pascanu13_is_solved_with_fewer_than_1_percent_wrong():
  task = lv.make_task('temporal_order', 'pascanu13', 200)
  assert task.success.limits == (('wrong', 0.01),)  # pyrefly: ignore[missing-attribute]
  (result,) = task.published
  assert (result.length, result.value) == (200, 1.0)


@pytest.mark.parametrize(
  ('dialect', 'length'), [('hs97_6a', 19), ('hs97_6b', 19), ('pascanu13', 9)]
)
def test_too_short_a_length_is_refused(dialect, length):
  message = f'length {length}.*{dialect} needs at least {length + 1}'
  with pytest.raises(ValueError, match=message):
    lv.make_task('temporal_order', dialect, length)
