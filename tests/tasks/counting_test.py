"""The languages a^n b^n and a^n b^n c^n, spelt out as strings."""

import functools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base, counting, measures

COUNT = 1500
LETTERS = {'anbn': 'ab', 'anbncn': 'abc'}
CHOICES = [
  {'length': 1},
  {'length': 10},
  {'length': 17, 'shortest': 11},
]
CASES = [(name, choice) for name in LETTERS for choice in CHOICES]
MEASURE = jax.jit(counting.measure)
ERRORS = jax.jit(counting.sequence_errors)


@functools.cache
def draw_of(name: str, choice):
  task = lv.make_task(name, 'gers01', **dict(choice))
  batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), COUNT)
  return task, jax.tree.map(np.asarray, batch)


def draw(name: str, choice: dict[str, int]):
  return draw_of(name, tuple(sorted(choice.items())))


def read(name: str, inputs: np.ndarray) -> str:
  """Return a string, '-' for each step of padding."""
  symbols = 'S' + LETTERS[name]
  assert set(np.unique(inputs)) <= {0.0, 1.0}
  sums = inputs.sum(axis=-1)
  assert np.all(sums <= 1)
  places = np.where(sums > 0, inputs.argmax(axis=-1), -1)
  return ''.join((*symbols, '-')[place] for place in places)


def sets(name: str, targets: np.ndarray) -> list[str]:
  symbols = LETTERS[name] + 'T'
  return [
    ''.join(s for s, there in zip(symbols, step, strict=True) if there)
    for step in targets
  ]


def possible(letters: str, largest: int) -> dict[str, str]:
  """Return what may follow each beginning, found by listing strings."""
  found: dict[str, set[str]] = {}
  for n in range(1, largest + 1):
    string = 'S' + ''.join(letter * n for letter in letters) + 'T'
    for end in range(1, len(string)):
      found.setdefault(string[:end], set()).add(string[end])
  order = letters + 'T'
  return {
    head: ''.join(sorted(heads, key=order.index))
    for head, heads in found.items()
  }


def solve(string: str, letters: str) -> np.ndarray:
  """Return logits, of a counter that reads one symbol after the other."""
  order = letters + 'T'
  counts = dict.fromkeys(letters, 0)
  answers = np.zeros((len(string), len(order)))
  for step, symbol in enumerate(string):
    if symbol == '-':
      continue
    if symbol == 'S':
      named = 'a'
    else:
      counts[symbol] += 1
      after = order[order.index(symbol) + 1]
      named = after if counts[symbol] == counts['a'] else symbol
      named = 'ab' if symbol == 'a' else named
    answers[step] = [40.0 if other in named else -40.0 for other in order]
  return answers.astype(np.float32)


def value(mean) -> float:
  return float(mean.total / mean.weight)


@pytest.mark.parametrize(('name', 'choice'), CASES)
def test_strings_are_of_the_language_with_n_drawn_for_each(name, choice):
  task, batch = draw(name, choice)
  letters = LETTERS[name]
  longest = len(letters) * choice['length'] + 1
  assert task.num_steps == longest
  assert batch.inputs.shape == batch.targets.shape
  assert batch.inputs.shape == (COUNT, longest, len(letters) + 1)
  counts = np.zeros(choice['length'] + 1)
  for inputs, targets, mask in zip(*batch, strict=True):
    string = read(name, inputs)
    n = string.count('a')
    counts[n] += 1
    used = 'S' + ''.join(letter * n for letter in letters)
    assert string == used.ljust(longest, '-')
    np.testing.assert_array_equal(mask, np.arange(longest) < len(used))
    assert not targets[len(used) :].any()
  shortest = choice.get('shortest', 1)
  expected = COUNT / (choice['length'] - shortest + 1)
  assert not counts[:shortest].any()
  assert np.all(np.abs(counts[shortest:] - expected) < 5 * expected**0.5)


@pytest.mark.parametrize(('name', 'choice'), CASES)
def test_targets_are_what_may_follow_in_some_string_of_the_language(
  name, choice
):
  _, batch = draw(name, choice)
  # Longer strings too: after the last a of all, another would be possible.
  table = possible(LETTERS[name], choice['length'] + 1)
  for inputs, targets in zip(batch.inputs[:500], batch.targets, strict=False):
    string = read(name, inputs).rstrip('-')
    named = sets(name, targets)[: len(string)]
    assert named == [table[string[: t + 1]] for t in range(len(string))]


def test_the_strings_of_n_3_are_those_of_the_docstring():
  lines = (counting.__doc__ or '').splitlines()
  for name in LETTERS:
    _, batch = draw(name, {'length': 10})
    row = next(n for n, line in enumerate(lines) if f'{name} ' in line)
    string = ''.join(lines[row].split()[2:])
    named = lines[row + 1].split()[1:]
    found = next(n for n in range(COUNT) if batch.mask[n].sum() == len(string))
    assert read(name, batch.inputs[found]).rstrip('-') == string
    assert sets(name, batch.targets[found])[: len(string)] == named


@pytest.mark.parametrize(('name', 'choice'), CASES)
def test_who_counts_makes_no_error(name, choice):
  task, batch = draw(name, choice)
  outputs = np.stack(
    [solve(read(name, inputs), LETTERS[name]) for inputs in batch.inputs]
  )
  means = MEASURE(outputs, batch)
  assert value(means['loss']) < 1e-9
  assert value(means['wrong']) == value(means['failed']) == 0
  assert means['failed'].weight == COUNT
  assert means['wrong'].weight == means['loss'].weight == batch.mask.sum()
  assert np.max(ERRORS(outputs, batch)) < 1e-9
  assert task.success == base.HeldOut('failed', measures.NONE)
  assert measures.NONE * COUNT < 1


def test_one_output_on_the_wrong_side_fails_its_step_and_its_string():
  name = 'anbncn'
  _, batch = draw(name, {'length': 10})
  outputs = np.stack(
    [solve(read(name, inputs), 'abc') for inputs in batch.inputs]
  )
  ends = batch.mask.sum(axis=1).astype(int)
  for n in range(100):  # the last step of each
    outputs[n, ends[n] - 1, n % 4] *= -1
  outputs[100, 0, 0] = np.nan
  outputs[101, 0, 1] = 0.0
  means = MEASURE(outputs, batch)
  assert means['wrong'].total == means['failed'].total == 102
  outputs[100, 0, 0] = 40.0
  errors = np.asarray(ERRORS(outputs, batch))
  np.testing.assert_allclose(errors[:100], 1, atol=1e-6)
  assert errors[101] == 0.5 and errors[102:].max() < 1e-6


def test_the_loss_is_the_cross_entropy_of_a_step_in_nats():
  name = 'anbn'
  task, batch = draw(name, {'length': 10})
  logits = np.random.default_rng(0).normal(size=batch.targets.shape)
  chances = 1 / (1 + np.exp(-logits))
  nats = -np.log(np.where(batch.targets > 0, chances, 1 - chances))
  steps = nats.sum(axis=-1)[batch.mask > 0]
  outputs = logits.astype(np.float32)
  assert value(MEASURE(outputs, batch)['loss']) == pytest.approx(
    steps.mean(), rel=1e-5
  )
  assert task.measure is counting.measure
  errors = np.abs(chances - batch.targets).max(axis=-1) * batch.mask
  np.testing.assert_allclose(
    ERRORS(outputs, batch), errors.max(axis=1), rtol=1e-5
  )


@pytest.mark.parametrize(
  ('name', 'choice'),
  [*CASES, ('anbn', {'length': 2}), ('anbncn', {'length': 2, 'shortest': 2})],
)
def test_chance_level_is_that_of_who_sees_the_symbol_of_the_step_alone(
  name, choice
):
  letters = LETTERS[name]
  task = lv.make_task(name, 'gers01', **choice)
  lengths = range(choice.get('shortest', 1), choice['length'] + 1)
  table = possible(letters, choice['length'] + 1)
  # following[x][y]: how often set y comes with the symbol x.
  following: dict[str, dict[str, int]] = {x: {} for x in 'S' + letters}
  steps = 0
  for n in lengths:
    string = 'S' + ''.join(letter * n for letter in letters)
    steps += len(string)
    for t, symbol in enumerate(string):
      named = table[string[: t + 1]]
      following[symbol][named] = following[symbol].get(named, 0) + 1
  loss, wrong = 0.0, 0
  for found in following.values():
    count = sum(found.values())
    wrong += count - max(found.values())
    for symbol in letters + 'T':
      there = sum(k for named, k in found.items() if symbol in named)
      for k in (there, count - there):
        loss -= k * math.log(k / count) if k else 0.0
  assert task.baselines['loss'] == pytest.approx(loss / steps, abs=1e-12)
  assert task.baselines['wrong'] == pytest.approx(wrong / steps, abs=1e-12)
  # A string is right for who names at b and c always the same set.
  single = sum(n == 1 for n in lengths) / len(lengths)
  assert task.baselines['failed'] == pytest.approx(1 - single)


def test_n_is_drawn_from_1_on_unless_a_shortest_is_given():
  assert lv.make_task('anbn').length == lv.make_task('anbncn').length == 10
  task = lv.make_task('anbn', length=30, shortest=11)
  assert task.label == 'anbn-gers01-T30-from11'
  assert lv.make_task('anbn', length=30).label == 'anbn-gers01-T30'


@pytest.mark.parametrize('name', LETTERS)
def test_n_below_1_is_refused(name):
  with pytest.raises(ValueError, match=r'length 0.*nearest: 1'):
    lv.make_task(name, 'gers01', 0)
