"""Generating timed spikes (GTS), decoded anew in Python."""

import functools

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base, measures, spike_trains

COUNT = 4000
MEASURE = jax.jit(spike_trains.measure)
ERRORS = jax.jit(measures.absolute_errors)
CASES = [
  {'length': 38},
  {'length': 97, 'period': 7, 'symbols': 5},
  {'length': 30, 'shortest': 12, 'period': 2, 'symbols': 11},
]


@functools.cache
def draw_of(choice):
  task = lv.make_task('timed_spikes', 'gers02', **dict(choice))
  batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), COUNT)
  return task, jax.tree.map(np.asarray, batch)


def draw(choice: dict[str, int]):
  return draw_of(tuple(sorted(choice.items())))


def solve(asked: np.ndarray, period: int) -> np.ndarray:
  """Return the spikes, `[batch, time]`: an interval's first step asks for it.

  Only inputs are read, and none before its step.
  """
  answers = np.zeros(asked.shape, np.float32)
  left = np.zeros(len(asked))
  for step, delay in enumerate(asked.T):
    begins = left == 0
    assert not delay[~begins].any()
    left = np.where(begins, period + delay, left) - 1
    answers[:, step] = left == 0
  return answers


def value(mean) -> float:
  return float(mean.total / mean.weight)


@pytest.mark.parametrize('choice', CASES)
def test_who_counts_the_steps_makes_no_error(choice):
  task, batch = draw(choice)
  period = choice.get('period', 10)
  outputs = solve(batch.inputs[..., 0], period)[..., None]
  assert task.measure is spike_trains.measure
  means = MEASURE(outputs, batch)
  assert {name: value(mean) for name, mean in means.items()} == {
    'loss': 0,
    'wrong': 0,
    'failed': 0,
  }
  assert task.sequence_errors is measures.absolute_errors
  assert not np.any(ERRORS(outputs, batch))
  assert float(means['loss'].weight) == batch.mask.sum()


@pytest.mark.parametrize('choice', CASES)
def test_every_step_of_the_stream_is_graded_and_the_rest_is_padding(choice):
  task, batch = draw(choice)
  assert batch.inputs.shape == (COUNT, choice['length'], 1)
  assert task.num_steps == choice['length']
  lengths = batch.mask.sum(axis=1).astype(int)
  assert len(set(lengths)) == 1
  shortest = choice.get('shortest', choice['length'])
  assert shortest <= lengths[0] <= choice['length']
  inside = np.arange(choice['length']) < lengths[0]
  np.testing.assert_array_equal(batch.mask, np.tile(inside, (COUNT, 1)))
  assert not batch.inputs[:, ~inside].any()
  assert not batch.targets[:, ~inside].any()
  assert set(np.unique(batch.targets)) == {0.0, 1.0}


def test_t_is_drawn_for_each_batch_alike_from_shortest_to_length():
  task = lv.make_task('timed_spikes', 'gers02', 40, shortest=13)
  sample = jax.jit(task.sample, static_argnums=1)
  keys = [jax.random.key(n) for n in range(400)]
  counts = np.bincount([int(sample(key, 1).mask.sum()) for key in keys])
  assert len(counts) == 41 and not counts[:13].any()
  expected = 400 / 28
  assert np.all(np.abs(counts[13:] - expected) < 5 * expected**0.5)


@pytest.mark.parametrize('choice', CASES)
def test_i_is_drawn_alike_from_0_to_symbols_less_one(choice):
  _, batch = draw(choice)
  symbols = choice.get('symbols', 2)
  counts = np.bincount(batch.inputs[:, 0, 0].astype(int), minlength=symbols)
  expected = COUNT / symbols
  assert len(counts) == symbols
  assert np.all(np.abs(counts - expected) < 5 * expected**0.5)


def test_the_interval_that_t_cuts_short_is_asked_for_too():
  _, batch = draw({'length': 38})
  # Three spikes fit, by step 30 to 33; no interval that follows does.
  starts = 38 - np.argmax(batch.targets[:, ::-1, 0], axis=1)
  for start in range(30, 34):
    asked = batch.inputs[starts == start, start, 0]
    assert abs(asked.mean() - 1 / 2) < 2.5 / len(asked) ** 0.5


def test_the_delays_of_a_stream_are_independent():
  choice = {'length': 97, 'period': 7, 'symbols': 5}
  _, batch = draw(choice)
  delays = []
  for inputs, targets in zip(
    batch.inputs[..., 0], batch.targets[..., 0], strict=True
  ):
    starts = np.r_[0, np.flatnonzero(targets)[:7] + 1]
    delays.append(inputs[starts])
  correlation = np.corrcoef(np.array(delays).T) - np.eye(8)
  assert np.abs(correlation).max() < 5 / COUNT**0.5


def streams(ends: list[int], period: int, symbols: int):
  """Return T, every stream's delays (the last is cut) and its probability."""
  found = []
  for end in ends:
    partial = [((), 1 / len(ends))]
    while partial:
      delays, chance = partial.pop()
      if sum(delays) + period * len(delays) >= end:
        found.append((end, delays, chance))
        continue
      share = chance / symbols
      partial += [((*delays, delay), share) for delay in range(symbols)]
  return found


@pytest.mark.parametrize(
  'choice',
  [
    {'length': 11},
    {'length': 20},
    {'length': 60},
    {'length': 40, 'shortest': 13},
    {'length': 25, 'period': 3, 'symbols': 4},
    {'length': 15, 'shortest': 12, 'period': 2, 'symbols': 11},
    {'length': 21, 'period': 2},
  ],
)
def test_chance_level_is_that_of_who_sees_the_input_of_the_step_alone(choice):
  task = lv.make_task('timed_spikes', 'gers02', **choice)
  period, symbols = choice.get('period', 10), choice.get('symbols', 2)
  first = choice.get('shortest', choice['length'])
  # steps[x, d]: how often input x comes with target d.
  steps = np.zeros((symbols, 2))
  for end, delays, chance in streams(
    [*range(first, choice['length'] + 1)], period, symbols
  ):
    time = 0
    for delay in delays:
      for step in range(period + delay):
        if time < end:
          asked = delay if step == 0 else 0
          steps[asked, int(step == period + delay - 1)] += chance
        time += 1
  assert steps.sum() == pytest.approx((first + choice['length']) / 2)
  answer = steps[:, 1] / steps.sum(axis=1)
  loss = steps[:, 1] @ (1 - answer) ** 2 + steps[:, 0] @ answer**2
  assert task.baselines['loss'] == pytest.approx(loss / steps.sum(), rel=1e-9)
  wrong = steps.min(axis=1).sum() / steps.sum()
  assert task.baselines['wrong'] == pytest.approx(wrong, rel=1e-9)
  assert task.baselines['failed'] == 1


def test_who_never_spikes_is_wrong_at_the_spikes():
  task, batch = draw({'length': 38})
  means = MEASURE(np.zeros_like(batch.targets), batch)
  assert value(means['wrong']) == pytest.approx(
    task.baselines['wrong'], rel=0.01
  )
  assert value(means['failed']) == 1


def test_a_step_is_right_within_049():
  task, batch = draw({'length': 38})
  for error, right in ((0.489, True), (-0.491, False)):
    outputs = batch.targets + np.float32(error)
    means = MEASURE(outputs, batch)
    assert value(means['wrong']) == value(means['failed']) == (not right)
    errors = ERRORS(outputs, batch)
    np.testing.assert_allclose(errors, abs(error), rtol=1e-5)
  assert task.success == base.LastSequences(window=100, tolerance=0.49)


@pytest.mark.parametrize(
  ('choice', 'message'),
  [
    ({'length': 10}, 'length 10.*nearest: 11'),
    ({'length': 50, 'period': 50}, 'length 50.*nearest: 51'),
    ({'length': 50, 'shortest': 11, 'symbols': 4}, 'shortest 11.*nearest: 13'),
    ({'length': 50, 'period': 1}, 'period 1.*nearest: 2'),
  ],
)
def test_what_does_not_fit_is_refused_with_the_nearest(choice, message):
  with pytest.raises(base.SpecError, match=message):
    lv.make_task('timed_spikes', 'gers02', **choice)
