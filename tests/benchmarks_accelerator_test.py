"""The benchmark of accelerators, on a CPU: what it compares is alike."""

import json
from typing import Any

from absl import flags
import jax
import numpy as np
import pytest

from benchmarks import (
  accelerator,
  exactness,
  networks,
  peers,
  side_by_side,
  timing,
)
import lstm_variants as lv
from lstm_variants.cells import contract
from tests.cells import harness

PROBLEM = networks.Problem(4, 3, 2, 5, True)


@pytest.fixture(autouse=True)
def quick(tmp_path):
  """Parse the flags as `--quick` does."""
  flags.FLAGS(['benchmarks', '--quick', f'--output={tmp_path}'])
  yield
  flags.FLAGS.unparse_flags()


def test_runs_side_by_side_are_the_run_alone():
  model = networks.ours(PROBLEM)
  inputs, _ = networks.draw(PROBLEM)
  many = side_by_side.copies(model, 3)
  alone = jax.jit(model.apply)(model.params, inputs)
  beside = jax.jit(many.apply)(many.params, inputs)
  assert beside.shape == (3, 4, 3)
  np.testing.assert_allclose(beside, np.tile(alone, 3), rtol=1e-6)


def test_mixed_runs_are_the_variants_in_turn_with_toggles_that_are_numbers():
  names = [n for n, v in lv.VARIANTS.items() if not v.toggles.gate_recurrence]
  many = side_by_side.mixed(PROBLEM, 3)
  inputs, _ = networks.draw(PROBLEM)
  outputs = jax.jit(many.apply)(many.params, inputs)
  weights, readout = many.params
  for number, name in enumerate(names[:3]):
    own, kernel = jax.tree.map(lambda x, n=number: x[n], (weights, readout))
    _, hiddens = lv.unroll(own, lv.VARIANTS[name].toggles, inputs)
    expected = (hiddens @ kernel)[..., 0]
    np.testing.assert_allclose(outputs[..., number], expected, rtol=1e-5)
  assert len({outputs[..., n].tobytes() for n in range(3)}) == 3


@pytest.mark.parametrize('name', side_by_side.MANY)
def test_every_contestant_trains_as_many_runs_as_are_asked_for(
  name, monkeypatch
):
  seen: dict[str, Any] = {}

  def compile_training(model, problem, updates):
    seen.update(outputs=jax.eval_shape(model.apply, model.params, inputs))
    return peers.Contestant(lambda: None, updates, None)

  inputs, _ = networks.draw(PROBLEM)
  monkeypatch.setattr(peers, 'compile_training', compile_training)
  side_by_side.build(name, PROBLEM, 7, 10)
  assert seen['outputs'].shape == (3, 4, 7)


def test_what_needs_a_gpu_says_so():
  with pytest.raises(RuntimeError, match='needs a GPU'):
    side_by_side.build(side_by_side.CUDNN, PROBLEM, 1, 1)


def test_one_that_fails_ends_no_other(monkeypatch):
  """It may take all memory, and that it does so is known when it runs."""

  def build(name, *_):
    def run():
      if name == side_by_side.FLAX:
        raise MemoryError('out of memory')

    if name == side_by_side.TORCH:
      raise ImportError('no torch')
    return peers.Contestant(run, 0.0, 7)

  monkeypatch.setattr(side_by_side, 'build', build)
  *rows, whole = side_by_side.measure(PROBLEM, 1, 10, 2)
  by_name = {row['name']: row for row in rows}
  assert by_name[side_by_side.TORCH]['skipped'] == 'ImportError: no torch'
  flax = {'name': 'flax linen', 'failed': 'MemoryError: out of memory'}
  assert by_name[side_by_side.FLAX] == flax
  timed = {name for name, row in by_name.items() if 'us_per_step' in row}
  assert timed == {*side_by_side.MANY, *side_by_side.ONE} - {
    side_by_side.FLAX,
    side_by_side.TORCH,
  }
  assert set(whole) == {'all_compiled_seconds', 'peak_bytes'}


def test_times_are_of_a_time_step_of_all_and_of_one(monkeypatch):
  monkeypatch.setattr(timing.time, 'perf_counter', iter(range(10**6)).__next__)
  monkeypatch.setattr(
    side_by_side, 'build', lambda *_: peers.Contestant(lambda: None, 0.0, 7)
  )
  row, *_ = side_by_side.measure(PROBLEM, 5, 10, 2)
  # A call lasts a second: 10 updates of 4 steps.
  assert row['us_per_step'] == pytest.approx(1e6 / 40)
  assert row['us_per_step_and_run'] == pytest.approx(1e6 / 200)


@pytest.fixture
def one_cell(monkeypatch):
  """Look at minGRU alone, which compiles in no time."""
  case = harness.default_case('mingru')
  monkeypatch.setattr(harness, 'cases', lambda: [case])
  return case


def _measured() -> list[exactness.Distance]:
  return list(exactness.measure(60))


def test_the_distance_of_a_right_cell_is_that_of_its_precision(one_cell):
  found = _measured()
  assert [row.precision for row in found] == [*exactness.PRECISIONS]
  for row in found:
    assert (row.name, row.case, row.failed) == ('mingru', str(one_cell), '')
    assert 0 < row.values < 1e-6 and 0 < row.gradients < 1e-6


@pytest.mark.parametrize('factor', [1.001, np.nan])
def test_a_wrong_cell_is_far_from_its_paper(one_cell, monkeypatch, factor):
  """Of no number too; here it is in the last leaf, that of the last state."""
  right = contract.Cell.unroll

  def wrong(*arguments, **options):
    last, hiddens = right(*arguments, **options)
    return jax.tree.map(lambda leaf: leaf * factor, last), hiddens

  monkeypatch.setattr(contract.Cell, 'unroll', wrong)
  for row in _measured():
    assert not row.values < 1e-5 and not row.gradients < 1e-5


def test_a_cell_that_fails_ends_no_other(monkeypatch):
  cases = [harness.default_case(name) for name in ('mingru', 'minlstm')]
  monkeypatch.setattr(harness, 'cases', lambda: cases)

  def on_device(case, precision):
    if case.name == 'mingru':
      raise MemoryError('no memory')
    return right(case, precision)

  right = exactness._on_device
  monkeypatch.setattr(exactness, '_on_device', on_device)
  failed = {row.name: row.failed for row in _measured()}
  assert failed == {'mingru': 'MemoryError: no memory', 'minlstm': ''}


def test_usual_settings_come_first_and_nothing_is_begun_late():
  cases = exactness._usual_first(harness.cases())
  names = [case.name for case in cases]
  count = len(set(names))
  assert len(set(names[:count])) == count and len(cases) > 2 * count
  assert sorted(map(str, cases)) == sorted(map(str, harness.cases()))
  assert list(exactness.measure(-1)) == []


def test_a_cell_is_as_exact_as_its_worst_setting():
  log = accelerator.Log(60)
  for value in (1e-7, np.nan, 1e-8):
    row = exactness.Distance('gru', 'gru', 'highest', 1e-7, value)
    log.add('exactness', **row._asdict())
  (row,) = (r for r in accelerator._exactness_table(log) if '| gru' in r)
  assert row == '| gru | 1.0e-07 | nan | — | — |'


def test_what_no_time_is_left_for_is_skipped_and_said(tmp_path):
  log = accelerator.Log(-1)
  for measure in (
    accelerator.measure_exactness,
    accelerator.measure_resume,
    accelerator.measure_speed,
    accelerator.measure_studies,
  ):
    measure(log)
  lines = (tmp_path / 'accelerator.jsonl').read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  assert rows == log.rows and all(row['skipped'] == 'no time' for row in rows)
  sections = ['exactness', 'resume', 'speed', 'studies']
  assert [row['section'] for row in rows] == sections
  page = '\n'.join(accelerator._others(log))
  assert all(json.dumps(row) in page for row in rows)


def test_a_section_that_fails_ends_no_other():
  log = accelerator.Log(60)

  def fail():
    raise RuntimeError('out of memory')

  accelerator._try(log, 'speed', fail)
  assert log.of('speed') == [
    {'section': 'speed', 'failed': 'RuntimeError: out of memory'}
  ]


def test_resume_is_judged_by_parameters_and_metrics(tmp_path, monkeypatch):
  """Of three commands the last is the one that goes on."""
  damaged = {'metrics.jsonl': b'1', 'params.npz': b'2'}

  def command(seconds, arguments, **environ):
    del seconds, environ
    commands.append(arguments)
    (workdir,) = (a.partition('=')[2] for a in arguments if 'workdir' in a)
    folder = tmp_path.joinpath(workdir, 'populations', 'one')
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in damaged.items():
      (folder / name).write_bytes(data if 'whole' in workdir else b'1')
    return True

  monkeypatch.setattr(accelerator, '_command', command)
  for data, same in ((b'2', False), (b'1', True)):
    commands: list[Any] = []
    damaged['params.npz'] = data
    log = accelerator.Log(60)
    accelerator.measure_resume(log)
    assert log.of('resume')[0]['bit_identical'] is same
    assert ['--resume' in arguments for arguments in commands] == [0, 0, 1]


@pytest.mark.parametrize('ended', [True, False])
def test_what_trained_nothing_is_not_bit_identical(monkeypatch, ended):
  monkeypatch.setattr(accelerator, '_command', lambda *_, **__: ended)
  log = accelerator.Log(60)
  accelerator._try(log, 'resume', lambda: accelerator.measure_resume(log))
  (row,) = log.of('resume')
  assert 'bit_identical' not in row
  assert 'has no params.npz' in row['failed'] if ended else row['skipped']


def test_a_study_that_is_cut_off_says_how_far_it_was(monkeypatch):
  monkeypatch.setattr(accelerator, '_command', lambda *_, **__: False)
  log = accelerator.Log(60)
  accelerator.measure_studies(log)
  (row,) = log.of('studies')
  assert (row['ended'], row['runs'], row['compile_seconds']) == (False, 0, 0)


def test_times_are_per_run_and_in_the_table_of_their_width():
  log = accelerator.Log(60)
  whose = {'hidden': 64, 'together': 4, 'us_per_step': 1}
  for name, seconds in (('ours, vanilla', 2.0), ('flax linen', 8.0)):
    log.add('speed', name=name, us_per_step_and_run=seconds, **whose)
  (row,) = (line for line in accelerator._speed_table(log) if '| 64' in line)
  assert row == '| 64 | 4 | 2.00 | — | 8.00 | — | — |'
