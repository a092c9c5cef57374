"""Bucket sort as two papers pose it, words decoded anew."""

import collections
import functools
import itertools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import measures

DIALECTS = ('deletang23', 'xlstm24')
COUNT = 400
MEASURE = jax.jit(measures.classification)
ERRORS = jax.jit(measures.class_errors)


@functools.cache
def draw(dialect, length, shortest=None, symbols=0, batches=200):
  """Draw batches, their leaves `[batches, COUNT, ...]`."""
  task = lv.make_task(
    'bucket_sort', dialect, length, shortest=shortest, symbols=symbols
  )
  sample = jax.jit(task.sample, static_argnums=1)
  keys = jax.random.split(jax.random.key(2), batches)
  drawn = [sample(key, COUNT) for key in keys]
  return task, jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)


def flat(batch):
  return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batch)


def read(task, inputs):
  """Return the word and how many steps follow it, padding excluded."""
  assert np.all((inputs == 0) | (inputs == 1))
  total = inputs.sum(axis=-1).astype(int)
  steps = total.sum()
  assert list(total) == [1] * steps + [0] * (len(total) - steps)
  tokens = [task.inputs.names[n] for n in inputs[:steps].argmax(axis=-1)]
  word = list(itertools.takewhile(str.isdigit, tokens))
  assert set(tokens[len(word) :]) <= {task.inputs.names[-1]}
  return word, steps - len(word)


def solve(task, inputs):
  """Return the names of the answer, step by step; '' where there is none."""
  word, more = read(task, inputs)
  early = task.dialect == 'xlstm24'
  assert more == len(word) - early
  answer = [''] * len(inputs)
  start = len(word) - early
  answer[start : start + len(word)] = sorted(word)
  return answer


@pytest.mark.parametrize(
  ('dialect', 'length', 'shortest', 'symbols'),
  [
    ('deletang23', 9, None, 0),
    ('xlstm24', 13, None, 0),
    ('deletang23', 6, 6, 2),
    ('xlstm24', 30, 21, 4),
  ],
)
def test_the_answer_is_the_sorted_word(dialect, length, shortest, symbols):
  task, batch = draw(dialect, length, shortest, symbols)
  batch = jax.tree.map(lambda leaf: leaf[::10, ::10], batch)
  batch = flat(batch)
  classes = np.zeros_like(batch.targets)
  for n, inputs in enumerate(batch.inputs):
    answer = solve(task, inputs)
    for t, name in enumerate(answer):
      assert batch.mask[n, t] == (name != '')
      if name:
        classes[n, t] = task.outputs.names.index(name)
  graded = batch.mask > 0
  np.testing.assert_array_equal(batch.targets[graded], classes[graded])
  outputs = 60 * np.eye(task.out_features, dtype=np.float32)[classes]
  means = MEASURE(outputs, batch)
  assert means['loss'].total < 1e-4 and means['loss'].weight == graded.sum()
  assert not means['wrong'].total and not means['failed'].total
  assert ERRORS(outputs, batch).max() < 1e-6


def test_alphabets_are_those_of_the_papers():
  task = lv.make_task('bucket_sort')
  assert ''.join(task.inputs.names) == '01234?'
  assert ''.join(task.outputs.names) == '01234'
  assert (task.dialect, task.length, task.num_steps) == ('deletang23', 40, 80)
  task = lv.make_task('bucket_sort', 'xlstm24')
  assert ''.join(task.inputs.names) == '0123456789_'
  assert ''.join(task.outputs.names) == '_0123456789'
  assert task.out_features == 11
  assert (task.length, task.num_steps) == (40, 39)


@pytest.mark.parametrize(
  ('dialect', 'length', 'shortest', 'counts'),
  [
    ('deletang23', 9, None, range(1, 10)),
    ('xlstm24', 13, None, range(2, 7)),
    ('xlstm24', 30, 21, range(10, 16)),
  ],
)
def test_words_are_drawn_by_the_batch_or_the_sequence(
  dialect, length, shortest, counts
):
  symbols = 4 if shortest else 0
  task, batch = draw(dialect, length, shortest, symbols)
  sizes = batch.mask.sum(axis=2).astype(int)
  if dialect == 'deletang23':
    assert np.all(sizes == sizes[:, :1])
    sizes = sizes[:, :1]
  else:
    assert np.abs(np.corrcoef(sizes[:, :9].T) - np.eye(9)).max() < 0.4
  seen = collections.Counter(sizes.ravel().tolist())
  assert set(seen) == set(counts)
  expected = sizes.size / len(counts)
  assert all(abs(n - expected) < 5 * expected**0.5 for n in seen.values())
  assert task.num_steps == 2 * max(counts) - (dialect == 'xlstm24')


@pytest.mark.parametrize(
  ('dialect', 'length'), [('deletang23', 9), ('xlstm24', 13)]
)
def test_symbols_are_drawn_independently_and_equally_likely(dialect, length):
  task, batch = draw(dialect, length)
  symbols = task.in_features - 1
  size = max(batch.mask.sum(axis=2).astype(int).ravel())
  full = batch.mask.sum(axis=2) == size
  tokens = batch.inputs[full][:, :size].argmax(axis=-1)
  assert len(tokens) > 5000
  for found in tokens.T:
    counts = np.bincount(found, minlength=symbols)
    expected = len(tokens) / symbols
    assert len(counts) == symbols
    assert np.all(np.abs(counts - expected) < 5 * expected**0.5)
  correlation = np.corrcoef(tokens.T) - np.eye(size)
  assert np.abs(correlation).max() < 5 / len(tokens) ** 0.5


def enumerate_cases(dialect, counts, symbols):
  """Yield what is seen, the answer and the probability of every word."""
  for count in counts:
    for word in itertools.product(range(symbols), repeat=count):
      seen = ['?'] * count
      if dialect == 'xlstm24':
        seen[0] = word[-1]
      yield seen, sorted(word), 1 / len(counts) / symbols**count


@pytest.mark.parametrize(
  ('dialect', 'length', 'shortest', 'counts', 'symbols'),
  [
    ('deletang23', 4, None, (1, 2, 3, 4), 3),
    ('deletang23', 3, 3, (3,), 2),
    ('xlstm24', 8, None, (2, 3, 4), 3),
    ('xlstm24', 5, 4, (2,), 4),
    ('xlstm24', 9, 7, (3, 4), 2),
  ],
)
def test_chance_level_is_the_best_guess_from_the_last_token(
  dialect, length, shortest, counts, symbols
):
  """All words, one by one, and for 'failed' all predictors, too."""
  joint = collections.defaultdict(float)
  exact = collections.defaultdict(float)
  for seen, answer, p in enumerate_cases(dialect, counts, symbols):
    for one, other in zip(seen, answer, strict=True):
      joint[one, other] += p
    exact[tuple(seen), tuple(answer)] += p
  weight = sum(joint.values())
  loss, right = 0.0, 0.0
  tokens = sorted({seen for seen, _ in joint}, key=str)
  for token in tokens:
    row = [p for (seen, _), p in joint.items() if seen == token]
    loss -= sum(p * math.log(p / sum(row)) for p in row) / weight
    right += max(row) / weight
  best = 0.0
  for guesses in itertools.product(range(symbols), repeat=len(tokens)):
    table = dict(zip(tokens, guesses, strict=True))
    hits = (
      p
      for (seen, answer), p in exact.items()
      if all(
        table[one] == other for one, other in zip(seen, answer, strict=True)
      )
    )
    best = max(best, sum(hits))
  task = lv.make_task(
    'bucket_sort', dialect, length, shortest=shortest, symbols=symbols
  )
  assert task.baselines['loss'] == pytest.approx(loss, abs=1e-12)
  assert task.baselines['wrong'] == pytest.approx(1 - right, abs=1e-12)
  assert task.baselines['failed'] == pytest.approx(1 - best, abs=1e-12)


@pytest.mark.parametrize(
  ('dialect', 'length'), [('deletang23', 9), ('xlstm24', 13)]
)
def test_a_guesser_has_the_chance_level_on_drawn_batches(dialect, length):
  task, batch = draw(dialect, length)
  batch = flat(batch)
  graded = np.nonzero(batch.mask)
  table = np.full((task.in_features, task.out_features), 1e-9)
  np.add.at(
    table, (batch.inputs[graded].argmax(axis=-1), batch.targets[graded]), 1.0
  )
  table = np.log(table / table.sum(axis=1, keepdims=True)).astype(np.float32)
  means = MEASURE(table[batch.inputs.argmax(axis=-1)], batch)
  for metric in ('loss', 'wrong'):
    found = float(means[metric].total / means[metric].weight)
    assert found == pytest.approx(task.baselines[metric], abs=0.01)


def test_chance_levels_of_long_words_are_finite():
  for dialect in DIALECTS:
    chance = lv.make_task('bucket_sort', dialect, 2000, shortest=1900).baselines
    assert math.isfinite(chance['loss']) and chance['failed'] == 1.0


@pytest.mark.parametrize(
  ('dialect', 'choice', 'message'),
  [
    ('deletang23', {'length': 0}, 'needs at least 1 steps'),
    ('xlstm24', {'length': 3}, 'needs at least 4 steps'),
    ('deletang23', {'symbols': 1}, 'nearest: 2'),
    ('xlstm24', {'symbols': 101}, 'nearest: 100'),
  ],
)
def test_choices_without_sense_are_refused(dialect, choice, message):
  with pytest.raises(ValueError, match=message):
    lv.make_task('bucket_sort', dialect, **choice)


@pytest.mark.parametrize('dialect', DIALECTS)
def test_solved_is_an_accuracy_of_90_percent(dialect):
  task = lv.make_task('bucket_sort', dialect)
  assert str(task.success) == 'held-out wrong below 0.1'
  assert not task.published
