"""The denoising task against its papers, decoded anew in NumPy."""

import collections
import functools
import itertools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base

COUNT = 4000
# Compiling takes longer than drawing.
FAST = {'xla_backend_optimization_level': 0}
SYMBOLS = {'goru17': 9, 'nru19': 8}
LENGTH = 33
DRAWN = {'shortest': 10, 'length': 13}
FEW = {'length': 11, 'symbols': 4, 'items': 3}


@functools.cache
def draw(dialect: str, length: int = LENGTH, count=COUNT, seed=0, **options):
  task = lv.make_task('denoise', dialect, length, **options)
  sample = jax.jit(task.sample, static_argnums=1, compiler_options=FAST)
  return task, jax.tree.map(np.asarray, sample(jax.random.key(seed), count))


def read_tokens(inputs: np.ndarray) -> np.ndarray:
  """Return the class of each step, -1 for the zero vector."""
  assert np.all((inputs == 0) | (inputs == 1))
  total = inputs.sum(axis=-1)
  assert np.all((total == 0) | (total == 1))
  return np.where(total > 0, inputs.argmax(axis=-1), -1)


def solve(tokens: np.ndarray, marker: int) -> list[int]:
  """Answer step by step: store symbols, give them back after the marker."""
  store, asked, answers = [], False, []
  for token in tokens:
    answers.append(store.pop(0) if asked and store else 0)
    if token == marker:
      asked = True
    elif token > 0:
      store.append(int(token))
  assert not store
  return answers


def measure(task, outputs, batch) -> dict[str, float]:
  means = jax.jit(task.measure, compiler_options=FAST)(outputs, batch)
  return {name: float(mean.total / mean.weight) for name, mean in means.items()}


def judge(task, outputs, batch) -> np.ndarray:
  errors = jax.jit(task.sequence_errors, compiler_options=FAST)
  return np.asarray(errors(outputs, batch))


def certain(classes: np.ndarray, count: int) -> np.ndarray:
  """Return logits of a predictor that is sure of `classes`."""
  return 60 * np.eye(count, dtype=np.float32)[classes]


@pytest.mark.parametrize('dialect', SYMBOLS)
def test_ten_symbols_lie_among_t_steps_before_the_marker(dialect):
  task, batch = draw(dialect)
  symbols = SYMBOLS[dialect]
  assert task.num_steps == LENGTH + 11
  assert batch.inputs.shape == (COUNT, LENGTH + 11, symbols + 2)
  assert task.out_features == symbols + 1
  tokens = read_tokens(batch.inputs)
  assert np.all(tokens >= 0)
  hidden = tokens[:, :LENGTH]
  np.testing.assert_array_equal((hidden > 0).sum(axis=1), 10)
  assert set(np.unique(hidden[hidden > 0])) == set(range(1, symbols + 1))
  np.testing.assert_array_equal(tokens[:, LENGTH], symbols + 1)
  assert not tokens[:, LENGTH + 1 :].any()
  graded = np.zeros(LENGTH + 11)
  graded[LENGTH + 1 if dialect == 'nru19' else 0 :] = 1
  np.testing.assert_array_equal(batch.mask, np.tile(graded, (COUNT, 1)))


@pytest.mark.parametrize('dialect', SYMBOLS)
@pytest.mark.parametrize('options', [{}, DRAWN, FEW])
def test_who_knows_the_rule_makes_no_error(dialect, options):
  task, batch = draw(dialect, **options)
  batch = jax.tree.map(lambda leaf: leaf[:500], batch)
  tokens = read_tokens(batch.inputs)
  answers = np.array([solve(row, task.in_features - 1) for row in tokens])
  np.testing.assert_array_equal(batch.targets, answers)
  outputs = certain(answers, task.out_features)
  outputs = np.where(batch.mask[..., None] > 0, outputs, -outputs)
  means = measure(task, outputs, batch)
  assert means['loss'] < 1e-6 and means['wrong'] == 0
  assert np.all(judge(task, outputs, batch) < 1e-6)


@pytest.mark.parametrize('dialect', SYMBOLS)
def test_one_wrong_symbol_is_told(dialect):
  task, batch = draw(dialect)
  batch = jax.tree.map(lambda leaf: leaf[:500], batch)
  answers = batch.targets.copy()
  answers[0, -1] = answers[0, -1] % SYMBOLS[dialect] + 1
  outputs = certain(answers, task.out_features)
  assert measure(task, outputs, batch)['wrong'] == pytest.approx(1 / 5000)
  errors = judge(task, outputs, batch)
  assert errors[0] == 1 and not errors[1:].any()


@pytest.mark.parametrize('dialect', SYMBOLS)
def test_every_set_of_places_is_equally_likely(dialect):
  seen = collections.Counter()
  for seed in range(5):
    _, batch = draw(dialect, seed=seed, **FEW)
    for row in read_tokens(batch.inputs)[:, :11]:
      seen[tuple(np.flatnonzero(row).tolist())] += 1
  sets = list(itertools.combinations(range(11), 3))
  share = 5 * COUNT / len(sets)
  assert set(seen) == set(sets)
  assert all(abs(seen[one] - share) < 5 * share**0.5 for one in sets)


@pytest.mark.parametrize('dialect', SYMBOLS)
def test_symbols_are_independent_and_equally_likely(dialect):
  _, batch = draw(dialect)
  answers, symbols = batch.targets[:, -10:], SYMBOLS[dialect]
  share = COUNT / symbols
  for place in range(10):
    counts = np.bincount(answers[:, place], minlength=symbols + 1)[1:]
    assert np.all(np.abs(counts - share) < 5 * share**0.5)
  first = (read_tokens(batch.inputs) > 0).argmax(axis=1)
  both = np.column_stack((answers, first))
  correlation = np.corrcoef(both.T) - np.eye(11)
  assert np.abs(correlation).max() < 5 / COUNT**0.5


@pytest.mark.parametrize('dialect', SYMBOLS)
@pytest.mark.parametrize('options', [{}, FEW])
def test_chance_level_is_that_of_a_guess_in_the_answer(dialect, options):
  """It knows where the answer is, not what; certain of noise elsewhere."""
  task, batch = draw(dialect, **options)
  symbols = task.out_features - 1
  guess = np.r_[-60.0, np.zeros(symbols)].astype(np.float32)
  noise = np.r_[60.0, np.zeros(symbols)].astype(np.float32)
  asked = np.arange(task.num_steps) > task.length
  outputs = np.where(asked[:, None], guess, noise)
  outputs = np.broadcast_to(outputs, (COUNT, *outputs.shape))
  means = measure(task, outputs, batch)
  assert set(task.baselines) == set(means)
  for name, value in task.baselines.items():
    if 'loss' in name:
      assert means[name] == pytest.approx(value, rel=1e-4), name
    else:
      bound = 5 * (value * (1 - value) / COUNT) ** 0.5
      assert abs(means[name] - value) < bound + 1e-6, name


def test_goru17_chance_level_is_spread_over_all_steps():
  task = lv.make_task('denoise', 'goru17', 100)
  expected = 10 * math.log(9) / 111
  assert task.baselines['loss'] == pytest.approx(expected, rel=1e-12)
  drawn = lv.make_task('denoise', 'goru17', 100, shortest=50)
  expected = 10 * math.log(9) / 86
  assert drawn.baselines['loss'] == pytest.approx(expected, rel=1e-12)
  masked = lv.make_task('denoise', 'nru19', 100, shortest=50)
  assert masked.baselines['loss'] == pytest.approx(math.log(8), rel=1e-12)


@pytest.mark.parametrize('dialect', SYMBOLS)
def test_drawn_lengths_are_in_range_and_padding_is_last(dialect):
  lengths = set()
  for seed in range(30):
    task, batch = draw(dialect, seed=seed, **DRAWN)
    tokens = read_tokens(batch.inputs[:20])
    mask = batch.mask[:20]
    (length,) = set((tokens == SYMBOLS[dialect] + 1).argmax(axis=1))
    lengths.add(int(length))
    assert task.num_steps == 24 == tokens.shape[1]
    assert np.all(tokens[:, : length + 11] >= 0)
    assert np.all(tokens[:, length + 11 :] == -1)
    assert not mask[:, length + 11 :].any()
    steps = 10 if dialect == 'nru19' else length + 11
    np.testing.assert_array_equal(mask.sum(axis=1), steps)
  assert lengths == {10, 11, 12, 13}


@pytest.mark.parametrize('dialect', SYMBOLS)
def test_options_set_the_alphabet_and_the_number_of_symbols(dialect):
  task, batch = draw(dialect, **FEW)
  tokens = read_tokens(batch.inputs)
  assert batch.inputs.shape == (COUNT, 15, 6) and task.out_features == 5
  np.testing.assert_array_equal(tokens[:, 11], 5)
  np.testing.assert_array_equal((tokens[:, :11] > 0).sum(axis=1), 3)
  assert set(np.unique(tokens[:, :11])) == {0, 1, 2, 3, 4}
  assert task.inputs.names == ('.', '1', '2', '3', '4', '?')
  assert task.outputs.names == ('.', '1', '2', '3', '4')
  assert task.label == f'denoise-{dialect}-T11-symbols4-items3'


@pytest.mark.parametrize('dialect', SYMBOLS)
def test_what_does_not_fit_is_refused(dialect):
  with pytest.raises(ValueError, match='items 10.*9 steps.*nearest: 9'):
    lv.make_task('denoise', dialect, 9)
  with pytest.raises(base.SpecError, match='items 21.*nearest: 20') as error:
    lv.make_task('denoise', dialect, 30, shortest=20, items=21)
  assert (error.value.field, error.value.value) == ('items', 21)
  lv.make_task('denoise', dialect, 30, shortest=20, items=20)
  with pytest.raises(base.SpecError, match='symbols 1.*nearest: 2'):
    lv.make_task('denoise', dialect, 30, symbols=1)
