"""Four regular languages as two papers pose them, words decoded anew."""

import collections
import functools
import itertools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import measures

REGULAR = ('parity', 'even_pairs', 'cycle_navigation', 'modular_arithmetic')
CASES = [(name, d) for name in REGULAR for d in ('deletang23', 'xlstm24')]
COUNT = 400
MEASURE = jax.jit(measures.classification)
ERRORS = jax.jit(measures.class_errors)


@functools.cache
def draw(name, dialect, length, shortest=None, batches=1, **options):
  """Draw batches, their leaves `[batches, COUNT, ...]`."""
  task = lv.make_task(name, dialect, length, shortest=shortest, **options)
  sample = jax.jit(task.sample, static_argnums=1)
  keys = jax.random.split(jax.random.key(batches), batches)
  drawn = [sample(key, COUNT) for key in keys]
  return task, jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)


def read(task, inputs):
  """Return the tokens of one sequence; nothing but zeros may follow them."""
  assert np.all((inputs == 0) | (inputs == 1))
  total = inputs.sum(axis=-1).astype(int)
  steps = total.sum()
  assert list(total) == [1] * steps + [0] * (len(total) - steps)
  return [task.inputs.names[n] for n in inputs[:steps].argmax(axis=-1)]


def solve(name, tokens, symbols=5):
  """Return the answer to a word, with or without the token that asks for it."""
  # The sign = is a move on the circle.
  asked = '?' if name == 'cycle_navigation' else '?='
  word = ''.join(token for token in tokens if token not in asked)
  if name == 'parity':
    return str(word.count('1') % 2)
  if name == 'even_pairs':
    pairs = [a + b for a, b in itertools.pairwise(word)]
    return str((pairs.count('01') + pairs.count('10')) % 2)
  if name == 'cycle_navigation':
    place = 0
    for move in word:
      place += {'<': -1, '=': 0, '>': 1}[move]
    return str(place % symbols)
  return str(eval(word) % symbols)  # noqa: S307


def check_every_answer(task, batch, symbols=5):
  """Check each sequence; return the answers and the numbers of tokens."""
  answers = []
  counts = []
  for inputs, targets, mask in zip(*batch, strict=True):
    tokens = read(task, inputs)
    last = len(tokens) - 1
    assert list(np.flatnonzero(mask)) == [last] and mask[last] == 1
    answers.append(task.outputs.names.index(solve(task.name, tokens, symbols)))
    assert targets[last] == answers[-1]
    counts.append(len(tokens))
  return np.array(answers), np.array(counts)


def value(means):
  """Return the metrics of several batches."""
  return {
    name: sum(float(mean[name].total) for mean in means)
    / sum(float(mean[name].weight) for mean in means)
    for name in means[0]
  }


def word_steps(name, dialect, length):
  """Return the tokens that a model reads at T, by the two papers."""
  odd = name == 'modular_arithmetic' and length % 2 == 0
  return length - odd + (1 if dialect == 'deletang23' else -1)


@pytest.mark.parametrize(
  ('name', 'inputs', 'answers', 'vocabulary'),
  [
    ('parity', '01', '01', '_01'),
    ('even_pairs', '01', '01', '_01'),
    ('cycle_navigation', '<=>', '01234', '_<=>01234'),
    ('modular_arithmetic', '01234+-*', '01234', '_01234+-*='),
  ],
)
def test_alphabets_are_those_of_the_papers(name, inputs, answers, vocabulary):
  task = lv.make_task(name, 'deletang23')
  assert ''.join(task.inputs.names) == inputs + '?'
  assert ''.join(task.outputs.names) == answers
  task = lv.make_task(name, 'xlstm24')
  mark = '=' if name == 'modular_arithmetic' else ''
  assert ''.join(task.inputs.names) == inputs + mark
  assert ''.join(task.outputs.names) == vocabulary
  sizes = {'parity': 3, 'even_pairs': 3, 'cycle_navigation': 9}
  assert task.out_features == sizes.get(name, 10)


@pytest.mark.parametrize(('name', 'dialect'), CASES)
def test_who_knows_the_rule_makes_no_error(name, dialect):
  task, batch = draw(name, dialect, 12, batches=300)
  batch = jax.tree.map(lambda leaf: leaf[0], batch)
  answers, _ = check_every_answer(task, batch)
  sure = 60 * np.eye(task.out_features, dtype=np.float32)[answers]
  outputs = np.repeat(sure[:, None], task.num_steps, axis=1)
  means = MEASURE(outputs, batch)
  assert means['wrong'].weight == means['loss'].weight == COUNT
  assert max(value([means]).values()) < 1e-6
  assert ERRORS(outputs, batch).max() < 1e-6


@pytest.mark.parametrize(('name', 'dialect'), CASES)
def test_letters_are_drawn_independently_and_equally_likely(name, dialect):
  task, batch = draw(name, dialect, 12, batches=300)
  full = batch.mask[..., -1] == 1
  tokens = batch.inputs[full].argmax(axis=-1)
  marked = dialect == 'deletang23' or name == 'modular_arithmetic'
  if marked:
    assert np.all(tokens[:, -1] == task.in_features - 1)
    tokens = tokens[:, :-1]
  for place, found in enumerate(tokens.T):
    possible = list(range(3 if name == 'cycle_navigation' else 2))
    if name == 'modular_arithmetic':
      possible = [5, 6, 7] if place % 2 else list(range(5))
    counts = np.bincount(found, minlength=10)[possible]
    assert counts.sum() == len(tokens) > 5000
    expected = len(tokens) / len(possible)
    assert np.all(np.abs(counts - expected) < 5 * expected**0.5)
  correlation = np.corrcoef(tokens.T) - np.eye(tokens.shape[1])
  assert np.abs(correlation).max() < 5 / len(tokens) ** 0.5


def check_lengths(task, batch, shortest):
  """Check that T is drawn uniformly, by the batch or by the sequence."""
  steps = batch.inputs.sum(axis=(2, 3)).astype(int)
  np.testing.assert_array_equal(batch.mask.argmax(axis=2), steps - 1)
  lengths = range(shortest, task.length + 1)
  share = collections.Counter(
    word_steps(task.name, task.dialect, length) for length in lengths
  )
  if task.dialect == 'deletang23':
    assert np.all(steps == steps[:, :1])
    steps = steps[:, :1]
  else:
    if shortest < task.length:
      assert np.abs(np.corrcoef(steps[:, :9].T) - np.eye(9)).max() < 0.4
    share = dict.fromkeys(share, 1)
  seen = collections.Counter(steps.ravel().tolist())
  assert set(seen) == set(share)
  assert max(seen) == task.num_steps
  for count, times in share.items():
    expected = steps.size * times / sum(share.values())
    assert abs(seen[count] - expected) < 5 * expected**0.5


@pytest.mark.parametrize(('name', 'dialect'), CASES)
def test_t_is_drawn_by_the_batch_or_by_the_sequence(name, dialect):
  task, batch = draw(name, dialect, 12, batches=300)
  check_lengths(task, batch, 1 if dialect == 'deletang23' else 3)


def enumerate_words(name, steps):
  """Yield all words of `steps` letters, each as likely as the others."""
  if name == 'modular_arithmetic':
    sets = ['+-*' if n % 2 else '01234' for n in range(steps)]
  else:
    sets = ['<=>' if name == 'cycle_navigation' else '01'] * steps
  yield from itertools.product(*sets)


@pytest.mark.parametrize(('name', 'dialect'), CASES)
@pytest.mark.parametrize(
  ('length', 'shortest'), [(3, 3), (6, None), (6, 4), (7, 5)]
)
def test_chance_level_is_the_best_guess_from_the_last_token(
  name, dialect, length, shortest
):
  """All words, one by one: what is seen last, and the answer."""
  joint = collections.defaultdict(float)
  marked = dialect == 'deletang23' or name == 'modular_arithmetic'
  lowest = shortest or (1 if dialect == 'deletang23' else 3)
  drawn = [word_steps(name, dialect, n) for n in range(lowest, length + 1)]
  drawn = drawn if dialect == 'deletang23' else sorted(set(drawn))
  for steps in drawn:
    words = list(enumerate_words(name, steps - marked))
    for word in words:
      seen = '?' if marked else word[-1]
      joint[seen, solve(name, word)] += 1 / len(words) / len(drawn)
  loss, right = 0.0, 0.0
  for seen in {seen for seen, _ in joint}:
    row = [p for (other, _), p in joint.items() if other == seen]
    loss -= sum(p * math.log(p / sum(row)) for p in row)
    right += max(row)
  task = lv.make_task(name, dialect, length, shortest=shortest)
  assert task.baselines['loss'] == pytest.approx(loss, abs=1e-12)
  assert task.baselines['wrong'] == pytest.approx(1 - right, abs=1e-12)
  assert task.baselines['failed'] == task.baselines['wrong']


@pytest.mark.parametrize(('name', 'dialect'), CASES)
def test_a_guesser_has_the_chance_level_on_drawn_batches(name, dialect):
  task, batch = draw(name, dialect, 12, batches=300)
  last = np.nonzero(batch.mask)
  table = np.full((task.in_features, task.out_features), 1e-9)
  np.add.at(
    table, (batch.inputs[last].argmax(axis=-1), batch.targets[last]), 1.0
  )
  table = np.log(table / table.sum(axis=1, keepdims=True)).astype(np.float32)
  means = []
  for n in range(100):
    one = jax.tree.map(lambda leaf, n=n: leaf[n], batch)
    means.append(MEASURE(table[one.inputs.argmax(axis=-1)], one))
  for metric, found in value(means).items():
    assert found == pytest.approx(task.baselines[metric], abs=0.03)


def test_chance_levels_at_the_usual_lengths():
  even = lv.make_task('even_pairs').baselines
  share = 39 / 80
  assert even['wrong'] == pytest.approx(share)
  entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
  assert even['loss'] == pytest.approx(entropy)
  for name, dialect in CASES[:3]:
    loss = lv.make_task(name, dialect).baselines['loss']
    assert loss == pytest.approx(math.log(2), abs=0.002)
  for name, dialect in CASES[4:]:
    chance = lv.make_task(name, dialect, 256, shortest=40).baselines
    assert chance['loss'] == pytest.approx(math.log(5), abs=1e-3)
    assert chance['wrong'] == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize('longest', [700, 10**6])
def test_the_chance_level_of_long_walks_follows_the_walk_to_the_end(longest):
  # Of a walk on a circle: eigenvalues (1 + 2 cos(2πk/5)) / 3, summed over T.
  waves = np.array(
    [(1 + 2 * math.cos(2 * math.pi * k / 5)) / 3 for k in range(5)]
  )
  sums = np.full(5, longest, float)
  sums[1:] = (waves[1:] - waves[1:] ** (longest + 1)) / (1 - waves[1:])
  spread = np.fft.ifft(sums).real / longest
  found = lv.make_task('cycle_navigation', 'deletang23', longest).baselines
  assert found['wrong'] == pytest.approx(1 - spread.max(), abs=1e-12)
  assert found['loss'] == pytest.approx(-spread @ np.log(spread), abs=1e-12)


@pytest.mark.parametrize(('name', 'dialect'), CASES)
def test_training_lengths_and_results_are_those_of_the_papers(name, dialect):
  task = lv.make_task(name, dialect)
  assert task.length == 40 and task.label == f'{name}-{dialect}-T40'
  assert task.num_steps == word_steps(name, dialect, 40)
  shortest = 1 if dialect == 'deletang23' else 3
  assert lv.make_task(name, dialect, 40, shortest=shortest).label == task.label
  assert str(task.success) == 'held-out wrong below 0.1'
  (result,) = task.published
  tested = {'deletang23': (500, 100.0), 'xlstm24': (256, 100.0)}[dialect]
  if (name, dialect) == ('modular_arithmetic', 'xlstm24'):
    tested = (256, 99.9)
  assert (result.length, result.value, result.unit) == (*tested, '% right')
  assert ('2509.22284' in result.source) == (dialect == 'xlstm24')


@pytest.mark.parametrize(
  ('name', 'dialect', 'symbols', 'length', 'shortest'),
  [
    ('cycle_navigation', 'deletang23', 2, 52, 41),
    ('cycle_navigation', 'xlstm24', 12, 11, 11),
    ('modular_arithmetic', 'deletang23', 10, 11, 11),
    ('modular_arithmetic', 'xlstm24', 2, 52, 41),
  ],
)
def test_modulus_and_lengths_can_be_chosen(
  name, dialect, symbols, length, shortest
):
  task, batch = draw(name, dialect, length, shortest, 200, symbols=symbols)
  assert task.label.endswith(f'-from{shortest}-symbols{symbols}')
  check_lengths(task, batch, shortest)
  few = jax.tree.map(lambda leaf: leaf[:50, :4], batch)
  few = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), few)
  check_every_answer(task, few, symbols)
  numbers = [str(n) for n in range(symbols)]
  assert [n for n in task.outputs.names if n.isdigit()] == numbers
  assert not task.published


@pytest.mark.parametrize(
  ('name', 'dialect', 'choice', 'message'),
  [
    ('parity', 'deletang23', {'length': 0}, 'needs at least 1 steps'),
    ('even_pairs', 'xlstm24', {'length': 2}, 'needs at least 3 steps'),
    (
      'modular_arithmetic',
      'xlstm24',
      {'shortest': 2},
      'needs at least 3 steps',
    ),
    ('cycle_navigation', 'deletang23', {'symbols': 1}, 'nearest: 2'),
    ('cycle_navigation', 'xlstm24', {'symbols': 101}, 'nearest: 100'),
    ('modular_arithmetic', 'deletang23', {'symbols': 11}, 'nearest: 10'),
    ('parity', 'xlstm24', {'symbols': 3}, 'no such option'),
  ],
)
def test_choices_without_sense_are_refused(name, dialect, choice, message):
  with pytest.raises(ValueError, match=message):
    lv.make_task(name, dialect, **choice)
