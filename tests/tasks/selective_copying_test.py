"""Selective copying against its paper, decoded anew in NumPy."""

import collections
import functools
import itertools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base, subsets

COUNT = 3000
DRAWN = {'length': 19, 'shortest': 16}
FEW = {'length': 20, 'symbols': 6, 'items': 2}
# Compiling takes longer than drawing.
FAST = {'xla_backend_optimization_level': 0}


@functools.cache
def draw(length: int = 60, count: int = COUNT, seed=0, **options):
  task = lv.make_task('selective_copying', 'mamba23', length, **options)
  sample = jax.jit(task.sample, static_argnums=1, compiler_options=FAST)
  return task, jax.tree.map(np.asarray, sample(jax.random.key(seed), count))


def read_tokens(inputs: np.ndarray) -> np.ndarray:
  """Return the class of each step, -1 for the zero vector."""
  assert np.all((inputs == 0) | (inputs == 1))
  total = inputs.sum(axis=-1)
  assert np.all((total == 0) | (total == 1))
  return np.where(total > 0, inputs.argmax(axis=-1), -1)


def solve(tokens: np.ndarray, marker: int) -> list[int]:
  """Answer step by step: store data, give one back at each marker."""
  store, answers = [], []
  for token in tokens:
    if 0 < token < marker:
      store.append(int(token))
    answers.append(store.pop(0) if token == marker else 0)
  assert not store
  return answers


def measure(task, outputs, batch) -> dict[str, float]:
  means = jax.jit(task.measure, compiler_options=FAST)(outputs, batch)
  return {name: float(mean.total / mean.weight) for name, mean in means.items()}


def judge(task, outputs, batch) -> np.ndarray:
  errors = jax.jit(task.sequence_errors, compiler_options=FAST)
  return np.asarray(errors(outputs, batch))


def test_16_tokens_lie_among_t_steps_and_16_markers_follow():
  task, batch = draw()
  assert task.num_steps == 76
  assert batch.inputs.shape == (COUNT, 76, 16) and task.out_features == 16
  tokens = read_tokens(batch.inputs)
  hidden = tokens[:, :60]
  np.testing.assert_array_equal((hidden > 0).sum(axis=1), 16)
  assert set(np.unique(hidden[hidden > 0])) == set(range(1, 15))
  assert np.all(hidden >= 0) and np.all(tokens[:, 60:] == 15)
  np.testing.assert_array_equal(batch.mask[:, :60], 0)
  np.testing.assert_array_equal(batch.mask[:, 60:], 1)


def test_the_papers_sequences_have_4096_steps_before_the_answer():
  task, batch = draw(4096, 20)
  tokens = read_tokens(batch.inputs)
  assert tokens.shape == (20, 4112)
  answers = np.array([solve(row, 15) for row in tokens])
  np.testing.assert_array_equal(batch.targets, answers)
  assert np.all(batch.mask.sum(axis=1) == 16)
  places = np.flatnonzero(tokens[:, :4096].any(axis=0))
  assert places.min() < 200 and places.max() > 3900
  assert task.label == 'selective_copying-mamba23-T4096'


@pytest.mark.parametrize('options', [{}, DRAWN, FEW])
def test_who_knows_the_rule_makes_no_error(options):
  task, batch = draw(**options)
  batch = jax.tree.map(lambda leaf: leaf[:500], batch)
  count = task.in_features
  answers = [solve(row, count - 1) for row in read_tokens(batch.inputs)]
  answers = np.array(answers)
  np.testing.assert_array_equal(batch.targets, answers)
  outputs = 60 * np.eye(count, dtype=np.float32)[answers]
  outputs = np.where(batch.mask[..., None] > 0, outputs, -outputs)
  means = measure(task, outputs, batch)
  assert means['loss'] < 1e-6 and means['wrong'] == means['failed'] == 0
  assert np.all(judge(task, outputs, batch) < 1e-6)


def test_tokens_are_independent_and_equally_likely():
  _, batch = draw()
  answers = batch.targets[:, -16:]
  share = COUNT / 14
  for place in range(16):
    counts = np.bincount(answers[:, place], minlength=16)
    assert not counts[0] and not counts[15]
    assert np.all(np.abs(counts[1:15] - share) < 5 * share**0.5)
  first = (read_tokens(batch.inputs) > 0).argmax(axis=1)
  both = np.column_stack((answers, first))
  correlation = np.corrcoef(both.T) - np.eye(17)
  assert np.abs(correlation).max() < 5 / COUNT**0.5


@pytest.mark.parametrize('items', [3, 6])
def test_every_set_of_places_is_equally_likely(items):
  """Of 7 steps, their number traced."""
  count = 30_000
  choose = jax.jit(subsets.choose, static_argnums=(1, 3), compiler_options=FAST)
  chosen = np.asarray(choose(jax.random.key(2), count, 7, items))
  assert np.all(np.diff(chosen, axis=1) > 0)
  seen = collections.Counter(map(tuple, chosen.tolist()))
  sets = list(itertools.combinations(range(7), items))
  share = count / len(sets)
  assert set(seen) == set(sets)
  assert all(abs(seen[one] - share) <= 5 * share**0.5 for one in sets)


def test_every_arrangement_is_equally_likely():
  count = 40_000
  arrange = jax.jit(
    subsets.arrange, static_argnums=(1, 2, 3), compiler_options=FAST
  )
  drawn = np.asarray(arrange(jax.random.key(3), count, 5, 3)).tolist()
  seen = collections.Counter(map(tuple, drawn))
  orders = list(itertools.permutations(range(5), 3))
  share = count / len(orders)
  assert set(seen) == set(orders)
  assert all(abs(seen[one] - share) <= 5 * share**0.5 for one in orders)


def test_places_in_a_sequence_are_equally_likely_and_drawn_anew():
  _, batch = draw()
  hidden = read_tokens(batch.inputs)[:, :60] > 0
  share = 16 / 60
  noise = (share * (1 - share) / COUNT) ** 0.5
  assert np.abs(hidden.mean(axis=0) - share).max() < 5 * noise
  assert len({row.tobytes() for row in hidden}) == COUNT


@pytest.mark.parametrize('options', [{}, FEW])
def test_chance_level_is_that_of_a_guess_among_the_data(options):
  task, batch = draw(**options)
  symbols = task.in_features
  guess = np.r_[-60.0, np.zeros(symbols - 2), -60.0].astype(np.float32)
  outputs = np.broadcast_to(guess, batch.inputs.shape)
  means = measure(task, outputs, batch)
  assert set(task.baselines) == set(means)
  data = symbols - 2
  assert task.baselines['loss'] == pytest.approx(math.log(data), rel=1e-12)
  assert means['loss'] == pytest.approx(math.log(data), rel=1e-5)
  items = batch.mask.sum() / COUNT
  for name, trials in (('wrong', items), ('failed', 1)):
    share = task.baselines[name]
    noise = 5 * (share * (1 - share) / (COUNT * trials)) ** 0.5
    assert abs(means[name] - share) < noise + 1e-6, name


def test_drawn_lengths_are_in_range_and_padding_is_last():
  lengths = set()
  for seed in range(30):
    task, batch = draw(seed=seed, **DRAWN)
    tokens = read_tokens(batch.inputs[:20])
    (length,) = set((tokens == 15).argmax(axis=1))
    lengths.add(int(length))
    assert task.num_steps == 35 == tokens.shape[1]
    assert np.all(tokens[:, length : length + 16] == 15)
    assert np.all(tokens[:, length + 16 :] == -1)
    np.testing.assert_array_equal(batch.mask[:20], tokens == 15)
  assert lengths == {16, 17, 18, 19}


def test_options_set_the_vocabulary_and_the_number_of_tokens():
  task, batch = draw(**FEW)
  tokens = read_tokens(batch.inputs)
  assert batch.inputs.shape == (COUNT, 22, 6)
  assert np.all(tokens[:, 20:] == 5)
  assert set(np.unique(tokens[:, :20])) == {0, 1, 2, 3, 4}
  assert task.inputs.names == ('.', 'a', 'b', 'c', 'd', '?')
  assert task.label == 'selective_copying-mamba23-T20-symbols6-items2'
  many = lv.make_task('selective_copying', length=20, symbols=64)
  assert len(set(many.inputs.names)) == 64


def test_what_does_not_fit_is_refused():
  with pytest.raises(ValueError, match='items 16.*15 steps.*nearest: 15'):
    lv.make_task('selective_copying', length=15)
  with pytest.raises(base.SpecError, match='items 21.*nearest: 20') as error:
    lv.make_task('selective_copying', length=30, shortest=20, items=21)
  assert (error.value.field, error.value.value) == ('items', 21)
  lv.make_task('selective_copying', length=30, shortest=20, items=20)
  with pytest.raises(base.SpecError, match='symbols 3.*nearest: 4'):
    lv.make_task('selective_copying', length=30, symbols=3)


def test_published_accuracies_are_those_of_the_papers():
  published = lv.make_task('selective_copying', length=20).published
  found = {result.note.split(',')[0]: result.value for result in published}
  assert found['S4'] == 18.3 and found['S6'] == 97.0
  assert found['H3 with S4'] == 57.0 and found['H3 with Hyena'] == 30.1
  assert found['H3 with S6'] == 99.7 and found['Mamba with S4'] == 56.4
  assert found['Mamba with Hyena'] == 28.4 and found['Mamba with S6'] == 99.8
  assert found['minGRU'] == 99.5 and found['minLSTM'] == 96.0
  assert {result.length for result in published} == {4096}
