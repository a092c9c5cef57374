"""The copy task against its papers, decoded anew in NumPy."""

import functools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import copy

CASES = [
  ('urnn16', 1),
  ('urnn16', 25),
  ('variable', 1),
  ('variable', 25),
]
COUNT = 5000
MEASURE = jax.jit(copy.measure)
ERRORS = jax.jit(copy.sequence_errors)
SAMPLES = 100_000


@functools.cache
def draw(dialect: str, length: int, count: int = COUNT):
  task = lv.make_task('copy', dialect, length)
  batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), count)
  return task, jax.tree.map(np.asarray, batch)


def read_tokens(inputs: np.ndarray) -> np.ndarray:
  """Return the class of each step, -1 for the zero vector."""
  assert np.all((inputs == 0) | (inputs == 1))
  total = inputs.sum(axis=-1)
  assert np.all((total == 0) | (total == 1))
  return np.where(total > 0, inputs.argmax(axis=-1), -1)


def solve(tokens: np.ndarray) -> np.ndarray:
  """Return the answer of one sequence: after the 9, the first ten symbols."""
  answer = [0] * len(tokens)
  start = list(tokens).index(9) + 1
  answer[start : start + 10] = [int(token) for token in tokens[:10]]
  return np.array(answer)


def certain(classes: np.ndarray, strength: float = 60.0) -> np.ndarray:
  """Return logits of a predictor that is sure of `classes`."""
  return (strength * np.eye(9)[classes]).astype(np.float32)


def value(mean) -> float:
  return float(mean.total / mean.weight)


@pytest.mark.parametrize('length', [1, 25])
def test_urnn16_is_ten_symbols_a_wait_one_marker_and_ten_blanks(length):
  task, batch = draw('urnn16', length)
  assert task.num_steps == length + 20
  assert batch.inputs.shape == (COUNT, length + 20, 10)
  assert batch.targets.shape == batch.mask.shape == (COUNT, length + 20)
  tokens = read_tokens(batch.inputs)
  assert set(np.unique(tokens[:, :10])) == set(range(1, 9))
  assert not tokens[:, 10 : length + 9].any()
  np.testing.assert_array_equal(tokens[:, length + 9], 9)
  assert np.sum(tokens == 9) == COUNT
  assert not tokens[:, length + 10 :].any()
  assert tokens[:, length + 10 :].shape[1] == 10
  np.testing.assert_array_equal(batch.mask, 1.0)


@pytest.mark.parametrize('length', [1, 25])
def test_variable_waits_from_1_to_t_blanks_and_pads_with_zero_vectors(length):
  task, batch = draw('variable', length)
  assert task.num_steps == length + 21 == batch.inputs.shape[1]
  tokens = read_tokens(batch.inputs)
  waits = []
  for row, mask in zip(tokens, batch.mask, strict=True):
    assert np.all((row[:10] >= 1) & (row[:10] <= 8))
    (marker,) = np.flatnonzero(row == 9)
    steps = marker + 11
    assert not row[10:marker].any() and not row[marker + 1 : steps].any()
    assert np.all(row[steps:] == -1)
    assert np.all(mask[:steps] == 1) and np.all(mask[steps:] == 0)
    waits.append(marker - 10)
  counts = np.bincount(waits, minlength=length + 1)
  assert counts[0] == 0 and len(counts) == length + 1
  expected = COUNT / length
  assert np.all(np.abs(counts[1:] - expected) < 5 * expected**0.5 + 1)


@pytest.mark.parametrize('dialect', ['urnn16', 'variable'])
def test_symbols_are_independent_and_equally_likely(dialect):
  _, batch = draw(dialect, 25)
  symbols = read_tokens(batch.inputs)[:, :10]
  for place in range(10):
    counts = np.bincount(symbols[:, place], minlength=9)[1:]
    assert np.all(np.abs(counts - COUNT / 8) < 5 * (COUNT / 8) ** 0.5)
  correlation = np.corrcoef(symbols.T) - np.eye(10)
  assert np.abs(correlation).max() < 5 / COUNT**0.5


@pytest.mark.parametrize(('dialect', 'length'), CASES)
def test_who_knows_the_rule_makes_no_error(dialect, length):
  task, batch = draw(dialect, length)
  tokens = read_tokens(batch.inputs)
  answers = np.stack([solve(row) for row in tokens])
  np.testing.assert_array_equal(batch.targets, answers)
  outputs = certain(answers)
  means = MEASURE(outputs, batch)
  assert value(means['loss']) < 1e-6 and value(means['recall_loss']) < 1e-6
  assert means['wrong'].total == 0 and means['wrong'].weight == 10 * COUNT
  assert not ERRORS(outputs, batch).any()


@pytest.mark.parametrize('dialect', ['urnn16', 'variable'])
@pytest.mark.parametrize(
  ('length', 'count', 'rel'),
  [(1, COUNT, 1e-4), (5, SAMPLES, 3e-3), (25, COUNT, 1e-2)],
)
def test_chance_level_is_that_of_a_predictor_without_memory(
  dialect, length, count, rel
):
  """It knows where the answer is, not what: 1/8 each, certain of blanks."""
  task, batch = draw(dialect, length, count)
  markers = batch.inputs[..., 9]
  after = (np.cumsum(markers, axis=1) - markers).astype(int)
  blank, guess = np.r_[60.0, np.zeros(8)], np.r_[-60.0, np.zeros(8)]
  outputs = np.array([blank, guess], np.float32)[after]
  means = MEASURE(outputs, batch)
  for name in ('loss', 'recall_loss'):
    assert value(means[name]) == pytest.approx(task.baselines[name], rel=rel)
  noise = 5 * (7 / 64 / (10 * count)) ** 0.5
  assert abs(value(means['wrong']) - task.baselines['wrong']) < noise
  assert float(np.mean(ERRORS(outputs, batch))) == pytest.approx(
    value(means['wrong']), abs=1e-5
  )


@pytest.mark.parametrize(
  ('length', 'chance'),
  [(100, 0.1733), (200, 0.0945), (300, 0.0650), (500, 0.0400), (1000, 0.0204)],
)
def test_urnn16_chance_level_is_that_of_the_paper(length, chance):
  task = lv.make_task('copy', 'urnn16', length)
  assert task.baselines['loss'] == pytest.approx(chance, abs=6e-5)
  formula = 10 * math.log(8) / (length + 20)
  assert task.baselines['loss'] == pytest.approx(formula, rel=1e-12)


def test_losses_are_means_of_cross_entropies_over_graded_steps():
  task, batch = draw('variable', 25)
  batch = jax.tree.map(lambda leaf: leaf[:300], batch)
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(*batch.targets.shape, 9))
  steps, recalled, wrong, share = [], [], [], []
  for n, mask in enumerate(batch.mask):
    marker = int(np.sum(mask)) - 11
    for t in range(int(np.sum(mask))):
      chances = np.exp(logits[n, t]) / np.sum(np.exp(logits[n, t]))
      steps.append(-np.log(chances[batch.targets[n, t]]))
      if t > marker:
        recalled.append(steps[-1])
        wrong.append(np.argmax(logits[n, t]) != batch.targets[n, t])
    share.append(np.mean(wrong[-10:]))
  outputs = logits.astype(np.float32)
  means = MEASURE(outputs, batch)
  assert value(means['loss']) == pytest.approx(np.mean(steps), rel=1e-5)
  assert float(task.loss(jax.numpy.asarray(outputs), batch)) == pytest.approx(
    np.mean(steps), rel=1e-5
  )
  assert value(means['recall_loss']) == pytest.approx(
    np.mean(recalled), rel=1e-5
  )
  assert value(means['wrong']) == pytest.approx(np.mean(wrong), rel=1e-6)
  errors = ERRORS(outputs, batch)
  np.testing.assert_allclose(errors, share, atol=1e-6)


@pytest.mark.parametrize('dialect', ['urnn16', 'variable'])
def test_too_short_a_length_is_refused(dialect):
  with pytest.raises(ValueError, match=f'length 0.*{dialect}.*below 1'):
    lv.make_task('copy', dialect, 0)
