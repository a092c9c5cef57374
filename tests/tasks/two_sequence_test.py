"""The two-sequence problem against its paper, decoded anew in NumPy."""

import functools
import math

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base, two_sequence

SAMPLES = 20_000
DIALECTS = ('hs97_3a', 'hs97_3b', 'hs97_3c')
CASES = [*((d, 40, 3) for d in DIALECTS), ('hs97_3b', 4, 1)]
TARGETS = {
  'hs97_3a': (1.0, 0.0),
  'hs97_3b': (1.0, 0.0),
  'hs97_3c': (0.2, 0.8),
}
TOLERANCE = {'hs97_3a': 0.2, 'hs97_3b': 0.2, 'hs97_3c': 0.1}
CLEAN = jax.jit(two_sequence.measure), jax.jit(two_sequence.sequence_errors)
NOISY = (
  jax.jit(two_sequence.measure_3c),
  jax.jit(two_sequence.sequence_errors_3c),
)
JUDGES = {'hs97_3a': CLEAN, 'hs97_3b': CLEAN, 'hs97_3c': NOISY}
MEASURE = {dialect: judge[0] for dialect, judge in JUDGES.items()}
ERRORS = {dialect: judge[1] for dialect, judge in JUDGES.items()}


@functools.cache
def draw(dialect, length, items=0, count=SAMPLES, shortest=None, seed=0):
  task = lv.make_task(
    'two_sequence', dialect, length, items=items, shortest=shortest
  )
  batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(seed), count)
  return task, jax.tree.map(np.asarray, batch)


def ends(batch) -> np.ndarray:
  """Return each sequence's last step, from the one step that is graded."""
  np.testing.assert_array_equal(batch.mask.sum(axis=1), 1.0)
  assert np.all((batch.mask == 0) | (batch.mask == 1))
  return batch.mask.argmax(axis=1)


def graded(batch) -> np.ndarray:
  assert not batch.targets[batch.mask == 0].any()
  return batch.targets[np.arange(len(batch.mask)), ends(batch), 0]


def solve(dialect: str, batch, items: int) -> np.ndarray:
  """Return the target of the class that the first values tell."""
  signal = batch.inputs[:, :items, 0].sum(axis=1)
  return np.where(signal > 0, *TARGETS[dialect])


def place(answers, batch) -> np.ndarray:
  """Return outputs with the answer at the graded step and noise elsewhere."""
  outputs = np.random.default_rng(0).normal(size=batch.targets.shape)
  outputs[np.arange(len(answers)), ends(batch), 0] = answers
  return outputs.astype(np.float32)


def value(mean) -> float:
  return float(mean.total / mean.weight)


@pytest.mark.parametrize(('dialect', 'length', 'items'), CASES)
def test_lengths_are_uniform_from_t_to_t_plus_a_tenth(dialect, length, items):
  task, batch = draw(dialect, length, items)
  longest = length + length // 10
  assert task.num_steps == longest
  assert batch.inputs.shape == batch.targets.shape == (SAMPLES, longest, 1)
  counts = np.bincount(ends(batch) + 1, minlength=longest + 1)
  assert not counts[:length].any()
  share = SAMPLES / (length // 10 + 1)
  assert np.all(np.abs(counts[length:] - share) <= 5 * share**0.5)
  outside = np.arange(longest) > ends(batch)[:, None]
  assert not batch.inputs[outside].any()


@pytest.mark.parametrize(('dialect', 'length', 'items'), CASES)
def test_first_values_tell_the_class_and_the_rest_is_noise(
  dialect, length, items
):
  _, batch = draw(dialect, length, items)
  values = batch.inputs[..., 0]
  sign = np.where(graded(batch) > 0.5, 1.0, -1.0)
  if dialect == 'hs97_3c':
    sign = np.sign(values[:, 0])
  signal, noise = values[:, :items], values[:, items:length]
  if dialect == 'hs97_3b':
    spread = signal - sign[:, None]
    assert spread.var() == pytest.approx(0.2, abs=0.01)
    assert abs(spread.mean()) < 0.02
    assert abs(np.corrcoef(spread[:, 0], sign)[0, 1]) < 5 / SAMPLES**0.5
    if items > 1:
      assert abs(np.corrcoef(spread.T)[0, 1]) < 5 / SAMPLES**0.5
  else:
    np.testing.assert_array_equal(signal, np.tile(sign, (items, 1)).T)
  assert abs(np.mean(sign)) < 5 / SAMPLES**0.5
  np.testing.assert_allclose(noise.var(axis=0), 0.2, atol=0.012)
  np.testing.assert_allclose(noise.mean(axis=0), 0.0, atol=0.02)
  # Gaussian: its fourth moment is three times the squared variance.
  assert np.mean(noise**4) == pytest.approx(3 * 0.2**2, rel=0.15)
  for t in range(min(3, noise.shape[1])):
    assert abs(np.corrcoef(noise[:, t], sign)[0, 1]) < 5 / SAMPLES**0.5
  assert (
    abs(np.corrcoef(noise[:, 0], noise[:, -1] if length > 4 else sign)[0, 1])
    < 0.05
  )


def test_targets_of_3a_and_3b_are_the_class_and_of_3c_noisy():
  for dialect in ('hs97_3a', 'hs97_3b'):
    _, batch = draw(dialect, 40, 3)
    assert set(np.unique(graded(batch))) == {0.0, 1.0}
  _, batch = draw('hs97_3c', 40, 3)
  targets, first = graded(batch), batch.inputs[:, 0, 0]
  for sign, mean in ((1, 0.2), (-1, 0.8)):
    these = targets[first == sign]
    assert len(these) > 9000
    assert these.mean() == pytest.approx(mean, abs=5 * 0.32 / 9000**0.5)
    assert these.var() == pytest.approx(0.1, abs=0.006)
    assert np.mean((these - mean) ** 4) == pytest.approx(0.03, rel=0.15)


@pytest.mark.parametrize(('dialect', 'length', 'items'), CASES)
def test_who_remembers_the_first_values_makes_no_error(dialect, length, items):
  task, batch = draw(dialect, length, items)
  outputs = place(solve(dialect, batch, items), batch)
  means = MEASURE[dialect](outputs, batch)
  assert all(mean.weight == SAMPLES for mean in means.values())
  # 3b: noise turns the sign of the sum in Φ(−√(N / 0.2)) of the sequences.
  lost = 0.0
  if dialect == 'hs97_3b':
    lost = 0.5 * math.erfc((items / 0.2) ** 0.5 / 2**0.5)
  noise = 5 * (lost / SAMPLES) ** 0.5
  assert value(means['wrong']) == pytest.approx(lost, abs=noise + 1e-9)
  assert value(means['error']) == pytest.approx(lost, abs=noise + 1e-6)
  floor = 0.1 if dialect == 'hs97_3c' else lost
  assert value(means['loss']) == pytest.approx(floor, abs=noise + 0.05 * floor)
  errors = np.asarray(ERRORS[dialect](outputs, batch))
  assert np.mean(errors > 1e-5) == pytest.approx(lost, abs=noise + 1e-9)
  assert isinstance(task.success, base.HeldOut)
  limits = dict(task.success.limits)
  if items == 3 or dialect != 'hs97_3b':
    assert all(value(means[name]) < limit for name, limit in limits.items())


@pytest.mark.parametrize('dialect', DIALECTS)
def test_errors_are_those_of_the_end_and_of_the_clean_target(dialect):
  task, batch = draw(dialect, 40, 3)
  rng = np.random.default_rng(1)
  tolerance = TOLERANCE[dialect]
  off = rng.uniform(-2 * tolerance, 2 * tolerance, SAMPLES)
  clean = graded(batch)
  if dialect == 'hs97_3c':
    clean = np.where(batch.inputs[:, 0, 0] > 0, 0.2, 0.8)
  outputs = place(clean + off, batch)
  means = MEASURE[dialect](outputs, batch)
  errors = np.asarray(ERRORS[dialect](outputs, batch))
  np.testing.assert_allclose(errors, np.abs(off), atol=1e-6)
  wrong = np.sum(np.abs(off) > tolerance)
  assert abs(means['wrong'].total - wrong) <= 1
  assert value(means['error']) == pytest.approx(np.abs(off).mean(), rel=1e-4)
  loss = np.mean((clean + off - graded(batch)) ** 2)
  assert value(means['loss']) == pytest.approx(loss, rel=1e-4)
  unknown = MEASURE[dialect](np.full_like(outputs, np.nan), batch)
  assert value(unknown['wrong']) == 1
  noisy = dialect == 'hs97_3c'
  assert (task.measure is two_sequence.measure_3c) == noisy
  assert (task.sequence_errors is two_sequence.sequence_errors_3c) == noisy


@pytest.mark.parametrize('dialect', DIALECTS)
def test_chance_levels_are_those_of_the_best_constants(dialect):
  task, batch = draw(dialect, 40, 3)
  low, high = sorted(TARGETS[dialect])
  best: dict[str, float] = {}
  for constant in np.linspace(low, high, 7):
    means = MEASURE[dialect](place(np.full(SAMPLES, constant), batch), batch)
    for name, mean in means.items():
      best[name] = min(best.get(name, math.inf), value(mean))
  assert set(best) == set(task.baselines)
  for name, found in best.items():
    assert found == pytest.approx(task.baselines[name], abs=0.015)
  assert task.baselines['loss'] == pytest.approx(
    {'hs97_3c': 0.19}.get(dialect, 0.25)
  )


@pytest.mark.parametrize('dialect', DIALECTS)
def test_sequences_are_whole_at_drawn_lengths(dialect):
  seen = set()
  for seed in range(40):
    task, batch = draw(dialect, 20, 2, 10, 17, seed)
    assert task.num_steps == 22
    lengths = ends(batch) + 1
    assert lengths.max() <= 22 and lengths.min() >= 17
    outside = np.arange(22) >= lengths[:, None]
    assert not batch.inputs[outside].any()
    assert batch.inputs[~outside].all()
    if dialect != 'hs97_3b':
      outputs = place(solve(dialect, batch, 2), batch)
      assert MEASURE[dialect](outputs, batch)['wrong'].total == 0
    # 17 … 19 bring one more step at most, 20 two.
    assert lengths.max() - lengths.min() <= 2
    seen |= set(lengths)
  assert seen == set(range(17, 23))


@pytest.mark.parametrize(
  ('dialect', 'allowed', 'mean'),
  [('hs97_3a', 0, 0.01), ('hs97_3b', 5, 0.04), ('hs97_3c', 0, 0.015)],
)
def test_success_is_the_papers_second_criterion(dialect, allowed, mean):
  rule = lv.make_task('two_sequence', dialect).success
  assert isinstance(rule, base.HeldOut)
  limits = dict(rule.limits)
  assert set(limits) == {'wrong', 'error'}
  assert allowed / 256 < limits['wrong'] <= (allowed + 1) / 256
  assert limits['error'] == mean


def test_published_results_are_those_of_the_paper():
  table = {
    ('hs97_3a', 100, 3): (39850, '27,380 to ST1'),
    ('hs97_3a', 100, 1): (64330, '58,370 to ST1'),
    ('hs97_3a', 1000, 3): (452460, '446,850 to ST1'),
    ('hs97_3b', 100, 3): (43250, '41,740 to ST1'),
    ('hs97_3b', 100, 1): (78430, '74,950 to ST1'),
    ('hs97_3b', 1000, 1): (485080, '481,060 to ST1'),
    ('hs97_3c', 100, 3): (269650, ''),
    ('hs97_3c', 100, 1): (565640, ''),
  }
  for (dialect, length, items), (sequences, note) in table.items():
    task = lv.make_task('two_sequence', dialect, length, items=items)
    (found,) = [n for n in task.published if n.length == length]
    assert found.value == sequences and note in found.note
    assert f'N = {items}' in found.note
  count = {(d, n): 0 for d in DIALECTS for n in (1, 3)}
  for dialect, items in count:
    task = lv.make_task('two_sequence', dialect, items=items)
    count[dialect, items] = len(task.published)
  assert sum(count.values()) == len(table)
  assert not lv.make_task('two_sequence', 'hs97_3a', items=2).published


def test_n_is_an_option_below_t():
  task = lv.make_task('two_sequence', 'hs97_3a', 100, items=1)
  assert task.label == 'two_sequence-hs97_3a-T100-items1'
  assert lv.make_task('two_sequence').label == 'two_sequence-hs97_3a-T100'
  with pytest.raises(ValueError, match='items 20.*nearest: 19'):
    lv.make_task('two_sequence', 'hs97_3a', 40, items=20, shortest=20)
  lv.make_task('two_sequence', 'hs97_3a', 40, items=19, shortest=20)
  with pytest.raises(ValueError, match='items 3.*below.* 3; nearest: 2'):
    lv.make_task('two_sequence', 'hs97_3a', 3)
  lv.make_task('two_sequence', 'hs97_3a', 3, items=1)
  with pytest.raises(ValueError, match='length 1.*needs at least 2'):
    lv.make_task('two_sequence', 'hs97_3a', 1, items=1)
