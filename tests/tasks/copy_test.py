"""The copy task against its papers, decoded anew in NumPy."""

import functools
import math
from typing import Any

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import copy

DIALECTS = ('urnn16', 'variable', 'tallec18', 'janet18', 'tcn18')
CASES = [(dialect, length) for dialect in DIALECTS for length in (1, 25)]
COUNT = 3000
SAMPLES = 30_000
# Compiling is what takes time here, not running.
QUICK = {'xla_backend_optimization_level': 0}
MEASURE = jax.jit(copy.measure, compiler_options=QUICK)


def compiled(task):
  return jax.jit(task.sample, static_argnums=1, compiler_options=QUICK)


@functools.cache
def draw(dialect: str, length: int, count: int = COUNT, **choices: Any):
  task = lv.make_task('copy', dialect, length, **choices)
  batch = compiled(task)(jax.random.key(0), count)
  return task, jax.tree.map(np.asarray, batch)


def read_tokens(task, batch) -> np.ndarray:
  """Return the class of each step, -1 for padding."""
  inputs = batch.inputs
  if not task.inputs.one_hot:  # the class itself
    assert inputs.shape[-1] == 1
    assert not inputs[batch.mask == 0].any()
    return np.where(batch.mask > 0, inputs[..., 0], -1).astype(int)
  assert np.all((inputs == 0) | (inputs == 1))
  total = inputs.sum(axis=-1)
  assert np.all((total == 0) | (total == 1))
  return np.where(total > 0, inputs.argmax(axis=-1), -1)


def solve(tokens: np.ndarray, symbols: int = 8, items: int = 10) -> np.ndarray:
  """Return the answer of one sequence: after the marker, the first symbols."""
  answer = [0] * len(tokens)
  start = list(tokens).index(symbols + 1) + 1
  answer[start : start + items] = [int(token) for token in tokens[:items]]
  return np.array(answer)


def certain(classes: np.ndarray, count: int) -> np.ndarray:
  """Return logits of a predictor that is sure of `classes`."""
  return (60.0 * np.eye(count)[classes]).astype(np.float32)


def share_wrong(task, outputs, batch) -> np.ndarray:
  judge = jax.jit(task.sequence_errors, compiler_options=QUICK)
  return np.asarray(judge(outputs, batch))


def value(mean) -> float:
  return float(mean.total / mean.weight)


@pytest.mark.parametrize('length', [1, 25])
@pytest.mark.parametrize(
  ('dialect', 'wait', 'marks'),
  [
    ('urnn16', -1, 1),
    ('tallec18', -1, 1),
    ('janet18', 0, 1),
    ('tcn18', -1, 11),
  ],
)
def test_ten_symbols_a_wait_the_marker_and_the_time_to_answer(
  dialect, wait, marks, length
):
  """A wait of T - 1 blanks, or of T; one marker, or one that stays."""
  task, batch = draw(dialect, length)
  wait += length
  assert task.num_steps == wait + 21
  features = 1 if dialect == 'tcn18' else 10
  assert batch.inputs.shape == (COUNT, wait + 21, features)
  assert batch.targets.shape == batch.mask.shape == (COUNT, wait + 21)
  tokens = read_tokens(task, batch)
  assert set(np.unique(tokens[:, :10])) == set(range(1, 9))
  assert not tokens[:, 10 : 10 + wait].any()
  assert np.all(tokens[:, 10 + wait : 10 + wait + marks] == 9)
  assert np.sum(tokens == 9) == marks * COUNT
  assert not tokens[:, 10 + wait + marks :].any()
  np.testing.assert_array_equal(batch.mask, 1.0)


def test_tallec18_has_the_sequences_of_urnn16():
  task, batch = draw('tallec18', 25)
  for ours, theirs in zip(batch, draw('urnn16', 25)[1], strict=True):
    np.testing.assert_array_equal(ours, theirs)
  assert 'Tallec' in task.reference


@pytest.mark.parametrize('length', [1, 25])
def test_variable_waits_from_1_to_t_blanks_and_pads_with_zero_vectors(length):
  task, batch = draw('variable', length)
  assert task.num_steps == length + 21 == batch.inputs.shape[1]
  tokens = read_tokens(task, batch)
  waits = []
  for row, mask in zip(tokens, batch.mask, strict=True):
    assert np.all((row[:10] >= 1) & (row[:10] <= 8))
    (marker,) = np.flatnonzero(row == 9)
    steps = marker + 11
    assert not row[10:marker].any() and not row[marker + 1 : steps].any()
    assert np.all(row[steps:] == -1)
    assert np.all(mask[:steps] == 1) and np.all(mask[steps:] == 0)
    waits.append(marker - 10)
  counts = np.bincount(waits, minlength=length + 1)
  assert counts[0] == 0 and len(counts) == length + 1
  expected = COUNT / length
  assert np.all(np.abs(counts[1:] - expected) < 5 * expected**0.5 + 1)


@pytest.mark.parametrize('dialect', DIALECTS)
def test_symbols_are_independent_and_equally_likely(dialect):
  task, batch = draw(dialect, 25)
  symbols = read_tokens(task, batch)[:, :10]
  for place in range(10):
    counts = np.bincount(symbols[:, place], minlength=9)[1:]
    assert np.all(np.abs(counts - COUNT / 8) < 5 * (COUNT / 8) ** 0.5)
  correlation = np.corrcoef(symbols.T) - np.eye(10)
  assert np.abs(correlation).max() < 5 / COUNT**0.5


@pytest.mark.parametrize(('dialect', 'length'), CASES)
def test_who_knows_the_rule_makes_no_error(dialect, length):
  task, batch = draw(dialect, length)
  tokens = read_tokens(task, batch)
  answers = np.stack([solve(row) for row in tokens])
  np.testing.assert_array_equal(batch.targets, answers)
  outputs = certain(answers, len(task.outputs.names))
  means = MEASURE(outputs, batch)
  assert value(means['loss']) < 1e-6 and value(means['recall_loss']) < 1e-6
  assert means['wrong'].total == 0 and means['wrong'].weight == 10 * COUNT
  assert not share_wrong(task, outputs, batch).any()


@pytest.mark.parametrize(
  ('dialect', 'length', 'count', 'rel'),
  [
    *((dialect, 1, COUNT, 1e-4) for dialect in DIALECTS),
    *((dialect, 25, COUNT, 1e-2) for dialect in DIALECTS),
    ('variable', 5, SAMPLES, 3e-3),
  ],
)
def test_chance_level_is_that_of_a_predictor_without_memory(
  dialect, length, count, rel
):
  """It knows where the answer is, not what: 1/8 each, certain of blanks."""
  task, batch = draw(dialect, length, count)
  seen = np.cumsum(read_tokens(task, batch) == 9, axis=1) > 0
  after = np.roll(seen, 1, axis=1) & seen
  after[:, 0] = False
  never = [-60.0] * (len(task.outputs.names) - 9)
  blank, guess = [60.0] + [0.0] * 8 + never, [-60.0] + [0.0] * 8 + never
  outputs = np.array([blank, guess], np.float32)[after.astype(int)]
  means = MEASURE(outputs, batch)
  for name in ('loss', 'recall_loss'):
    assert value(means[name]) == pytest.approx(task.baselines[name], rel=rel)
  noise = 5 * (7 / 64 / (10 * count)) ** 0.5
  assert abs(value(means['wrong']) - task.baselines['wrong']) < noise
  assert np.mean(share_wrong(task, outputs, batch)) == pytest.approx(
    value(means['wrong']), abs=1e-5
  )


@pytest.mark.parametrize(
  ('length', 'chance'),
  [(100, 0.1733), (200, 0.0945), (300, 0.0650), (500, 0.0400), (1000, 0.0204)],
)
def test_urnn16_chance_level_is_that_of_the_paper(length, chance):
  task = lv.make_task('copy', 'urnn16', length)
  assert task.baselines['loss'] == pytest.approx(chance, abs=6e-5)
  formula = 10 * math.log(8) / (length + 20)
  assert task.baselines['loss'] == pytest.approx(formula, rel=1e-12)
  for dialect, same in (('tallec18', 0), ('tcn18', 0), ('janet18', -1)):
    other = lv.make_task('copy', dialect, length + same)
    assert other.baselines == task.baselines


def test_losses_are_means_of_cross_entropies_over_graded_steps():
  task, batch = draw('variable', 25)
  batch = jax.tree.map(lambda leaf: leaf[:300], batch)
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(*batch.targets.shape, 9))
  steps, recalled, wrong, share = [], [], [], []
  for n, mask in enumerate(batch.mask):
    marker = int(np.sum(mask)) - 11
    for t in range(int(np.sum(mask))):
      chances = np.exp(logits[n, t]) / np.sum(np.exp(logits[n, t]))
      steps.append(-np.log(chances[batch.targets[n, t]]))
      if t > marker:
        recalled.append(steps[-1])
        wrong.append(np.argmax(logits[n, t]) != batch.targets[n, t])
    share.append(np.mean(wrong[-10:]))
  outputs = logits.astype(np.float32)
  means = MEASURE(outputs, batch)
  assert value(means['loss']) == pytest.approx(np.mean(steps), rel=1e-5)
  assert float(task.loss(jax.numpy.asarray(outputs), batch)) == pytest.approx(
    np.mean(steps), rel=1e-5
  )
  assert value(means['recall_loss']) == pytest.approx(
    np.mean(recalled), rel=1e-5
  )
  assert value(means['wrong']) == pytest.approx(np.mean(wrong), rel=1e-6)
  errors = share_wrong(task, outputs, batch)
  np.testing.assert_allclose(errors, share, atol=1e-6)


@pytest.mark.parametrize('dialect', DIALECTS)
def test_too_short_a_length_is_refused(dialect):
  with pytest.raises(ValueError, match=f'length 0.*{dialect} needs at least 1'):
    lv.make_task('copy', dialect, 0)


@pytest.mark.parametrize(
  ('dialect', 'symbols', 'items'),
  [
    ('urnn16', 2, 1),
    ('variable', 5, 3),
    ('tallec18', 9, 4),
    ('janet18', 70, 12),
    ('tcn18', 5, 3),
  ],
)
def test_the_alphabet_and_the_number_of_symbols_can_be_chosen(
  dialect, symbols, items
):
  task, batch = draw(dialect, 6, 2000, symbols=symbols, items=items)
  tokens = read_tokens(task, batch)
  wanted = set(range(1, symbols + 1))
  assert set(np.unique(tokens[:, :items])) == wanted
  first_marker = (tokens == symbols + 1).argmax(axis=1)
  blanks = {'variable': range(1, 7), 'janet18': (6,)}.get(dialect, (5,))
  assert set(first_marker - items) == set(blanks)
  np.testing.assert_array_equal(
    batch.mask.sum(axis=1), first_marker + items + 1
  )
  answers = np.stack([solve(row, symbols, items) for row in tokens])
  np.testing.assert_array_equal(batch.targets, answers)
  assert len(task.outputs.names) == symbols + 1 + (dialect == 'tcn18')
  assert len(set(task.outputs.names)) == len(task.outputs.names)
  if dialect != 'tcn18':
    assert task.inputs.names == (*task.outputs.names, '?')
  means = MEASURE(certain(answers, len(task.outputs.names)), batch)
  assert value(means['loss']) < 1e-6 and means['wrong'].total == 0
  assert means['wrong'].weight == 2000 * items
  steps = batch.mask.sum() / 2000
  chance = items * math.log(symbols) / steps
  assert task.baselines['loss'] == pytest.approx(chance, rel=0.02)
  assert task.baselines['recall_loss'] == pytest.approx(math.log(symbols))
  assert task.baselines['wrong'] == pytest.approx(1 - 1 / symbols)
  outputs = certain((answers > 0).astype(int), len(task.outputs.names))
  errors = share_wrong(task, outputs, batch)
  expected = np.mean(tokens[:, :items] != 1, axis=1)
  np.testing.assert_allclose(errors, expected, atol=1e-6)


def test_one_character_names_a_class_as_long_as_there_are_enough():
  task = lv.make_task('copy', 'urnn16', 5)
  assert task.inputs.names == (*task.outputs.names, '?') == tuple('.12345678?')
  task = lv.make_task('copy', 'urnn16', 5, symbols=61)
  assert {len(name) for name in task.inputs.names} == {1}
  task = lv.make_task('copy', 'urnn16', 5, symbols=62)
  assert task.inputs.names[-2] == '62'
  assert lv.make_task('copy', 'tcn18', 5).outputs.names == tuple('.12345678?')


@pytest.mark.parametrize('dialect', DIALECTS)
def test_with_drawn_lengths_each_batch_waits_for_its_own_t(dialect):
  task = lv.make_task('copy', dialect, 12, shortest=3)
  sample = compiled(task)
  lengths, steps = set(), 0
  for n in range(100):
    batch = jax.tree.map(np.asarray, sample(jax.random.key(n), 16))
    tokens = read_tokens(task, batch)
    waits = (tokens == 9).argmax(axis=1) - 10
    ends = batch.mask.sum(axis=1).astype(int)
    np.testing.assert_array_equal(ends, waits + 21)
    outside = np.arange(task.num_steps) >= ends[:, None]
    assert not batch.inputs[outside].any() and not batch.mask[outside].any()
    answers = np.stack([solve(row) for row in tokens])
    np.testing.assert_array_equal(batch.targets, answers)
    steps += ends.sum()
    lengths |= set(waits)
    assert dialect == 'variable' or len(set(waits)) == 1
  low, high = {'variable': (1, 12), 'janet18': (3, 12)}.get(dialect, (2, 11))
  assert lengths == set(range(low, high + 1))
  chance = 10 * math.log(8) * 100 * 16 / steps
  assert task.baselines['loss'] == pytest.approx(chance, rel=0.05)


@pytest.mark.parametrize(
  ('choice', 'rule'),
  [
    ({'symbols': 1}, 'size of the alphabet: must be 2 to 1000; nearest: 2'),
    ({'items': -1}, 'how many symbols to repeat: .* nearest: 1'),
    ({'items': 1001}, 'nearest: 1000'),
    ({'period': 3}, 'has no such option'),
  ],
)
def test_choices_out_of_range_are_refused(choice, rule):
  with pytest.raises(ValueError, match=rule):
    lv.make_task('copy', 'urnn16', 5, **choice)


def test_the_published_loss_of_tcn18_is_that_of_an_lstm_at_chance_level():
  task = lv.make_task('copy', 'tcn18', 1000)
  (result,) = task.published
  assert (result.length, result.value) == (1000, 0.0204)
  assert task.baselines['loss'] == pytest.approx(result.value, abs=5e-5)
  assert task.success.limits == (('wrong', 0.01),)  # pyrefly: ignore[missing-attribute]
