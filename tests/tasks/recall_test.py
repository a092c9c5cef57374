"""Multi-query associative recall against its authors' definition, in NumPy."""

import collections
import functools
import itertools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base

COUNT = 3000
ODD = {'length': 31, 'items': 3, 'symbols': 20}
FEW = {'length': 16, 'items': 2, 'symbols': 10, 'count': 48_000}
DRAWN = {'length': 19, 'shortest': 16, 'items': 3, 'symbols': 8}
# Compiling takes longer than drawing.
FAST = {'xla_backend_optimization_level': 0}


@functools.cache
def draw(length: int, count: int = COUNT, seed=0, **options):
  task = lv.make_task('associative_recall', 'zoology23', length, **options)
  sample = jax.jit(task.sample, static_argnums=1, compiler_options=FAST)
  return task, jax.tree.map(np.asarray, sample(jax.random.key(seed), count))


def read_tokens(inputs: np.ndarray) -> np.ndarray:
  """Return the class of each step, -1 for the zero vector."""
  assert np.all((inputs == 0) | (inputs == 1))
  total = inputs.sum(axis=-1)
  assert np.all((total == 0) | (total == 1))
  return np.where(total > 0, inputs.argmax(axis=-1), -1)


def solve(tokens: np.ndarray, half: int) -> list[int]:
  """Answer step by step: a key seen before is answered by what followed it."""
  followed, before, answers = {}, 0, []
  for token in tokens:
    if 0 < before < half <= token:
      followed[before] = int(token)
    answers.append(followed.get(token, 0))
    before = int(token)
  return answers


def measure(task, outputs, batch) -> dict[str, float]:
  means = jax.jit(task.measure, compiler_options=FAST)(outputs, batch)
  return {name: float(mean.total / mean.weight) for name, mean in means.items()}


def judge(task, outputs, batch) -> np.ndarray:
  errors = jax.jit(task.sequence_errors, compiler_options=FAST)
  return np.asarray(errors(outputs, batch))


@pytest.mark.parametrize('options', [ODD, FEW])
def test_pairs_come_first_and_each_key_again_in_a_slot(options):
  task, batch = draw(**options)
  batch = jax.tree.map(lambda leaf: leaf[:1000], batch)
  length, items, symbols = (options[n] for n in ('length', 'items', 'symbols'))
  half = symbols // 2
  assert batch.inputs.shape == (1000, length, symbols)
  assert task.out_features == symbols and task.num_steps == length
  for row, mask in zip(read_tokens(batch.inputs), batch.mask, strict=True):
    keys, values = row[: 2 * items : 2], row[1 : 2 * items : 2]
    assert np.all((keys > 0) & (keys < half)) and len(set(keys)) == items
    assert np.all((values >= half) & (values < symbols))
    assert len(set(values)) == items
    asked = 2 * items + np.flatnonzero(row[2 * items :])
    assert np.all(asked % 2 == 0) and len(asked) == items
    assert sorted(row[asked]) == sorted(keys)
    assert asked.max() < 2 * items + 2 * ((length - 2 * items) // 2)
    np.testing.assert_array_equal(np.flatnonzero(mask), asked)
    assert np.all(mask[asked] == 1)


def test_the_papers_sequences_have_8192_symbols_and_4_pairs():
  task, batch = draw(64, 30)
  assert batch.inputs.shape == (30, 64, 8192) and task.out_features == 8192
  tokens = read_tokens(batch.inputs)
  answers = np.array([solve(row, 4096) for row in tokens])
  np.testing.assert_array_equal(batch.targets, answers)
  assert np.all(batch.mask.sum(axis=1) == 4)
  assert tokens[:, :8:2].max() > 3000 and tokens[:, 1:8:2].max() > 7000
  assert len(set(task.inputs.names)) == 8192
  assert task.inputs.names[1] == 'k1' and task.inputs.names[4096] == 'v0'
  assert task.label == 'associative_recall-zoology23-T64'
  for length, items in ((128, 8), (256, 16), (512, 64)):
    assert lv.make_task('associative_recall', length=length, items=items)


@pytest.mark.parametrize('options', [ODD, FEW, DRAWN])
def test_who_knows_the_rule_makes_no_error(options):
  task, batch = draw(**options)
  batch = jax.tree.map(lambda leaf: leaf[:500], batch)
  symbols = task.in_features
  rows = read_tokens(batch.inputs)
  answers = np.array([solve(row, symbols // 2) for row in rows])
  np.testing.assert_array_equal(batch.targets, answers)
  outputs = 60 * np.eye(symbols, dtype=np.float32)[answers]
  outputs = np.where(batch.mask[..., None] > 0, outputs, -outputs)
  means = measure(task, outputs, batch)
  assert means['loss'] < 1e-6 and means['wrong'] == means['failed'] == 0
  assert np.all(judge(task, outputs, batch) < 1e-6)


def test_keys_and_values_are_drawn_uniformly_and_independently():
  """Of 4 keys and 5 values, 2 each: all 12 · 20 arrangements."""
  _, batch = draw(**FEW)
  seen = collections.Counter(
    tuple(row[:4]) for row in read_tokens(batch.inputs).tolist()
  )
  expected = {
    (keys[0], values[0], keys[1], values[1])
    for keys in itertools.permutations(range(1, 5), 2)
    for values in itertools.permutations(range(5, 10), 2)
  }
  assert set(seen) == expected and len(expected) == 240
  assert all(abs(seen[one] - 200) < 5 * 200**0.5 for one in expected)


def slot_chances(free: int, items: int) -> dict[tuple[int, ...], float]:
  """Return the chance of each series of slots, drawn in turn."""
  weights = np.arange(1, free + 1) ** (0.01 - 1)
  found = {}
  for slots in itertools.permutations(range(free), items):
    chance, left = 1.0, weights.sum()
    for slot in slots:
      chance *= weights[slot] / left
      left -= weights[slot]
    found[slots] = chance
  return found


def read_slots(tokens: np.ndarray, items: int) -> np.ndarray:
  """Return the slot in which each key comes again, `[batch, items]`."""
  slots = []
  for place in range(items):
    again = tokens[:, 2 * items :] == tokens[:, 2 * place, None]
    assert np.all(again.sum(axis=1) == 1)
    slots.append(again.argmax(axis=1) // 2)
  return np.stack(slots, axis=1)


def test_queries_take_power_law_slots_in_turn():
  _, batch = draw(**FEW)
  seen = collections.Counter(
    map(tuple, read_slots(read_tokens(batch.inputs), 2).tolist())
  )
  expected = slot_chances(6, 2)
  assert set(seen) == set(expected)
  for series, chance in expected.items():
    assert abs(seen[series] - 48_000 * chance) < 5 * (48_000 * chance) ** 0.5


def test_queries_of_drawn_lengths_take_power_law_slots_in_turn():
  """19 and 18 steps leave 6 slots, 17 and 16 leave 5."""
  seen = {5: collections.Counter(), 6: collections.Counter()}
  for seed in range(20):
    _, batch = draw(seed=seed, **DRAWN)
    tokens = read_tokens(batch.inputs)
    free = (int((tokens[0] >= 0).sum()) - 6) // 2
    seen[free].update(map(tuple, read_slots(tokens, 3).tolist()))
  for free, found in seen.items():
    count = found.total()
    expected = slot_chances(free, 3)
    assert count > 10_000 and set(found) <= set(expected)
    for series, chance in expected.items():
      assert abs(found[series] - count * chance) < 5.5 * (count * chance) ** 0.5


def test_chance_level_is_that_of_a_guess_among_the_values():
  task, batch = draw(**FEW)
  half = 5
  # A table from the current key to one value each, no two alike.
  guess = np.full((10, 10), -60.0, np.float32)
  guess[:, half:] = 0
  for key in range(1, half):
    guess[key, half + key] = 1e-4
  means = measure(task, guess[read_tokens(batch.inputs)], batch)
  assert set(task.baselines) == set(means)
  assert task.baselines['loss'] == pytest.approx(math.log(half), rel=1e-12)
  assert means['loss'] == pytest.approx(math.log(half), abs=1e-4)
  for name, trials in (('wrong', 2), ('failed', 1)):
    share = task.baselines[name]
    noise = 5 * (share * (1 - share) / (48_000 * trials)) ** 0.5
    assert abs(means[name] - share) < noise + 1e-5, name
  paper = lv.make_task('associative_recall', length=64)
  assert paper.baselines['loss'] == pytest.approx(math.log(4096), rel=1e-12)
  assert paper.baselines['wrong'] == 1 - 1 / 4096


def test_drawn_lengths_are_in_range_and_padding_is_last():
  lengths = set()
  for seed in range(20):
    task, batch = draw(seed=seed, **DRAWN)
    tokens = read_tokens(batch.inputs[:20])
    (length,) = set((tokens >= 0).sum(axis=1))
    lengths.add(int(length))
    assert task.num_steps == 19 == tokens.shape[1]
    assert np.all(tokens[:, :length] >= 0) and np.all(tokens[:, length:] == -1)
    assert not batch.mask[:20, length:].any()
    assert np.all(batch.mask[:20].sum(axis=1) == 3)
  assert lengths == {16, 17, 18, 19}


def test_what_does_not_fit_is_refused():
  name = 'associative_recall'
  with pytest.raises(ValueError, match='items 4.*15 hold 3; nearest: 3'):
    lv.make_task(name, length=15)
  with pytest.raises(base.SpecError, match='symbols 9.*nearest: 8'):
    lv.make_task(name, length=64, symbols=9)
  with pytest.raises(base.SpecError, match='items 5.*4 keys.*nearest: 4'):
    lv.make_task(name, length=64, symbols=10, items=5)
  with pytest.raises(base.SpecError, match='items 6.*20 hold 5.*nearest: 5'):
    lv.make_task(name, length=64, shortest=20, items=6)
  task = lv.make_task(name, length=64, shortest=20, items=5, symbols=12)
  assert task.label == f'{name}-zoology23-T64-from20-symbols12-items5'
