"""The long lags of 1997 (2a, 2b, 2c), decoded anew in NumPy."""

import functools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base, long_lag, measures

COUNT = 2000
NEXT = [('hs97_2a', 30), ('hs97_2b', 2), ('hs97_2b', 30)]
MEASURE = jax.jit(long_lag.measure)
END_ERRORS = jax.jit(long_lag.end_errors)
CLASSIFY = jax.jit(measures.classification)
ERRORS = jax.jit(measures.class_errors)


@functools.cache
def draw(dialect, length, count=COUNT, shortest=None, seed=0, symbols=0):
  task = lv.make_task(
    'long_lag', dialect, length, shortest=shortest, symbols=symbols
  )
  batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(seed), count)
  return task, jax.tree.map(np.asarray, batch)


def read(task, inputs: np.ndarray) -> list[list[str]]:
  """Return the names of each sequence's symbols; padding is zero and last."""
  assert np.all((inputs == 0) | (inputs == 1))
  total = inputs.sum(axis=-1)
  assert np.all((total == 0) | (total == 1))
  assert np.all(np.diff(total, axis=1) <= 0)
  names = np.array(task.inputs.names)[inputs.argmax(axis=-1)]
  sizes = total.sum(axis=1).astype(int)
  return [list(row[:n]) for row, n in zip(names, sizes, strict=True)]


def certain(task, answers) -> np.ndarray:
  """Return logits of a predictor that is sure of the symbols it names."""
  place = {name: n for n, name in enumerate(task.outputs.names)}
  classes = [[place[name] for name in row] for row in answers]
  return (60 * np.eye(task.out_features)[classes]).astype(np.float32)


def value(mean) -> float:
  return float(mean.total / mean.weight)


@pytest.mark.parametrize(('dialect', 'length'), NEXT)
def test_x_or_y_then_p_minus_1_others_then_the_same_again(dialect, length):
  task, batch = draw(dialect, length)
  assert task.num_steps == length == batch.inputs.shape[1]
  others = [str(n) for n in range(1, length)]
  assert task.inputs.names == task.outputs.names == (*others, 'x', 'y')
  np.testing.assert_array_equal(batch.mask, 1)
  texts = read(task, batch.inputs)
  for text, targets in zip(texts, batch.targets, strict=True):
    assert text[0] in 'xy' and len(text) == length
    assert set(text[1:]) <= set(others)
    if dialect == 'hs97_2a':
      assert text[1:] == others
    following = [task.outputs.names[n] for n in targets]
    assert following == [*text[1:], text[0]]
  share = np.mean([text[0] == 'x' for text in texts])
  assert abs(share - 0.5) < 2.5 / COUNT**0.5


def test_2b_draws_the_others_uniformly_and_independently():
  _, batch = draw('hs97_2b', 30)
  middle = batch.inputs[:, 1:].argmax(axis=-1)
  counts = np.bincount(middle.ravel(), minlength=29)
  expected = COUNT * 29 / 29
  assert len(counts) == 29
  assert np.all(np.abs(counts - expected) < 5 * expected**0.5)
  correlation = np.corrcoef(middle.T) - np.eye(29)
  assert np.abs(correlation).max() < 5 / COUNT**0.5
  first = batch.inputs[:, 0].argmax(axis=-1)
  assert abs(np.corrcoef(first, middle[:, 0])[0, 1]) < 5 / COUNT**0.5


@pytest.mark.parametrize(('length', 'symbols'), [(1, 0), (20, 7)])
def test_2c_is_b_x_or_y_q_plus_k_distractors_and_e(length, symbols):
  task, batch = draw('hs97_2c', length, symbols=symbols)
  count = symbols or length
  others = [str(n) for n in range(1, count + 1)]
  assert task.inputs.names == (*others, 'e', 'b', 'x', 'y')
  assert task.outputs.names == ('x', 'y')
  assert task.num_steps == length + 100 + 3
  texts = read(task, batch.inputs)
  for text in texts:
    assert text[0] == 'b' and text[1] in 'xy' and text[-1] == 'e'
    assert set(text[2:-1]) <= set(others)
  ends = np.array([len(text) - 1 for text in texts])
  expected = np.arange(task.num_steps) == ends[:, None]
  np.testing.assert_array_equal(batch.mask, expected)
  assert [task.outputs.names[n] for n in batch.targets[expected]] == [
    text[1] for text in texts
  ]
  extra = ends - 2 - length
  assert min(extra) == 0 and max(extra) <= 100
  # After q distractors e has probability 1/10 at every step: mean 9.
  seen = np.bincount(extra, minlength=20)[:20] / COUNT
  chances = 0.1 * 0.9 ** np.arange(20)
  assert np.all(np.abs(seen - chances) < 5 * (chances / COUNT) ** 0.5)
  assert np.mean(extra) == pytest.approx(9, abs=5 * 9.5 / COUNT**0.5)
  middle = [int(name) for text in texts for name in text[2:-1]]
  counts = np.bincount(middle, minlength=count + 1)[1:]
  expected = len(middle) / count
  assert np.all(np.abs(counts - expected) < 5 * expected**0.5 + 1)
  assert abs(np.mean([text[1] == 'x' for text in texts]) - 0.5) < 0.04


def test_2c_leaves_out_less_than_1_sequence_in_10_000():
  task = lv.make_task('long_lag', 'hs97_2c', 50)
  most = task.num_steps - 3 - 50
  assert 0.9 ** (most + 1) < 1e-4


@pytest.mark.parametrize(('dialect', 'length'), NEXT)
def test_who_remembers_the_first_symbol_knows_the_last(dialect, length):
  task, batch = draw(dialect, length)
  others = [str(n) for n in range(1, length)]
  texts = read(task, batch.inputs)
  if dialect == 'hs97_2a':
    outputs = certain(task, [[*others, text[0]] for text in texts])
  else:
    # Any of the others, and then the first again.
    outputs = certain(task, [['1'] * (length - 1) + [n[0]] for n in texts])
    outputs[:, :-1] = np.where(np.arange(length + 1) < length - 1, 0.0, -60.0)
  means = MEASURE(outputs, batch)
  assert value(means['end_loss']) < 1e-6
  assert means['wrong'].total == 0 and means['wrong'].weight == COUNT
  errors = ERRORS if dialect == 'hs97_2a' else END_ERRORS
  assert errors(outputs, batch).max() < 1e-6
  known = dialect == 'hs97_2a'
  best = 0.0 if known else (length - 1) * math.log(length - 1) / length
  assert value(means['loss']) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize(('length', 'symbols'), [(1, 0), (20, 7)])
def test_2c_who_remembers_the_second_symbol_makes_no_error(length, symbols):
  task, batch = draw('hs97_2c', length, symbols=symbols)
  texts = read(task, batch.inputs)
  steps = task.num_steps
  outputs = certain(
    task, [['x'] * (len(n) - 1) + [n[1]] * (steps + 1 - len(n)) for n in texts]
  )
  means = CLASSIFY(outputs, batch)
  assert value(means['loss']) < 1e-6
  assert means['wrong'].total == means['failed'].total == 0
  assert means['wrong'].weight == COUNT
  assert ERRORS(outputs, batch).max() < 1e-6
  assert task.measure is measures.classification
  assert task.sequence_errors is measures.class_errors


def forget(task, batch, length: int) -> np.ndarray:
  """Return logits of who knows the step and p, but not the first symbol."""
  outputs = np.full((*batch.targets.shape, task.out_features), -60, np.float32)
  for t in range(length - 1):
    outputs[:, t, t if task.dialect == 'hs97_2a' else slice(length - 1)] = 0
  outputs[:, length - 1, -2:] = 0
  outputs[::2, length - 1, -2] = 1e-5
  return outputs


@pytest.mark.parametrize('dialect', ['hs97_2a', 'hs97_2b'])
@pytest.mark.parametrize('shortest', [None, 6])
def test_chance_level_is_that_of_guessing_the_last_symbol(dialect, shortest):
  totals: dict[str, np.ndarray] = {}
  seen = set()
  chance = lv.make_task('long_lag', dialect, 9, shortest=shortest).baselines
  for seed in range(60 if shortest else 1):
    task, batch = draw(dialect, 9, 20 if shortest else COUNT, shortest, seed)
    (length,) = set(batch.mask.sum(axis=1).astype(int))
    seen.add(length)
    for text in read(task, batch.inputs):
      assert len(text) == length
      assert max(map(int, text[1:])) < length
    for metric, mean in MEASURE(forget(task, batch, length), batch).items():
      totals[metric] = totals.get(metric, 0) + np.array(mean)
  assert seen == (set(range(6, 10)) if shortest else {9})
  assert set(totals) == set(chance)
  for metric, (total, weight) in totals.items():
    loose = 0.006 if dialect == 'hs97_2a' else 0.08
    limit = {'loss': loose if shortest else 1e-4, 'wrong': 0.05}
    assert total / weight == pytest.approx(
      chance[metric], abs=limit.get(metric, 1e-4)
    )


def test_chance_levels_are_those_of_the_formulas():
  chance = lv.make_task('long_lag', 'hs97_2a', 100).baselines
  assert chance['loss'] == pytest.approx(math.log(2) / 100)
  chance = lv.make_task('long_lag', 'hs97_2b', 100).baselines
  expected = (99 * math.log(99) + math.log(2)) / 100
  assert chance['loss'] == pytest.approx(expected)
  task, batch = draw('hs97_2c', 20)
  chance = task.baselines
  means = CLASSIFY(np.zeros((*batch.targets.shape, 2), np.float32), batch)
  assert set(means) == set(chance)
  for metric, mean in means.items():
    assert value(mean) == pytest.approx(chance[metric], abs=0.04)


@pytest.mark.parametrize(
  ('dialect', 'shortest'), [('hs97_2b', 2), ('hs97_2c', 1)]
)
def test_sequences_are_whole_at_drawn_lengths(dialect, shortest):
  seen = set()
  for seed in range(40):
    task, batch = draw(dialect, 6, 20, shortest, seed)
    texts = read(task, batch.inputs)
    if dialect == 'hs97_2b':
      (length,) = set(map(len, texts))
      answers = [text[0] for text in texts]
    else:
      length = min(map(len, texts)) - 3
      answers = [text[1] for text in texts]
      assert all(text[-1] == 'e' for text in texts)
    seen.add(length)
    ends = [len(text) - 1 for text in texts]
    last = batch.targets[np.arange(20), ends]
    names = np.array(task.outputs.names)
    assert list(names[last]) == answers
    assert not batch.mask[np.arange(task.num_steps) > np.c_[ends]].any()
    assert np.all(batch.mask[np.arange(20), ends] == 1)
  assert seen >= set(range(shortest, 7))


def test_success_is_judged_at_all_steps_in_2a_and_at_the_end_in_2b():
  task, batch = draw('hs97_2a', 30)
  outputs = certain(
    task, [[task.outputs.names[n] for n in row] for row in batch.targets]
  )
  outputs[0, 3, :] = 0.0
  outputs[1, -1, :] = 0.0
  assert task.sequence_errors is measures.class_errors
  at_all = np.asarray(ERRORS(outputs, batch))
  np.testing.assert_allclose(at_all[:2], 30 / 31, rtol=1e-5)
  assert at_all[2:].max() < 1e-6
  at_end = np.asarray(END_ERRORS(outputs, batch))
  assert at_end[0] < 1e-6 and at_end[1] == pytest.approx(30 / 31, rel=1e-5)
  assert lv.make_task('long_lag', 'hs97_2b', 30).sequence_errors is (
    long_lag.end_errors
  )
  means = MEASURE(outputs, batch)
  assert value(means['end_loss']) == pytest.approx(
    math.log(31) / COUNT, rel=0.01
  )
  loss = 2 * math.log(31) / (30 * COUNT)
  assert value(means['loss']) == pytest.approx(loss, rel=0.01)


@pytest.mark.parametrize(
  ('dialect', 'tolerance'),
  [('hs97_2a', 0.25), ('hs97_2b', 0.25), ('hs97_2c', 0.2)],
)
def test_success_is_10_000_sequences_within_the_tolerance(dialect, tolerance):
  rule = lv.make_task('long_lag', dialect, 100).success
  assert isinstance(rule, base.LastSequences)
  assert (rule.window, rule.tolerance) == (10_000, tolerance)
  assert (rule.mean, rule.allowed) == (math.inf, 0)


def test_the_papers_networks_have_the_papers_numbers_of_weights():
  task = lv.make_task('long_lag', 'hs97_2a', 100)
  inputs, outputs = task.in_features, task.out_features
  # Inputs to outputs, to a cell and to its gate; the cell to the outputs.
  assert inputs * outputs + 2 * inputs + outputs == 10_504
  for length, symbols, weights in (
    *((50, 50, 364), (100, 100, 664), (200, 200, 1264)),
    *((1000, 1000, 6064), (1000, 500, 3064), (1000, 50, 364)),
  ):
    task = lv.make_task('long_lag', 'hs97_2c', length, symbols=symbols)
    # Two cells and four gates, fed by the inputs and each other.
    fed = 6 * (task.in_features + 6)
    assert fed + 2 * task.out_features == weights


def test_published_results_are_those_of_the_paper():
  for dialect, sequences in (('hs97_2a', 5040), ('hs97_2b', 5680)):
    (result,) = lv.make_task('long_lag', dialect, 100).published
    assert (result.length, result.value) == (100, sequences)
    assert '10,504 weights' in result.note
  table = {
    (50, 0): 30e3,
    (100, 0): 31e3,
    (200, 0): 33e3,
    (500, 0): 38e3,
    (1000, 0): 49e3,
    (1000, 500): 49e3,
    (1000, 200): 75e3,
    (1000, 100): 135e3,
    (1000, 50): 203e3,
  }
  for (length, symbols), sequences in table.items():
    task = lv.make_task('long_lag', 'hs97_2c', length, symbols=symbols)
    found = [n for n in task.published if n.length == length]
    assert [result.value for result in found] == [sequences]
    assert f'{6 * ((symbols or length) + 10) + 4:,} weights' in found[0].note


def test_the_number_of_distractors_is_an_option_of_2c_alone():
  task = lv.make_task('long_lag', 'hs97_2c', 100, symbols=7)
  assert task.in_features == 11 and task.label.endswith('T100-symbols7')
  assert lv.make_task('long_lag', 'hs97_2c', 100).in_features == 104
  with pytest.raises(ValueError, match='symbols -1.*nearest: 1'):
    lv.make_task('long_lag', 'hs97_2c', 100, symbols=-1)
  with pytest.raises(ValueError, match='no such option'):
    lv.make_task('long_lag', 'hs97_2a', 100, symbols=7)


@pytest.mark.parametrize(
  ('dialect', 'shortest'), [('hs97_2a', 2), ('hs97_2b', 2), ('hs97_2c', 1)]
)
def test_too_short_a_length_is_refused(dialect, shortest):
  with pytest.raises(ValueError, match=f'{dialect} needs at least {shortest}'):
    lv.make_task('long_lag', dialect, shortest - 1)
