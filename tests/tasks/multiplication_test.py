"""The multiplication problem against its paper, decoded anew in NumPy."""

import functools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import marked_pairs

SAMPLES = 100_000
# Compiling is what takes time here, not running.
QUICK = {'xla_backend_optimization_level': 0}
MEASURE = jax.jit(marked_pairs.measure, compiler_options=QUICK)
ERRORS = jax.jit(marked_pairs.sequence_errors, compiler_options=QUICK)
LENGTHS = (11, 22, 40)


def compiled(task):
  return jax.jit(task.sample, static_argnums=1, compiler_options=QUICK)


@functools.cache
def draw(length: int):
  task = lv.make_task('multiplication', 'hs97', length)
  batch = compiled(task)(jax.random.key(0), SAMPLES)
  return task, jax.tree.map(np.asarray, batch)


def draw_few(length: int):
  task, batch = draw(length)
  return task, jax.tree.map(lambda leaf: leaf[:2000], batch)


def ends(batch) -> np.ndarray:
  """Return each sequence's last step, from the one step that is graded."""
  assert np.all((batch.mask == 0) | (batch.mask == 1))
  np.testing.assert_array_equal(batch.mask.sum(axis=1), 1.0)
  return batch.mask.argmax(axis=1)


def answers(batch) -> np.ndarray:
  return batch.targets[np.arange(len(batch.targets)), ends(batch), 0]


def solve(inputs: np.ndarray) -> np.ndarray:
  """Return X1 · X2; where one mark can be seen, the first pair has the other.

  Reads inputs alone.
  """
  products = []
  for sequence in inputs:
    marked = [float(value) for value, marker in sequence if marker == 1]
    assert len(marked) in (1, 2)
    if len(marked) == 1:
      assert sequence[0, 0] == 1.0 and sequence[0, 1] == -1.0
    products.append(math.prod(marked))
  return np.array(products)


def place(values: np.ndarray, batch) -> np.ndarray:
  """Return outputs with the answer at the graded step and noise elsewhere."""
  outputs = np.random.default_rng(0).normal(size=batch.targets.shape)
  outputs[np.arange(len(values)), ends(batch), 0] = values
  return outputs.astype(np.float32)


@pytest.mark.parametrize('length', LENGTHS)
def test_who_knows_the_rule_makes_no_error(length):
  task, batch = draw_few(length)
  outputs = place(solve(batch.inputs), batch)
  assert (task.measure, task.sequence_errors) == (
    marked_pairs.measure,
    marked_pairs.sequence_errors,
  )
  means = MEASURE(outputs, batch)
  assert means['loss'].total / means['loss'].weight < 1e-12
  assert means['wrong'].total == 0 and means['wrong'].weight == 2000
  np.testing.assert_allclose(ERRORS(outputs, batch), 0, atol=1e-6)


def test_a_sequence_is_wrong_from_an_absolute_error_of_004():
  task, batch = draw_few(40)
  errors = np.random.default_rng(1).uniform(-0.08, 0.08, 2000)
  outputs = place(answers(batch) + errors, batch)
  judged = np.asarray(ERRORS(outputs, batch))
  np.testing.assert_allclose(judged, np.abs(errors), atol=1e-6)
  wrong = MEASURE(outputs, batch)['wrong']
  assert wrong.total == np.sum(np.abs(errors) >= 0.04)
  assert task.success.tolerance == 0.04  # pyrefly: ignore[missing-attribute]


@pytest.mark.parametrize('length', LENGTHS)
def test_values_are_from_0_to_1_and_lengths_from_t_to_11_tenths_of_t(length):
  task, batch = draw(length)
  values, markers = batch.inputs[..., 0], batch.inputs[..., 1]
  longest = length + length // 10
  assert task.num_steps == longest == values.shape[1]
  last = ends(batch)
  counts = np.bincount(last + 1, minlength=longest + 1)
  assert not counts[:length].any()
  share = SAMPLES / (length // 10 + 1)
  np.testing.assert_allclose(counts[length:], share, rtol=0.03)
  np.testing.assert_array_equal(markers[:, 0], -1.0)
  np.testing.assert_array_equal(markers[np.arange(SAMPLES), last], -1.0)
  time = np.arange(longest)
  assert not batch.inputs[time > last[:, None]].any()
  inner = (time > 0) & (time < last[:, None])
  assert set(np.unique(markers[inner])) == {0.0, 1.0}
  assert 0 <= values.min() and values[inner].max() < 1
  assert np.mean(values[inner]) == pytest.approx(1 / 2, rel=0.01)
  assert np.var(values[inner]) == pytest.approx(1 / 12, rel=0.01)


@pytest.mark.parametrize('length', LENGTHS)
def test_marks_are_uniform_and_a_marked_first_pair_has_the_value_1(length):
  _, batch = draw(length)
  values, markers = batch.inputs[..., 0], batch.inputs[..., 1]
  # One of the first ten pairs, then one of the first T/2 - 1 still unmarked.
  window = length // 2 - 1
  expected = np.zeros((length, length))
  for first in range(10):
    for second in [n for n in range(length) if n != first][:window]:
      low, high = sorted((first, second))
      expected[low, high] += 1 / (10 * window)
  marks = markers == 1
  hidden = marks.sum(axis=1) == 1
  np.testing.assert_array_equal(values[:, 0] == 1, hidden)
  low = np.where(hidden, 0, marks.argmax(axis=1))
  high = marks.shape[1] - 1 - marks[:, ::-1].argmax(axis=1)
  seen = np.zeros((length, length))
  np.add.at(seen, (low, high), 1 / SAMPLES)
  assert not seen[expected == 0].any()
  noise = (expected / SAMPLES) ** 0.5
  assert np.all(np.abs(seen - expected) <= 5 * noise)


@pytest.mark.parametrize('length', LENGTHS)
def test_chance_level_is_that_of_the_best_constant(length):
  task, batch = draw(length)
  targets = answers(batch)
  squares = (targets - targets.mean()) ** 2
  noise = 5 * squares.std() / SAMPLES**0.5
  assert abs(squares.mean() - task.baselines['loss']) < noise
  constants = np.linspace(0, 1, 101)
  wrong = [
    np.mean(np.abs(targets - constant) >= 0.04) for constant in constants
  ]
  assert min(wrong) == pytest.approx(task.baselines['wrong'], abs=0.006)


def test_chance_level_nears_7_144ths_of_two_factors():
  """With the first of ten pairs marked one time in ten, the rest is exact."""
  variance = 0.9 / 9 + 0.1 / 3 - (0.9 / 4 + 0.1 / 2) ** 2
  task = lv.make_task('multiplication', 'hs97', 10_000_000)
  assert task.baselines['loss'] == pytest.approx(variance, rel=1e-5)
  assert 1 / 9 - 1 / 4**2 == pytest.approx(7 / 144)
  task = lv.make_task('multiplication', 'hs97', 100)
  assert task.baselines['loss'] == pytest.approx(0.0592, abs=5e-5)


def test_with_drawn_lengths_each_batch_is_one_of_its_own_t():
  task = lv.make_task('multiplication', 'hs97', 24, shortest=11)
  sample = compiled(task)
  seen, targets = set(), []
  for n in range(150):
    batch = jax.tree.map(np.asarray, sample(jax.random.key(n), 20))
    last = ends(batch)
    assert not batch.inputs[np.arange(26) > last[:, None]].any()
    np.testing.assert_allclose(solve(batch.inputs), answers(batch), atol=1e-6)
    assert last.max() + 1 <= 1.1 * (last.min() + 1) + 0.1
    seen |= set(last + 1)
    targets += list(answers(batch))
  assert seen == set(range(11, 27))
  squares = (np.array(targets) - np.mean(targets)) ** 2
  noise = 5 * squares.std() / len(targets) ** 0.5
  assert abs(squares.mean() - task.baselines['loss']) < noise


@pytest.mark.parametrize(
  ('dialect', 'limit', 'sequences'),
  [('hs97', 13, 1_273_000), ('hs97_coarse', 140, 482_000)],
)
def test_fewer_than_n_seq_of_the_last_2000_may_be_wrong(
  dialect, limit, sequences
):
  task = lv.make_task('multiplication', dialect, 100)
  rule = task.success
  assert (rule.window, rule.tolerance, rule.allowed) == (2000, 0.04, limit - 1)  # pyrefly: ignore[missing-attribute]
  assert rule.mean == math.inf  # pyrefly: ignore[missing-attribute]
  (result,) = task.published
  assert (result.length, result.value) == (100, sequences)
  assert 'table 8' in result.source


def test_the_two_dialects_have_the_same_sequences():
  _, expected = draw_few(22)
  task = lv.make_task('multiplication', 'hs97_coarse', 22)
  batch = compiled(task)(jax.random.key(0), SAMPLES)
  for ours, theirs in zip(batch, expected, strict=True):
    np.testing.assert_array_equal(ours[:2000], theirs)
  assert task.baselines == lv.make_task('multiplication', 'hs97', 22).baselines


def test_too_short_a_length_is_refused():
  with pytest.raises(ValueError, match='length 10.*hs97 needs at least 11'):
    lv.make_task('multiplication', 'hs97', 10)
