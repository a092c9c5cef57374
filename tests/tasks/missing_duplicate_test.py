"""Missing duplicates: the symbol is the one that makes both halves alike."""

import collections
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import missing_duplicate

COUNT = 2000


def draw(length, shortest, batches):
  """Return the task and its sequences as (tokens, answer), in batches."""
  task = lv.make_task('missing_duplicate', length=length, shortest=shortest)
  sample = jax.jit(task.sample, static_argnums=1)
  drawn = []
  for key in jax.random.split(jax.random.key(4), batches):
    batch = jax.tree.map(np.asarray, sample(key, COUNT))
    drawn.append([])
    for inputs, targets, mask in zip(*batch, strict=True):
      (last,) = np.flatnonzero(mask)
      assert list(inputs.sum(axis=-1)) == [1] * (last + 1) + [0] * (
        len(mask) - last - 1
      )
      tokens = [task.inputs.names[n] for n in inputs[: last + 1].argmax(-1)]
      drawn[-1].append((''.join(tokens), task.outputs.names[targets[last]]))
  return task, drawn


def test_the_answer_makes_both_halves_alike():
  task, batches = draw(40, 2, 8)
  lengths = set()
  for batch in batches:
    (size,) = {len(tokens) for tokens, _ in batch}
    lengths.add(size)
    for tokens, answer in batch:
      assert tokens[-1] == '?' and tokens.count('_') == 1
      word, end = tokens[:-1], '.' * ((size - 1) % 2)
      assert word.endswith(end) and word.count('.') == len(end)
      half = (size - 1) // 2
      whole = word.replace('_', answer)
      assert whole[:half] == whole[half : 2 * half]
      other = word.replace('_', '10'[int(answer)])
      assert other[:half] != other[half : 2 * half]
  assert len(lengths) > 4 and task.num_steps == 41


@pytest.mark.parametrize('length', [2, 5, 6])
def test_all_words_and_places_are_as_likely(length):
  _, batches = draw(length, length, 2)
  found = collections.Counter(one for batch in batches for one in batch)
  half = length // 2
  assert len(found) == 2**half * 2 * half
  expected = found.total() / len(found)
  chi = sum((n - expected) ** 2 / expected for n in found.values())
  free = len(found) - 1
  assert abs(chi - free) < 5 * math.sqrt(2 * free)


def test_chance_is_a_guess_between_two():
  task = lv.make_task('missing_duplicate', length=500, shortest=41)
  assert task.baselines == pytest.approx(
    {'loss': math.log(2), 'wrong': 0.5, 'failed': 0.5}, rel=1e-12
  )
  with pytest.raises(ValueError, match='needs at least 2 steps'):
    lv.make_task('missing_duplicate', length=1)


def test_the_worked_example_is_right():
  lines = missing_duplicate.__doc__.splitlines()
  (tokens,) = [line.split()[1:] for line in lines if 'input  ' in line]
  (target,) = [line.split()[1] for line in lines if 'target  ' in line]
  assert len(tokens) == 10 and tokens[-1] == '?'
  whole = [target if token == '_' else token for token in tokens]
  assert whole[:4] == whole[4:8]
