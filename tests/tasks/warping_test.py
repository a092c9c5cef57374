"""Warped and padded sequences against their paper, decoded anew in NumPy."""

import functools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base

COUNT = 3000
# Compiling takes longer than drawing.
FAST = {'xla_backend_optimization_level': 0}
PERIOD = 4
DRAWN = {'length': 24, 'shortest': 14, 'period': 6, 'symbols': 4}
DIALECTS = ('uniform_warp', 'variable_warp', 'uniform_pad', 'variable_pad')


@functools.cache
def draw(dialect: str, length: int = 41, count=COUNT, seed=0, **options):
  options = options or {'period': PERIOD}
  task = lv.make_task('warping', dialect, length, **options)
  sample = jax.jit(task.sample, static_argnums=1, compiler_options=FAST)
  return task, jax.tree.map(np.asarray, sample(jax.random.key(seed), count))


def read_tokens(inputs: np.ndarray) -> np.ndarray:
  """Return the class of each step, -1 for the zero vector."""
  assert np.all((inputs == 0) | (inputs == 1))
  total = inputs.sum(axis=-1)
  assert np.all((total == 0) | (total == 1))
  return np.where(total > 0, inputs.argmax(axis=-1), -1)


def runs(tokens: np.ndarray) -> list[tuple[int, int]]:
  """Return the characters of one sequence, each with its first step."""
  found = []
  for step, token in enumerate(tokens):
    before = tokens[step - 1] if step else 0
    if token > 0 and (before != token):
      found.append((int(token), step))
  return found


def solve(tokens: np.ndarray) -> list[int]:
  """Answer step by step: the last character that is not the current one."""
  current, previous, answers = 0, 0, []
  for token in tokens:
    if token > 0 and token != current:
      current, previous = int(token), current
    answers.append(previous if token > 0 else 0)
  return answers


def measure(task, outputs, batch) -> dict[str, float]:
  means = jax.jit(task.measure, compiler_options=FAST)(outputs, batch)
  return {name: float(mean.total / mean.weight) for name, mean in means.items()}


def judge(task, outputs, batch) -> np.ndarray:
  errors = jax.jit(task.sequence_errors, compiler_options=FAST)
  return np.asarray(errors(outputs, batch))


@pytest.mark.parametrize('dialect', DIALECTS)
def test_characters_take_the_time_of_the_dialect(dialect):
  task, batch = draw(dialect)
  assert batch.inputs.shape == (COUNT, 41, 10) and task.out_features == 10
  assert task.num_steps == 41
  tokens = read_tokens(batch.inputs)
  padded = dialect.endswith('pad')
  times = []
  for row, mask in zip(tokens, batch.mask, strict=True):
    starts = [step for _, step in runs(row)]
    assert starts[0] == 0
    times += np.diff(starts).tolist()
    if padded:
      assert np.flatnonzero(row > 0).tolist() == starts
      assert np.flatnonzero(mask).tolist() == starts
    else:
      assert np.all(row > 0) and np.all(mask == 1)
    assert 41 - starts[-1] <= PERIOD + padded
  if dialect.startswith('uniform'):
    assert set(times) == {PERIOD + padded}
  else:
    assert set(times) == set(range(1 + padded, PERIOD + padded + 1))


@pytest.mark.parametrize('dialect', ['variable_warp', 'variable_pad'])
def test_variable_times_are_equally_likely_and_independent(dialect):
  _, batch = draw(dialect)
  padded = dialect == 'variable_pad'
  first = []
  for row in read_tokens(batch.inputs):
    starts = [step for _, step in runs(row)]
    first.append(np.diff(starts)[:5] - padded)
  times = np.array(first)
  for place in range(5):
    counts = np.bincount(times[:, place], minlength=5)
    assert counts[0] == 0 and len(counts) == 5
    assert np.all(np.abs(counts[1:] - COUNT / 4) < 5 * (COUNT / 4) ** 0.5)
  correlation = np.corrcoef(times.T) - np.eye(5)
  assert np.abs(correlation).max() < 5 / COUNT**0.5


@pytest.mark.parametrize('dialect', DIALECTS)
def test_characters_are_random_and_unlike_their_neighbours(dialect):
  """Nine characters, uniform; each of the other eight is equally likely."""
  _, batch = draw(dialect)
  pairs, triples = np.zeros((10, 10)), 0
  for row in read_tokens(batch.inputs):
    characters = [token for token, _ in runs(row)]
    pairs[characters[0], characters[1]] += 1
    triples += characters[0] == characters[2]
  assert not pairs[0].any() and not pairs[:, 0].any()
  assert not np.diag(pairs).any()
  seen = pairs[1:, 1:][~np.eye(9, dtype=bool)]
  assert np.all(np.abs(seen - COUNT / 72) < 5 * (COUNT / 72) ** 0.5)
  assert abs(triples - COUNT / 8) < 5 * (COUNT / 8) ** 0.5


@pytest.mark.parametrize('dialect', DIALECTS)
@pytest.mark.parametrize('options', [{}, DRAWN])
def test_who_knows_the_rule_makes_no_error(dialect, options):
  task, batch = draw(dialect, **options)
  batch = jax.tree.map(lambda leaf: leaf[:500], batch)
  answers = np.array([solve(row) for row in read_tokens(batch.inputs)])
  graded = batch.mask > 0
  np.testing.assert_array_equal(batch.targets[graded], answers[graded])
  outputs = 60 * np.eye(task.out_features, dtype=np.float32)[answers]
  outputs = np.where(graded[..., None], outputs, -outputs)
  means = measure(task, outputs, batch)
  assert means['loss'] < 1e-6 and means['wrong'] == means['failed'] == 0
  assert np.all(judge(task, outputs, batch) < 1e-6)


@pytest.mark.parametrize('dialect', DIALECTS)
def test_the_papers_sequences_have_500_steps_of_10_symbols(dialect):
  task = lv.make_task('warping', dialect, 500)
  shapes = jax.eval_shape(lambda key: task.sample(key, 32), jax.random.key(0))
  assert shapes.inputs.shape == (32, 500, 10)
  for period in (10, 100):
    assert lv.make_task('warping', dialect, 500, period=period)
  (published,) = task.published
  assert (published.length, published.value) == (500, 0.0)


@pytest.mark.parametrize('dialect', DIALECTS)
def test_chance_level_is_the_best_for_who_sees_one_character(dialect):
  """The best distribution over the past for each current character."""
  task, batch = draw(dialect)
  graded = batch.mask > 0
  current = read_tokens(batch.inputs)[graded]
  targets = batch.targets[graded]
  count = task.out_features
  table = np.zeros((count, count))
  np.add.at(table, (current, targets), 1.0)
  chances = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
  entropy = -np.sum(table * np.log(np.where(chances > 0, chances, 1)))
  loss = entropy / table.sum()
  assert loss == pytest.approx(task.baselines['loss'], abs=5e-3)
  q = np.mean(targets == 0)
  guess = max(q, (1 - q) / (count - 2))
  assert task.baselines['wrong'] == pytest.approx(1 - guess, abs=4e-3)
  # What it gets in the library's own measure.
  logits = np.log(np.maximum(chances, 1e-9)).astype(np.float32)
  outputs = logits[read_tokens(batch.inputs)]
  means = measure(task, outputs, batch)
  assert means['loss'] == pytest.approx(loss, rel=1e-4)
  assert means['wrong'] == pytest.approx(task.baselines['wrong'], abs=1e-2)


def test_chance_level_comes_close_to_that_of_eight_characters():
  task = lv.make_task('warping', 'uniform_warp', 500, period=10)
  q = 10 / 500
  expected = -q * math.log(q) - (1 - q) * math.log((1 - q) / 8)
  assert task.baselines['loss'] == pytest.approx(expected, rel=1e-9)
  long = lv.make_task('warping', 'variable_pad', 20_000, period=1)
  assert long.baselines['loss'] == pytest.approx(math.log(8), abs=2e-3)


@pytest.mark.parametrize('dialect', DIALECTS)
def test_drawn_lengths_count_in_the_chance_level(dialect):
  """Totals and weights are summed over batches; each length equally often."""
  task, _ = draw(dialect, **DRAWN)
  firsts, steps, seen = np.zeros(25), np.zeros(25), np.zeros(25)
  for seed in range(60):
    _, batch = draw(dialect, seed=seed, **DRAWN)
    length = int((read_tokens(batch.inputs[:1]) >= 0).sum())
    firsts[length] += np.sum((batch.targets == 0) * batch.mask)
    steps[length] += np.sum(batch.mask)
    seen[length] += 1
  assert np.all(seen[14:] > 0)
  weights = 1 / seen[14:]
  q = float(np.sum(firsts[14:] * weights) / np.sum(steps[14:] * weights))
  loss = -q * math.log(q) - (1 - q) * math.log((1 - q) / 2)
  assert task.baselines['loss'] == pytest.approx(loss, abs=3e-3)
  wrong = 1 - max(q, (1 - q) / 2)
  assert task.baselines['wrong'] == pytest.approx(wrong, abs=5e-3)


@pytest.mark.parametrize('dialect', DIALECTS)
def test_drawn_lengths_are_in_range_and_padding_is_last(dialect):
  lengths = set()
  for seed in range(60):
    task, batch = draw(dialect, seed=seed, **DRAWN)
    tokens = read_tokens(batch.inputs[:20])
    (length,) = set((tokens >= 0).sum(axis=1))
    lengths.add(int(length))
    assert task.num_steps == 24 == tokens.shape[1]
    assert np.all(tokens[:, :length] >= 0) and np.all(tokens[:, length:] == -1)
    assert not batch.mask[:20, length:].any()
  assert lengths == set(range(14, 25))


@pytest.mark.parametrize('dialect', DIALECTS)
def test_options_set_the_alphabet_and_the_period(dialect):
  task, batch = draw(dialect, **DRAWN)
  assert batch.inputs.shape == (COUNT, 24, 4)
  tokens = read_tokens(batch.inputs)
  assert set(np.unique(tokens)) >= {1, 2, 3}
  second = {runs(row)[1][1] for row in tokens[:200]}
  assert max(second) == 6 + dialect.endswith('pad')
  assert task.inputs.names == task.outputs.names == ('.', 'a', 'b', 'c')
  assert set(task.label.split('-')[3:]) == {'from14', 'symbols4', 'period6'}


@pytest.mark.parametrize('dialect', DIALECTS)
def test_a_period_without_a_second_character_is_refused(dialect):
  padded = dialect.endswith('pad')
  shortest = 12 if padded else 11
  with pytest.raises(ValueError, match='period 10.*nearest: 9'):
    lv.make_task('warping', dialect, shortest - 1)
  assert lv.make_task('warping', dialect, 10, period=3)
  assert lv.make_task('warping', dialect, shortest)
  largest = 19 - padded
  with pytest.raises(base.SpecError, match=f'nearest: {largest}') as error:
    lv.make_task('warping', dialect, 30, shortest=20, period=largest + 1)
  assert (error.value.field, error.value.value) == ('period', largest + 1)
  assert lv.make_task('warping', dialect, 30, shortest=20, period=largest)
