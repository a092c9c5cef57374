"""Forecasting, against the rows of the files."""

import csv
import functools
import hashlib
import importlib.metadata
import sys
from typing import Any

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base, data, measures

# To compile takes most of the time of these tests.
QUICKLY = {'xla_backend_optimization_level': 0}
ERRORS = jax.jit(measures.absolute_errors)


@functools.cache
def sunspots() -> tuple[bytes, list[float]]:
  """Return the file of statsmodels and its numbers."""
  place = importlib.metadata.distribution('statsmodels')
  path = place.locate_file('statsmodels/datasets/sunspots/sunspots.csv')
  with open(str(path), 'rb') as file:
    content = file.read()
  rows = list(csv.DictReader(content.decode().splitlines()))
  assert [row['YEAR'] for row in rows] == [str(n) for n in range(1700, 2009)]
  return content, [float(row['SUNACTIVITY']) for row in rows]


def write(tmp_path, lines: str | list[str], name: str = 'series.csv') -> str:
  text = lines if isinstance(lines, str) else '\n'.join(lines)
  (tmp_path / name).write_text(text)
  return str(tmp_path / name)


def ramp(tmp_path, count: int = 100) -> str:
  return write(tmp_path, ['value', *(str(n) for n in range(count))])


def draw(task, count: int = 400, seed: int = 0):
  sample = jax.jit(task.sample, static_argnums=1, compiler_options=QUICKLY)
  return jax.tree.map(np.asarray, sample(jax.random.key(seed), count))


def place(answers: np.ndarray, batch) -> np.ndarray:
  """Return outputs with the answers at step T and noise elsewhere."""
  outputs = np.random.default_rng(0).normal(size=batch.targets.shape)
  outputs[np.arange(len(answers)), batch.mask.argmax(axis=1)] = answers
  return outputs.astype(np.float32)


def value(mean) -> float:
  return float(mean.total / mean.weight)


def border(count: int) -> int:
  """Return where the last fifth begins."""
  return count - count // 5


def simple(
  values: list[float], horizon: int, period: int
) -> list[tuple[float, float]]:
  """Return MSE and MAE of mean, last value and last period, one by one.

  On all places of the held-out part; the errors of the mean squares are in
  standard deviations of the training part.
  """
  known = values[: border(len(values))]
  mean = sum(known) / len(known)
  scale = (sum((v - mean) ** 2 for v in known) / len(known)) ** 0.5
  found = []
  for rule in ('mean', 'last', 'seasonal'):
    errors = []
    for begin in range(len(known), len(values) - horizon + 1):
      past = list(values[:begin])
      for n in range(horizon):
        # What is forecast goes on as the past of what comes after it.
        past.append(
          {'mean': mean, 'last': past[-1], 'seasonal': past[-period]}[rule]
        )
        errors.append(values[begin + n] - past[-1])
    square = sum(error**2 for error in errors) / len(errors) / scale**2
    found.append((square, sum(map(abs, errors)) / len(errors)))
  return found


@pytest.mark.parametrize(
  ('dialect', 'choices', 'held_out'),
  [
    ('one_step', {}, True),
    ('multi_step', {'horizon': 4}, False),
    ('multi_step', {'horizon': 4}, True),
  ],
)
def test_values_are_followed_by_those_of_their_part(
  dialect, choices, held_out, tmp_path
):
  task = lv.make_task(
    'forecasting',
    dialect,
    30,
    path=ramp(tmp_path),
    held_out=held_out,
    **choices,
  )
  horizon = choices.get('horizon', 1)
  assert task.out_features == horizon and task.num_steps == 30
  batch = draw(task, 4000)
  np.testing.assert_array_equal(batch.mask[:, 29], 1.0)
  assert not batch.mask[:, :29].any() and not batch.targets[:, :29].any()
  # The training part is 0 … 79: standardised, n is (n - 39.5) / scale.
  scale = np.std(np.arange(80))
  shown = batch.inputs[..., 0].astype(np.float64) * scale + 39.5
  asked = batch.targets[:, 29].astype(np.float64) * scale + 39.5
  begin = np.rint(asked[:, :1])
  np.testing.assert_allclose(asked, begin + np.arange(horizon), atol=1e-3)
  np.testing.assert_allclose(shown, begin - 30 + np.arange(30), atol=1e-3)
  first, last = (80, 100 - horizon) if held_out else (30, 80 - horizon)
  counts = np.bincount(begin[:, 0].astype(int), minlength=101)
  assert counts.sum() == counts[first : last + 1].sum()
  expected = 4000 / (last + 1 - first)
  assert np.abs(counts[first : last + 1] - expected).max() < 5 * expected**0.5


@pytest.mark.parametrize(
  ('dialect', 'choices'), [('one_step', {}), ('multi_step', {'horizon': 4})]
)
def test_who_knows_the_rule_makes_no_error(dialect, choices, tmp_path):
  task = lv.make_task(
    'forecasting',
    dialect,
    9,
    shortest=6,
    path=ramp(tmp_path),
    held_out=True,
    **choices,
  )
  measure = jax.jit(task.measure)
  seen = set()
  for seed in range(25):
    batch = draw(task, 50, seed)
    np.testing.assert_array_equal(batch.mask.sum(axis=1), 1.0)
    (last,) = set(batch.mask.argmax(axis=1).tolist())
    seen.add(last + 1)
    assert not batch.inputs[:, last + 1 :].any()
    assert batch.inputs[:, : last + 1].all()
    # A ramp: as much is added as was added last.
    shown = batch.inputs[:, : last + 1, 0]
    ahead = np.arange(1, task.out_features + 1)
    slope = shown[:, -1:] - shown[:, -2:-1]
    outputs = place(shown[:, -1:] + slope * ahead, batch)
    means = measure(outputs, batch)
    assert value(means['loss']) < 1e-10 and value(means['mae']) < 1e-3
    assert means['loss'].weight == 50
    assert ERRORS(outputs, batch).max() < 1e-4
    assert task.success.below > 0.001  # pyrefly: ignore[missing-attribute]
  assert seen == {6, 7, 8, 9}


def test_metrics_are_in_their_units_and_of_step_t_alone(tmp_path):
  path = write(tmp_path, ['v', *(str(1000 * (n % 7)) for n in range(90))])
  task = lv.make_task('forecasting', 'multi_step', 12, horizon=3, path=path)
  batch = draw(task, 200)
  errors = np.random.default_rng(1).normal(size=(200, 3))
  outputs = place(batch.targets[:, 11] + errors, batch)
  means = jax.jit(task.measure)(outputs, batch)
  assert value(means['loss']) == pytest.approx(np.mean(errors**2), rel=1e-4)
  scale = np.std([1000 * (n % 7) for n in range(72)])
  assert value(means['mae']) == pytest.approx(
    np.mean(np.abs(errors)) * scale, rel=1e-4
  )
  assert set(means) == set(task.baselines) == {'loss', 'mae'}
  np.testing.assert_allclose(
    ERRORS(outputs, batch),
    np.abs(errors).max(axis=1),
    atol=1e-4,
  )


@pytest.mark.parametrize(
  ('horizon', 'period', 'best'),
  [(1, 0, 1), (3, 0, 2), (5, 0, 2), (11, 0, 2), (25, 0, 2), (11, 1, 0)],
)
def test_chance_is_the_best_of_three_simple_forecasts(horizon, period, best):
  dialect, choices = 'multi_step', {'horizon': horizon, 'period': period}
  if horizon == 1:
    dialect, choices = 'one_step', {'period': period}
  task = lv.make_task('forecasting', dialect, 40, **choices)
  found = simple(sunspots()[1], horizon, period or 11)
  loss, error = min(found)
  assert found.index(min(found)) == best
  assert task.baselines['loss'] == pytest.approx(loss, rel=1e-5)
  assert task.baselines['mae'] == pytest.approx(error, rel=1e-5)
  assert task.success == base.HeldOut(
    'loss', task.baselines['loss'], solves=False
  )


def test_a_perfect_season_leaves_no_error(tmp_path):
  path = write(tmp_path, ['v', *(str(n % 5) for n in range(80))])
  task = lv.make_task(
    'forecasting', 'multi_step', 10, horizon=12, path=path, period=5
  )
  assert task.baselines['loss'] < 1e-12
  default = lv.make_task('forecasting', 'multi_step', 10, horizon=12, path=path)
  assert default.baselines['loss'] == pytest.approx(
    min(simple([float(n % 5) for n in range(80)], 12, 1))[0], rel=1e-5
  )
  assert task.label.endswith('-horizon12-period5')
  assert task.label != default.label


def test_the_measured_error_of_the_last_value_is_the_chance_level():
  task = lv.make_task('forecasting', 'one_step', 20, held_out=True)
  batch = draw(task, 20_000)
  outputs = place(batch.inputs[:, 19], batch)
  for metric, mean in jax.jit(task.measure)(outputs, batch).items():
    assert value(mean) == pytest.approx(task.baselines[metric], rel=0.04)


def test_the_default_series_is_the_yearly_sunspots():
  content, numbers = sunspots()
  task = lv.make_task('forecasting', 'one_step', 240)
  batch = draw(task, 100)
  known = np.array(numbers[:248])
  values = (np.array(numbers) - known.mean()) / known.std()
  for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
    gaps = [np.abs(inputs[:, 0] - values[n : n + 240]).max() for n in range(8)]
    n = int(np.argmin(gaps))
    assert gaps[n] < 1e-5
    assert targets[239, 0] == pytest.approx(values[n + 240], abs=1e-5)
  name = hashlib.sha256(content).hexdigest()[:8]
  assert task.label == f'forecasting-one_step-T240-{name}'


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, 'statsmodels', None)
  with pytest.raises(base.SpecError) as caught:
    lv.make_task('forecasting', 'one_step', 113)
  assert (caught.value.field, caught.value.value) == ('name', 'forecasting')
  assert caught.value.rule == (
    "needs an extra: pip install 'lstm-variants[data]'"
  )
  # A file of one's own needs none.
  assert lv.make_task('forecasting', length=9, path=ramp(tmp_path)).length == 9


def test_columns_are_found_by_name_or_number_and_are_told_apart(tmp_path):
  rows = [f'{n},"{n * n}", {7 * n % 11} ' for n in range(60)]
  path = write(tmp_path, ['time, "squares",2', '', *rows, ''])
  columns = {
    '': lambda n: 7 * n % 11,
    'time': lambda n: n,
    '1': lambda n: n,
    '"squares"': lambda n: n * n,
    '2': lambda n: 7 * n % 11,  # a name goes before a number
    '3': lambda n: 7 * n % 11,
  }
  labels = []
  for column, number in columns.items():
    task = lv.make_task('forecasting', 'one_step', 47, path=path, column=column)
    numbers = np.array([number(n) for n in range(60)], np.float64)
    expected = (numbers - numbers[:48].mean()) / numbers[:48].std()
    batch = draw(task, 1)
    np.testing.assert_allclose(batch.inputs[0, :, 0], expected[:47], atol=1e-5)
    assert batch.targets[0, 46, 0] == pytest.approx(expected[47], abs=1e-5)
    labels.append(task.label)
  name = hashlib.sha256((tmp_path / 'series.csv').read_bytes()).hexdigest()[:8]
  assert labels == [
    f'forecasting-one_step-T47-{name}-column{n}' for n in (3, 1, 1, 2, 3, 3)
  ]


GOOD = ['year,value', *(f'{n},{n % 7}' for n in range(50))]
BAD = {
  'no file': (None, {}, 'path', 'No such file'),
  'empty': ('', {}, 'path', 'first row must hold the names'),
  'no header': (GOOD[1:], {}, 'path', 'first row must hold the names'),
  'no such name': (GOOD, {'column': 'valeu'}, 'column', 'nearest: value'),
  'number 0': (GOOD, {'column': '0'}, 'column', 'from 1 to 2'),
  'number 3': (GOOD, {'column': '3'}, 'column', 'from 1 to 2'),
  'two of a name': (['v,v', '1,2'], {'column': 'v'}, 'column', 'of 2 columns'),
  'a word': ([*GOOD, '5,five'], {}, 'path', "line 52, column 2: 'five'"),
  'an empty cell': ([*GOOD, '5,', '6,1'], {}, 'path', "line 52, column 2: ''"),
  'a short row': ([*GOOD, '5'], {}, 'path', 'line 52, column 2'),
  'nan': ([*GOOD, '5,nan'], {}, 'path', 'line 52, .*finite'),
  'inf': ([*GOOD, '5,-inf'], {}, 'path', 'line 52, .*finite'),
  'a grouped number': ([*GOOD, '5,1_000'], {}, 'path', 'line 52'),
  'a broken quote': ([*GOOD, '5,"1"2'], {}, 'path', 'line 52'),
  'an endless cell': ([*GOOD, f'5,{"9" * 200_000}'], {}, 'path', 'line 52'),
  'header only': (GOOD[:1], {}, 'path', 'too short'),
  'four values': (GOOD[:5], {}, 'path', 'too short'),
  'constant': ([*GOOD[:1], *['1,5'] * 40], {}, 'path', 'constant'),
  'overflow': (
    [*GOOD[:1], *(f'1,{n}e307' for n in range(1, 18))] * 1,
    {},
    'path',
    'no finite variance',
  ),
  'long windows': (GOOD, {'length': 40}, 'length', 'nearest: 39'),
  'a far horizon': (GOOD, {'horizon': 11}, 'horizon', 'nearest: 10'),
  'a long period': (GOOD, {'period': 41}, 'period', 'nearest: 40'),
}


@pytest.mark.parametrize('case', BAD)
def test_what_cannot_be_forecast_is_refused_in_one_line(case, tmp_path):
  lines, choices, field, message = BAD[case]
  path = str(tmp_path / 'missing')
  if lines is not None:
    path = write(tmp_path, lines)
  dialect = 'multi_step' if 'horizon' in choices else 'one_step'
  chosen: Any = {'length': 6, 'path': path, **choices}
  with pytest.raises(base.SpecError, match=message) as caught:
    lv.make_task('forecasting', dialect, **chosen)
  assert caught.value.field == field and '\n' not in str(caught.value)
  assert len(str(caught.value)) < 300


def test_the_longest_window_that_fits_is_taken(tmp_path):
  path = write(tmp_path, GOOD)
  batch = draw(lv.make_task('forecasting', length=39, path=path), 20)
  assert len(np.unique(batch.inputs[0])) == 7
  np.testing.assert_array_equal(batch.inputs[1:], batch.inputs[:-1])


def test_other_refusals(tmp_path, monkeypatch):
  with pytest.raises(base.SpecError, match='column.*needs a path'):
    lv.make_task('forecasting', length=9, column='YEAR')
  with pytest.raises(base.SpecError, match='no such option'):
    lv.make_task('forecasting', 'one_step', 9, horizon=2)
  latin = tmp_path / 'latin.csv'
  latin.write_bytes(b'jahr,gr\xf6sse\n1,2\n')
  with pytest.raises(base.SpecError, match='not UTF-8 text: see byte 7'):
    lv.make_task('forecasting', length=9, path=str(latin))
  path = write(tmp_path, GOOD)
  monkeypatch.setattr(data, 'LARGEST', 100)
  with pytest.raises(base.SpecError, match='is larger than'):
    lv.make_task('forecasting', length=9, path=path)
