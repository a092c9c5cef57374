"""Measuring spike delays (MSD, NMSD), decoded anew in Python."""

import functools
import itertools
from typing import Any

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base, measures, spike_delays, spike_trains

COUNT = 4000
MEASURE = jax.jit(spike_trains.measure)
ERRORS = jax.jit(measures.absolute_errors)
MSD = [
  {'length': 60},
  {'length': 97, 'period': 7, 'symbols': 5},
  {'length': 30, 'shortest': 12, 'period': 2, 'symbols': 11},
]
NMSD = [
  {'length': 3},
  {'length': 50, 'period': 10, 'symbols': 4},
  {'length': 30, 'shortest': 20, 'symbols': 11},
]
CASES = [('msd', choice) for choice in MSD] + [('nmsd', c) for c in NMSD]


def key_of(choice: dict[str, int]):
  return tuple(sorted(choice.items()))


def make(dialect: str, choice: dict[str, int]) -> base.Task:
  options: dict[str, Any] = dict(choice)
  return lv.make_task('spike_delays', dialect, **options)


@functools.cache
def draw_of(dialect: str, choice):
  task = make(dialect, dict(choice))
  batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), COUNT)
  return task, jax.tree.map(np.asarray, batch)


def draw(dialect: str, choice: dict[str, int]):
  return draw_of(dialect, key_of(choice))


def period_of(dialect: str, choice: dict[str, int]) -> int:
  """Return F: what is chosen, else 10; of NMSD what leaves room for I."""
  symbols = choice.get('symbols', 2)
  shortest = choice.get('shortest', choice['length'])
  usual = 10 if dialect == 'msd' else shortest - (symbols - 1)
  return choice.get('period', usual)


def gaps_of(row: np.ndarray) -> list[int]:
  """Return the steps from each spike to the next, the first from the start."""
  return np.diff(np.flatnonzero(row), prepend=-1).tolist()


def solve(spikes: np.ndarray, period: int) -> np.ndarray:
  """Return the delay at each spike, counted step by step, `[batch, time]`."""
  answers = np.full(spikes.shape, -7.0, np.float32)
  passed = np.zeros(len(spikes))
  for step, spike in enumerate(spikes.T):
    passed += 1
    answers[:, step] = np.where(spike > 0, passed - period, -7.0)
    passed[spike > 0] = 0
  return answers


def value(mean) -> float:
  return float(mean.total / mean.weight)


@pytest.mark.parametrize(('dialect', 'choice'), CASES)
def test_who_counts_the_steps_makes_no_error(dialect, choice):
  task, batch = draw(dialect, choice)
  period = period_of(dialect, choice)
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


@pytest.mark.parametrize(('dialect', 'choice'), CASES)
def test_the_error_is_counted_at_spikes_alone(dialect, choice):
  _, batch = draw(dialect, choice)
  spikes = batch.inputs[..., 0]
  assert set(np.unique(spikes)) == {0.0, 1.0}
  assert spikes.any(axis=1).all()
  np.testing.assert_array_equal(batch.mask, spikes)
  assert not batch.targets[spikes == 0].any()


@pytest.mark.parametrize(('dialect', 'choice'), CASES)
def test_intervals_take_f_and_up_to_symbols_less_one_more(dialect, choice):
  _, batch = draw(dialect, choice)
  period = period_of(dialect, choice)
  symbols = choice.get('symbols', 2)
  first = [gaps_of(row)[0] for row in batch.inputs[..., 0]]
  counts = np.bincount(first, minlength=period + symbols)
  assert not counts[:period].any() and len(counts) == period + symbols
  expected = COUNT / symbols
  assert np.all(np.abs(counts[period:] - expected) < 5 * expected**0.5)
  for row in batch.inputs[:500, :, 0]:
    assert all(0 <= gap - period < symbols for gap in gaps_of(row))


@pytest.mark.parametrize('choice', NMSD)
def test_nmsd_has_one_spike_and_its_longest_interval_fills_the_axis(choice):
  task, batch = draw('nmsd', choice)
  np.testing.assert_array_equal(batch.inputs.sum(axis=(1, 2)), 1.0)
  longest = period_of('nmsd', choice) + choice.get('symbols', 2) - 1
  assert task.num_steps == longest <= task.length == choice['length']
  assert batch.inputs[:, -1].any()


@pytest.mark.parametrize('choice', MSD)
def test_an_msd_stream_ends_when_the_next_spike_does_not_fit(choice):
  task, batch = draw('msd', choice)
  assert task.num_steps == choice['length'] == batch.inputs.shape[1]
  shortest = choice.get('shortest', choice['length'])
  period, symbols = choice.get('period', 10), choice.get('symbols', 2)
  longest = period + symbols - 1
  ends = np.array([sum(gaps_of(row)) for row in batch.inputs[..., 0]])
  assert np.all((ends + longest > shortest) & (ends <= choice['length']))


def test_t_is_drawn_for_each_batch_alike_from_shortest_to_length():
  choice = MSD[2]
  task = make('msd', choice)
  sample = jax.jit(task.sample, static_argnums=1)
  last = []
  for seed in range(300):
    # Of 100 sequences one has a spike at T itself, as spikes are dense.
    spikes = np.asarray(sample(jax.random.key(seed), 100).inputs)[..., 0].any(
      axis=0
    )
    last.append(np.flatnonzero(spikes)[-1] + 1)
  counts = np.bincount(last)
  assert not counts[:12].any() and len(counts) == 31
  expected = 300 / 19
  assert np.all(np.abs(counts[12:] - expected) < 5 * expected**0.5)


def test_the_delays_of_a_stream_are_independent():
  _, batch = draw('msd', {'length': 97, 'period': 7, 'symbols': 5})
  delays = np.array([gaps_of(row)[:8] for row in batch.inputs[..., 0]])
  correlation = np.corrcoef(delays.T) - np.eye(8)
  assert np.abs(correlation).max() < 5 / COUNT**0.5


def streams(
  ends: list[int], period: int, symbols: int
) -> list[tuple[tuple[int, ...], float]]:
  """Return every stream's delays with its probability, T drawn from `ends`."""
  found = []
  for end in ends:
    partial: list[tuple[tuple[int, ...], float]] = [((), 1 / len(ends))]
    while partial:
      delays, chance = partial.pop()
      used = sum(delays) + period * len(delays)
      for delay in range(symbols):
        share = chance / symbols
        if used + period + delay <= end:
          partial.append(((*delays, delay), share))
        else:
          found.append((delays, share))
  return found


@pytest.mark.parametrize(
  'choice',
  [
    {'length': 11},
    {'length': 60},
    {'length': 40, 'shortest': 13},
    {'length': 25, 'period': 3, 'symbols': 4},
    {'length': 16, 'shortest': 12, 'period': 2, 'symbols': 11},
    {'length': 30, 'period': 10, 'symbols': 11},
  ],
)
def test_msd_chance_level_is_that_of_the_best_constants(choice):
  task = lv.make_task('spike_delays', 'msd', **choice)
  period, symbols = choice.get('period', 10), choice.get('symbols', 2)
  first = choice.get('shortest', choice['length'])
  all_streams = streams([*range(first, choice['length'] + 1)], period, symbols)
  counts = np.zeros(symbols)
  alike = np.zeros(symbols)
  for delays, chance in all_streams:
    for delay in delays:
      counts[delay] += chance
    if len(set(delays)) == 1:
      alike[delays[0]] += chance
  shares = counts / counts.sum()
  values = np.arange(symbols)
  squares = [
    np.sum(shares * (values - c) ** 2) for c in np.linspace(0, 10, 5001)
  ]
  assert task.baselines['loss'] == pytest.approx(min(squares), abs=2e-6)
  assert task.baselines['wrong'] == pytest.approx(1 - shares.max(), abs=1e-9)
  assert task.baselines['failed'] == pytest.approx(1 - alike.max(), abs=1e-9)


@pytest.mark.parametrize(('dialect', 'choice'), CASES)
def test_no_constant_beats_the_chance_level(dialect, choice):
  task, batch = draw(dialect, choice)
  if 'shortest' in choice and dialect == 'msd':
    return  # one batch has one T: enumerated above
  symbols = choice.get('symbols', 2)
  found: dict[str, list[float]] = {name: [] for name in task.baselines}
  for constant in np.linspace(0, symbols - 1, 4 * symbols - 3):
    outputs = np.full(batch.targets.shape, constant, np.float32)
    for name, mean in MEASURE(outputs, batch).items():
      found[name].append(value(mean))
  for name, values in found.items():
    tolerance = 5 / COUNT**0.5 * (symbols**2 / 12 if name == 'loss' else 0.5)
    assert min(values) == pytest.approx(task.baselines[name], abs=tolerance)


def test_of_long_streams_the_chance_level_is_the_variance_of_i():
  for symbols in (2, 5, 11):
    task = lv.make_task('spike_delays', 'msd', 20_000, symbols=symbols)
    variance = np.var(np.arange(symbols))
    assert task.baselines['loss'] == pytest.approx(variance, rel=2e-3)
    task = lv.make_task('spike_delays', 'nmsd', 30, symbols=symbols)
    assert task.baselines['loss'] == pytest.approx(variance, rel=1e-12)
    assert (
      task.baselines['wrong'] == task.baselines['failed'] == 1 - 1 / symbols
    )


@pytest.mark.parametrize(('error', 'right'), [(0.489, True), (0.491, False)])
def test_a_spike_is_right_within_049(error, right):
  for dialect, sign in itertools.product(('msd', 'nmsd'), (-1, 1)):
    task, batch = draw(dialect, MSD[0] if dialect == 'msd' else NMSD[0])
    outputs = batch.targets + np.float32(sign * error)
    means = MEASURE(outputs, batch)
    assert value(means['wrong']) == value(means['failed']) == (not right)
    assert value(means['loss']) == pytest.approx(error**2, rel=1e-5)
    assert task.success == base.LastSequences(window=100, tolerance=0.49)


def test_the_usual_f_is_the_papers_ten_and_i_zero_or_one():
  assert lv.make_task('spike_delays').dialect == 'msd'
  assert lv.make_task('spike_delays', 'nmsd').num_steps == 11
  assert lv.make_task('spike_delays', 'nmsd').label == 'spike_delays-nmsd-T11'
  label = lv.make_task('spike_delays', 'msd', 50, period=20, symbols=3).label
  assert label == 'spike_delays-msd-T50-symbols3-period20' or (
    label == 'spike_delays-msd-T50-period20-symbols3'
  )


@pytest.mark.parametrize(
  ('dialect', 'choice', 'message'),
  [
    ('msd', {'length': 10}, 'length 10.*nearest: 11'),
    ('msd', {'length': 50, 'period': 50}, 'length 50.*51 steps; nearest: 51'),
    (
      'msd',
      {'length': 50, 'shortest': 12, 'symbols': 4},
      'shortest 12.*nearest: 13',
    ),
    ('msd', {'length': 50, 'period': 1}, 'period 1.*nearest: 2'),
    ('msd', {'length': 50, 'symbols': 12}, 'symbols 12.*nearest: 11'),
    ('nmsd', {'length': 2}, 'length 2.*nearest: 3'),
    ('nmsd', {'length': 5, 'symbols': 5}, 'length 5.*nearest: 6'),
    ('nmsd', {'length': 20, 'period': 20}, 'length 20.*nearest: 21'),
    ('nmsd', {'length': 20, 'period': 1}, 'period 1.*nearest: 2'),
  ],
)
def test_what_does_not_fit_is_refused_with_the_nearest(
  dialect, choice, message
):
  with pytest.raises(base.SpecError, match=message):
    lv.make_task('spike_delays', dialect, **choice)


def test_the_worked_example_is_drawn_as_it_stands_in_the_docstring():
  text = spike_delays.__doc__ or ''
  row = next(line for line in text.splitlines() if 'msd   spike' in line)
  spikes = np.array(row.split()[2:], float)
  answers = solve(spikes[None], 4)[0]
  assert answers[spikes == 1].tolist() == [0, 1, 1]
