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
  pages,
  peers,
  side_by_side,
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


@pytest.fixture
def one_cell(monkeypatch):
  """Look at minGRU alone, which compiles in no time."""
  case = harness.default_case('mingru')
  monkeypatch.setattr(harness, 'cases', lambda: [case])
  return case


def test_the_distance_of_a_right_cell_is_that_of_its_precision(one_cell):
  (found,) = exactness.measure('highest')
  assert found.name == 'mingru'
  assert 0 < found.values < 1e-6 and 0 < found.gradients < 1e-6


def test_a_wrong_cell_is_far_from_its_paper(one_cell, monkeypatch):
  right = contract.Cell.unroll

  def wrong(*arguments, **options):
    last, hiddens = right(*arguments, **options)
    return last, hiddens * 1.001

  monkeypatch.setattr(contract.Cell, 'unroll', wrong)
  (found,) = exactness.measure('highest')
  assert found.values > 1e-5 and found.gradients > 1e-5


def test_what_no_time_is_left_for_is_skipped_and_said(tmp_path):
  flags.FLAGS['seconds'].unparse()
  flags.FLAGS.seconds = 1
  log = accelerator.Log(-1)
  accelerator.measure_exactness(log)
  accelerator.measure_resume(log)
  accelerator.measure_speed(log)
  lines = (tmp_path / 'accelerator.jsonl').read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  assert rows == log.rows and all(row['skipped'] == 'no time' for row in rows)
  assert {row['section'] for row in rows} == {'exactness', 'resume', 'speed'}
  assert all(
    json.dumps(row) in '\n'.join(accelerator._others(log)) for row in rows
  )


def test_a_section_that_fails_ends_no_other():
  log = accelerator.Log(60)

  def fail():
    raise RuntimeError('out of memory')

  accelerator._tried(log, 'speed', fail)
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


def test_times_are_per_run_and_in_the_table_of_their_width():
  log = accelerator.Log(60)
  for name, seconds in (('ours, vanilla', 2.0), ('flax linen', 8.0)):
    log.add(
      'speed',
      width=64,
      runs=4,
      name=name,
      us_per_step_and_run=seconds,
      us_per_step=1,
    )
  (row,) = (line for line in accelerator._speed_table(log) if '| 64' in line)
  assert row == '| 64 | 4 | 2.00 | — | 8.00 | — | — |'
  assert pages.QUICK.value
