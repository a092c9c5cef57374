"""Sums, read and added as Python's integers."""

import collections
import itertools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import binary_addition


def number(bits):
  """Return what bits are, the lowest first."""
  return int(bits[::-1], 2)


def add(word):
  """Return the sum as it is to come out."""
  one, two = word.split('+')
  return f'{number(one) + number(two):b}'[::-1] + '.'


def draw(length, shortest, batches, count=1000):
  """Return the task and its sequences, as pairs of texts."""
  task = lv.make_task('binary_addition', length=length, shortest=shortest)
  sample = jax.jit(task.sample, static_argnums=1)
  pairs = []
  for key in jax.random.split(jax.random.key(5), batches):
    batch = jax.tree.map(np.asarray, sample(key, count))
    for inputs, targets, mask in zip(*batch, strict=True):
      steps = int(inputs.sum())
      tokens = [task.inputs.names[n] for n in inputs[:steps].argmax(axis=-1)]
      word = ''.join(itertools.takewhile(lambda one: one != '?', tokens))
      assert tokens[len(word) :] == ['?'] * (len(word) + 1)
      place = np.arange(len(mask)) - len(word)
      out = [task.outputs.names[n] for n in targets[mask > 0]]
      np.testing.assert_array_equal(mask, (place >= 0) & (place < len(out)))
      pairs.append((word, ''.join(out)))
  return task, pairs


def test_what_comes_out_is_the_sum():
  task, pairs = draw(40, 3, 6, count=200)
  assert task.num_steps == 81
  for word, out in pairs:
    assert out == add(word)
    one, two = word.split('+')
    assert number(one) > 0 and number(two) > 0
  _, pairs = draw(400, 400, 1, count=50)
  assert all(out == add(word) for word, out in pairs)


def cases(length):
  """Yield every word of a length, with its probability."""
  for size in range(1, length - 1):
    sizes = size, length - 1 - size
    numbers = [
      [*map(''.join, itertools.product('01', repeat=n))][1:] for n in sizes
    ]
    weight = 1 / (length - 2) / len(numbers[0]) / len(numbers[1])
    for one, two in itertools.product(*numbers):
      yield f'{one}+{two}', weight


@pytest.mark.parametrize('length', [3, 6])
def test_all_numbers_are_as_likely(length):
  _, pairs = draw(length, length, 5)
  found = collections.Counter(word for word, _ in pairs)
  expected = dict(cases(length))
  assert set(found) == set(expected)
  total = found.total()
  chi = sum(
    (found[word] - total * p) ** 2 / (total * p) for word, p in expected.items()
  )
  free = len(expected) - 1
  assert chi < free + 5 * math.sqrt(2 * free) + 1e-9


@pytest.mark.parametrize('shortest, length', [(3, 3), (3, 9), (10, 11)])
def test_chance_is_the_best_guess_without_memory(shortest, length):
  seen = collections.Counter()
  for size in range(shortest, length + 1):
    for word, weight in cases(size):
      for symbol in add(word):
        seen[symbol] += weight
  total = sum(seen.values())
  loss = -sum(n / total * math.log(n / total) for n in seen.values())
  task = lv.make_task('binary_addition', length=length, shortest=shortest)
  assert task.baselines == pytest.approx(
    {'loss': loss, 'wrong': 1 - max(seen.values()) / total, 'failed': 1},
    rel=1e-12,
  )


def test_chance_of_long_sums_is_near_what_is_drawn():
  task, pairs = draw(150, 150, 2, count=200)
  seen = collections.Counter(''.join(out for _, out in pairs))
  wrong = 1 - max(seen.values()) / seen.total()
  assert task.baselines['wrong'] == pytest.approx(wrong, abs=0.01)
  long = lv.make_task('binary_addition', length=500, shortest=41)
  assert math.isfinite(long.baselines['loss'])


def test_the_worked_example_is_right():
  lines = binary_addition.__doc__.splitlines()
  (word,) = [line.split()[1:] for line in lines if 'input  ' in line]
  (out,) = [line.split()[1:6] for line in lines if 'target  ' in line]
  assert add(''.join(word).rstrip('?')) == ''.join(out)


def test_a_sum_needs_two_numbers():
  with pytest.raises(ValueError, match='needs at least 3 steps'):
    lv.make_task('binary_addition', length=2)
