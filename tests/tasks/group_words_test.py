"""Words over groups, their products made anew as products of matrices."""

import itertools

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import formal_languages, group_words

# So many words of 20 letters have 10⁵ products.
COUNT = 5000
every_group = pytest.mark.parametrize('name', group_words.GROUPS)


def matrix(name):
  """Return an element as a matrix, so that products are those of matrices.

  A permutation is one of rows; a number modulo n turns by so many nths.
  """
  first, _, number = name.partition('+')
  if len(first) < 3:
    return np.exp(2j * np.pi * int(first) / 60)[None, None]
  rows = np.eye(len(first))[[int(image) - 1 for image in first]]
  return rows * np.exp(2j * np.pi * int(number or 0) / 5)


@every_group
def test_every_label_is_the_product_of_the_letters_so_far(name):
  task = lv.make_task('group_words', name)
  sample = jax.jit(task.sample, static_argnums=1)
  batch = jax.tree.map(np.asarray, sample(jax.random.key(3), COUNT))
  assert batch.mask.shape == (COUNT, 20) and np.all(batch.mask == 1)
  assert np.all(batch.inputs.sum(axis=-1) == 1)
  letters = np.stack([matrix(one) for one in task.inputs.names])
  elements = np.stack([matrix(one) for one in task.outputs.names])
  product = np.eye(letters.shape[1])
  for t in range(20):
    product = product @ letters[batch.inputs[:, t].argmax(axis=-1)]
    labels = elements[batch.targets[:, t]]
    np.testing.assert_allclose(product, labels, atol=1e-9)
  assert len({one.round(6).tobytes() for one in elements}) == len(elements)
  assert len(np.unique(batch.inputs.argmax(axis=-1))) == len(letters)


def test_the_groups_have_the_elements_and_letters_of_their_names():
  sizes = {
    name: (len(group.letters), len(group.names), _commutes(group))
    for name in group_words.GROUPS
    for group in [group_words.make_group(name)]
  }
  assert sizes == {
    'a5': (60, 60, False),
    's5': (120, 120, False),
    's5_swaps': (10, 120, False),
    'a4xz5': (60, 60, False),
    'z60': (60, 60, True),
    's3': (6, 6, False),
  }


def _commutes(group):
  return np.array_equal(group.table, group.table.T)


@pytest.mark.parametrize(
  'name, shortest, longest', [('s3', 4, 4), ('s3', 1, 4), ('s5_swaps', 1, 3)]
)
def test_chance_is_that_of_all_words_with_their_last_letter_seen(
  name, shortest, longest
):
  group = group_words.make_group(name)
  joint = np.zeros((len(group.letters), len(group.names)))
  for length in range(shortest, longest + 1):
    for word in itertools.product(range(len(group.letters)), repeat=length):
      state = 0
      for letter in word:
        state = group.table[state, group.letters[letter]]
        joint[letter, state] += 1 / len(group.letters) ** length
  expected = formal_languages.chance(joint / joint.sum())
  task = lv.make_task('group_words', name, longest, shortest=shortest)
  assert task.baselines == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize('name', ['s5_swaps', 'z60'])
def test_chance_of_long_words_is_summed_to_their_end(monkeypatch, name):
  build = group_words.baselines
  spec = lv.tasks.resolve('group_words', name, 400, shortest=30)
  quick = build(group_words.make_group(name), spec)
  monkeypatch.setattr(group_words, '_SETTLED', 0.0)
  whole = build(group_words.make_group(name), spec)
  assert quick == pytest.approx(whole, rel=1e-12)


def test_a_word_goes_on_beyond_the_t_of_training_and_is_padded_before():
  task = lv.make_task('group_words', 's3', 9)
  batch = task.sample(jax.random.key(0), 7, length=5)
  np.testing.assert_array_equal(batch.mask, np.arange(9) < np.full((7, 1), 5))
  assert not np.any(batch.inputs[:, 5:]) and not np.any(batch.targets[:, 5:])


def test_the_worked_example_is_right():
  lines = [line.split() for line in group_words.__doc__.splitlines()]
  (letters,) = [line[1:] for line in lines if line[:1] == ['input']]
  (targets,) = [line[1:] for line in lines if line[:1] == ['target']]
  group = group_words.make_group('s3')
  state, products = 0, []
  for letter in letters:
    state = group.table[state, group.names.index(letter)]
    products.append(group.names[state])
  assert products == targets
