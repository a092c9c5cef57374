"""Words that go in and words that come out, made anew with lists."""

import collections
import itertools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import transduction

COUNT = 400
every_kind = pytest.mark.parametrize('name', transduction.KINDS)


def answer(name, word):
  """Return what is to come out, as the paper says it."""
  if name == 'reverse_string':
    return word[::-1]
  if name == 'duplicate_string':
    return word * 2
  if name == 'odds_first':
    return word[0::2] + word[1::2]
  stack = []
  for token in word:
    if token == 'pop':
      stack = stack[:-1]
    else:
      stack.append(token.removeprefix('push'))
  return [*stack[::-1], '.']


def draw(name, length, shortest, batches, seed=0):
  """Return a task, and batches of sequences as lists of names."""
  task = lv.make_task(name, length=length, shortest=shortest)
  sample = jax.jit(task.sample, static_argnums=1)
  keys = jax.random.split(jax.random.key(seed), batches)
  return task, [jax.tree.map(np.asarray, sample(key, COUNT)) for key in keys]


def read(task, inputs):
  """Return the word, and for how many steps the answer is asked for."""
  shown = inputs.sum(axis=-1).astype(int)
  steps = shown.sum()
  assert list(shown) == [1] * steps + [0] * (len(shown) - steps)
  tokens = [task.inputs.names[n] for n in inputs[:steps].argmax(axis=-1)]
  word = [*itertools.takewhile(lambda token: token != '?', tokens)]
  assert set(tokens[len(word) :]) == {'?'}
  return word, steps - len(word)


@every_kind
def test_what_comes_out_is_what_the_word_says(name):
  task, batches = draw(name, 40, 1, 5)
  lengths = collections.Counter()
  for batch in batches:
    for inputs, targets, mask in zip(*batch, strict=True):
      word, steps = read(task, inputs)
      expected = answer(name, word)
      if name == 'stack_manipulation':
        assert steps == len(word) + 1
        assert not set(word[: word.index('pop')] if 'pop' in word else '') - {
          *'01',
          'push0',
          'push1',
        }
      else:
        assert steps == len(expected)
      graded = np.arange(len(mask)) - len(word)
      np.testing.assert_array_equal(
        mask, (graded >= 0) & (graded < len(expected))
      )
      names = [task.outputs.names[n] for n in targets[mask > 0]]
      assert names == expected
      lengths[len(word)] += 1
  assert len(lengths) > 1 and max(lengths) <= 40


def cases(name, length):
  """Yield every word of a length, with its probability."""
  if name != 'stack_manipulation':
    for word in itertools.product('01', repeat=length):
      yield list(word), 0.5**length
    return
  sizes = range(1, length) if length > 1 else [1]
  for size in sizes:
    for stack in itertools.product('01', repeat=size):
      for actions in itertools.product(
        ('pop', 'push0', 'push1'), repeat=length - size
      ):
        weight = 0.5**size / 3 ** (length - size) / len(sizes)
        yield [*stack, *actions], weight


@every_kind
@pytest.mark.parametrize('shortest, length', [(1, 5), (4, 4), (1, 1)])
def test_chance_is_the_best_guess_without_memory(name, shortest, length):
  seen = collections.Counter()
  alone = collections.Counter()
  for size in range(shortest, length + 1):
    for word, weight in cases(name, size):
      expected = answer(name, word)
      for symbol in expected:
        seen[symbol] += weight
      if len(set(expected)) == 1:
        alone[expected[0]] += weight / (length + 1 - shortest)
  total = sum(seen.values())
  loss = -sum(n / total * math.log(n / total) for n in seen.values())
  task = lv.make_task(name, length=length, shortest=shortest)
  assert task.baselines == pytest.approx(
    {
      'loss': loss,
      'wrong': 1 - max(seen.values()) / total,
      'failed': 1 - max(alone.values(), default=0),
    },
    rel=1e-12,
  )


@every_kind
def test_words_are_drawn_as_they_are_counted(name):
  """All words of four steps, each as often as it is likely."""
  task, batches = draw(name, 4, 4, 30)
  found = collections.Counter(
    ' '.join(read(task, inputs)[0])
    for batch in batches
    for inputs in batch.inputs
  )
  expected = {' '.join(word): weight for word, weight in cases(name, 4)}
  assert set(found) == set(expected)
  total = found.total()
  chi = sum(
    (found[word] - total * p) ** 2 / (total * p) for word, p in expected.items()
  )
  free = len(expected) - 1
  assert abs(chi - free) < 5 * math.sqrt(2 * free)


def test_the_worked_examples_are_right():
  lines = [line.split() for line in transduction.__doc__.splitlines()]
  for name in transduction.KINDS:
    start = lines.index([name])
    word, expected = lines[start + 1][1:], lines[start + 2][1:]
    word = word[: word.index('?')]
    assert answer(name, word) == expected


@every_kind
def test_long_words_are_refused_where_there_are_none_and_have_a_chance(name):
  with pytest.raises(ValueError, match='needs at least 1 steps'):
    lv.make_task(name, length=0)
  task = lv.make_task(name, length=500, shortest=41)
  assert math.isfinite(task.baselines['loss'])
  assert task.num_steps == 500 + {
    'duplicate_string': 1000,
    'stack_manipulation': 501,
  }.get(name, 500)
