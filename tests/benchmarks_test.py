"""The benchmarks: what they compare is alike, and their tables add up.

Never how long anything takes.
"""

import math
import pathlib
import re
from typing import Any

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import cells as cells_page
from benchmarks import (
  first_update,
  flax_training,
  memory,
  networks,
  opening,
  pages,
  peers,
  population,
  report,
  step_time,
  time_to_solve,
  timing,
)

# Other libraries warn as they please.
pytestmark = pytest.mark.filterwarnings('default')
PROBLEM = networks.Problem(*step_time.QUICK_SHAPES[0])
ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def quick():
  """Parse the flags as `--quick` does."""
  flags.FLAGS(['benchmarks', '--quick'])
  yield
  flags.FLAGS.unparse_flags()


def table_after(text: str, heading: str) -> list[list[str]]:
  """Return the cells of the first table after `heading`, its header first."""
  lines = text.split(heading, 1)[1].splitlines()
  start = next(i for i, line in enumerate(lines) if line.startswith('|'))
  rows = []
  for line in lines[start:]:
    if not line.startswith('|'):
      break
    rows.append([cell.strip() for cell in line.strip('|').split('|')])
  return [rows[0], *rows[2:]]


def medians(**values: float) -> dict[str, timing.Timing]:
  return {
    name.replace('_', ' '): timing.Timing(value, value, value)
    for name, value in values.items()
  }


def test_geometric_mean_of_a_hand_made_example():
  assert timing.geometric_mean([1, 4, 16]) == pytest.approx(4)
  assert timing.geometric_mean([0.5, 2]) == pytest.approx(1)
  assert math.isnan(timing.geometric_mean([]))


def test_median_and_quartiles_are_per_unit_of_work():
  found = timing.summarize([5.0, 1.0, 2.0, 4.0, 3.0], units=2)
  assert found == timing.Timing(1.5, 1.0, 2.0)
  assert timing.summarize([3.0]) == timing.Timing(3.0, 3.0, 3.0)


def test_contestants_take_turns_and_each_is_first_once():
  calls: list[str] = []
  runs = {name: lambda name=name: calls.append(name) for name in 'abc'}
  seconds = timing.interleave(runs, 3)
  assert ''.join(calls) == 'abc' + 'abc' + 'bca' + 'cab'
  assert {name: len(found) for name, found in seconds.items()} == dict(
    a=3, b=3, c=3
  )


def test_ratios_are_quotients_of_the_medians_and_their_mean_is_geometric():
  first = medians(ours=2.0, flax_nnx=4.0, flax_linen=3.0, haiku=1.0, torch=8.0)
  second = medians(ours=1.0, flax_nnx=8.0, flax_linen=3.0)
  other = PROBLEM._replace(steps=20)
  lines = step_time.ratios_table({PROBLEM: first, other: second})
  _, *rows = table_after('x' + '\n'.join(lines), 'x')
  assert rows[0][1:] == ['2.00', '1.50', '0.50', '4.00']
  assert rows[1][1:] == ['8.00', '3.00', '3.00', '—']
  assert rows[2][0] == 'geometric mean'
  assert rows[2][1] == timing.number(math.sqrt(2 * 8))
  assert rows[2][3] == timing.number(math.sqrt(0.5 * 3))


@pytest.mark.parametrize('name', peers.SHARERS)
def test_a_shared_batch_makes_the_same_update(monkeypatch, name):
  latest: list[Any] = []
  monkeypatch.setattr(peers.jax, 'block_until_ready', latest.append)
  try:
    model = networks.BUILDERS[name.removesuffix(peers.SHARED)](PROBLEM)
  except ImportError as error:
    pytest.skip(str(error))
  for devices in (1, 2):
    peers.compile_training(model, PROBLEM, 3, devices).run()
  one, two = map(jax.tree.leaves, latest)
  moved = [
    np.max(np.abs(a - b))
    for a, b in zip(one, jax.tree.leaves(model.params), strict=True)
  ]
  assert max(moved) > 1e-5
  for a, b in zip(one, two, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('name', networks.BUILDERS)
def test_contestants_are_the_same_model(name):
  try:
    model = networks.BUILDERS[name](PROBLEM)
  except ImportError as error:
    pytest.skip(str(error))
  inputs, targets = networks.draw(PROBLEM)
  assert jax.jit(model.apply)(model.params, inputs).shape == targets.shape
  features, size = PROBLEM.in_features, PROBLEM.hidden_features
  count = sum(leaf.size for leaf in jax.tree.leaves(model.params))
  assert count == 4 * size * (features + size + 1) + size + 1


def test_step_time_has_every_contestant_or_says_why_not():
  text = '\n'.join(step_time.section(quick=True, repeats=2))
  for where in step_time.LOSSES.values():
    header, row = table_after(text, f'Loss on {where}')
    assert tuple(header[1:]) == peers.NAMES + peers.SHARERS
    for name, cell in zip(header[1:], row[1:], strict=True):
      assert (cell == '—') == (f'skipped: {name} (' in text), name
  header, row, _ = table_after(text, 'the batch of ours shared by')
  assert header[-1] == 'flax nnx, shared ÷ ours, shared'
  assert float(row[-1]) > 0
  _, *rows = table_after(text, 'by variant')
  assert tuple(row[0] for row in rows) == step_time.FIRST_VARIANTS
  assert rows[0][2] == '1.00'


def test_populations_and_grid_have_every_contestant(monkeypatch):
  kinds = {'ours, mixed': ('vanilla', 'peephole')}
  monkeypatch.setattr(population, 'KINDS', kinds)
  text = '\n'.join(population.populations_section(2, 1, quick=True))
  header, row, mean = table_after(text, 'per run')
  assert header[2:] == ['ours, mixed', 'flax nnx', 'flax nnx ÷ ours, mixed']
  assert '—' not in row and mean == ['geometric mean', '', '', '', row[-1]]
  # The program above once more: it need not be compiled again.
  monkeypatch.setattr(population, 'GRID_VARIANTS', kinds['ours, mixed'])
  text = '\n'.join(population.grid_section(quick=True))
  assert '2 variants × 1 seeds = 2 runs' in text
  assert len(table_after(text, 'grid')) == 1 + 3


def test_flax_and_torch_train_the_same_run_as_ours():
  run = time_to_solve.make_run(seed=3, quick=True)
  states = {}
  for name, build in time_to_solve.BUILDERS.items():
    try:
      trainer = build(run.settings, run.hyperparams)
    except ImportError:
      continue
    states[name] = trainer.advance(trainer.state, 5)
  ours = states[networks.OURS]
  assert {networks.OURS, 'flax nnx'} <= set(states)
  # Each error was made with the weights of the update before.
  window = np.asarray(ours.recent)[0]
  assert np.isfinite(window).sum() == 5 * run.settings.batch_size
  for state in states.values():
    recent = np.asarray(state.recent).reshape(window.shape)
    np.testing.assert_allclose(recent, window, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize('threshold', [-1.0, np.inf])
def test_flax_is_solved_when_the_rule_says_so(threshold):
  run = time_to_solve.make_run(seed=0, quick=True)
  task = run.settings.task
  errors = np.full(16, 0.001 if threshold < 0 else 0.1, np.float32)
  window = np.full(2000, 0.001, np.float32)
  state = flax_training.State(
    None, None, jnp.int32(6), jnp.asarray(window), jnp.int32(-1)
  )
  after = flax_training.judge(task, state, None, None, errors)
  assert int(after.solved_at) == (7 if threshold < 0 else -1)
  assert int(after.update) == 7


def test_unsolved_runs_are_said_and_left_out_of_the_ratios():
  solved = time_to_solve.Solved(4.0, 1.0, 3200, 400)
  quicker = time_to_solve.Solved(2.0, 3.0, 3200, 400)
  unsolved = time_to_solve.Solved(9.0, 0.0, None, 800)
  results = {'ours': [quicker], 'flax nnx': [solved], 'torch': [unsolved]}
  assert 'unsolved after 800 updates' in str(time_to_solve.runs_table(results))
  lines = time_to_solve.ratios_table(results)
  _, *rows = table_after('x' + '\n'.join(lines), 'x')
  assert rows[1] == ['flax nnx', '2.00', '1.00', '2.00']
  assert lines[-1] == '- left out: torch (unsolved seeds)'


def test_report_has_introduction_machine_and_every_page(tmp_path):
  names = [name for name, _ in report.SCRIPTS]
  for name in names:
    (tmp_path / f'{name}.md').write_text(f'## page {name}\n')
  (tmp_path / pages.MACHINE).write_text('- Machine: this\n')
  text = report.assemble(tmp_path)
  assert text.startswith(report.INTRODUCTION.read_text().strip())
  headings = re.findall(r'^## (.*)$', text.split('## Machine')[1], re.M)
  assert headings == [f'page {name}' for name in names]


def test_where_there_is_no_browser_no_report_is_opened(monkeypatch):
  monkeypatch.setattr(opening.browser_lib, 'PROGRAM', None)
  text = '\n'.join(opening.page())
  assert '- skipped: all of it (there is no Chromium)' in text


def measure(fork, name: str, *arguments: str) -> str:
  """Run a benchmark in small; return what it prints."""
  done = fork(f'benchmarks.{name}', '--quick', *arguments)
  assert done['status'] == 0, done['stderr']
  return done['stdout']


def test_memory_prints_its_page_and_writes_it(fork, tmp_path):
  printed = measure(fork, 'memory', f'--output={tmp_path}')
  page = (tmp_path / 'memory.md').read_text()
  assert '\nMeasured at commit ' in page
  assert page.rstrip() in printed
  assert 'python -m benchmarks.memory --quick\n' in page
  header, row = table_after(page, 'Scratch memory')
  for name in (memory.NONE, memory.SQRT, memory.FLAX):
    assert f'MiB: {name}' in header or f'skipped: {name} (' in page
  assert len(row) == len(header)
  assert len(table_after(page, 'steps doubled')) == 1 + 2
  machine = (tmp_path / pages.MACHINE).read_text()
  for word in ('Machine', 'jaxlib', 'torch', 'XLA_FLAGS'):
    assert word in machine


def test_sampling_prints_what_a_batch_costs(fork, tmp_path):
  tasks = '--tasks=adding_hs97,copy_urnn16'
  measure(fork, 'sampling', tasks, f'--output={tmp_path}')
  page = (tmp_path / 'sampling.md').read_text()
  for key in ('adding_hs97', 'copy_urnn16'):
    (row,) = [line for line in page.splitlines() if f'`{key}`' in line]
    share = float(row.split('|')[-2].strip(' %'))
    assert 0 < share < 100
  assert 'The largest share: ' in page


@pytest.mark.parametrize('name', ['cells', 'newton'])
def test_cells_and_newton_print_their_page(fork, name, tmp_path):
  measure(fork, name, f'--output={tmp_path}')
  text = (tmp_path / f'{name}.md').read_text()
  header, *rows = table_after(text, '##')
  if name == 'cells':
    found = {row[0].strip('`') for row in rows}
    assert found == set(cells_page.FEW)
    (vanilla,) = [row for row in rows if row[0] == '`vanilla`']
    assert vanilla[-1] == '1.00'
  else:
    assert header[:2] == ['steps', 'what']
    assert [row[1] for row in rows] == ['states', 'with gradient']
    assert all('scan' not in row[-1] for row in rows)


def test_sizes_prints_what_a_study_takes_to_be_read(fork):
  page = measure(fork, 'sizes')
  header, *rows = table_after(page, 'Large studies')
  assert [row[:2] for row in rows] == [['grid', '120'], ['search', '120']]
  assert all(float(row[header.index('compare, s')]) > 0 for row in rows)


def test_a_cold_start_finds_no_program_and_a_warm_one_those_before(monkeypatch):
  """A stand-in for `train` leaves a program where the user's cache is."""
  seen: list[tuple[bool, bool]] = []

  def run(command, env, **_):
    (workdir,) = (w.partition('=')[2] for w in command if '--workdir' in w)
    kept = pathlib.Path(env['XDG_CACHE_HOME'], 'program')
    seen.append((pathlib.Path(workdir).exists(), kept.exists()))
    for path in (pathlib.Path(workdir, 'run'), kept):
      path.parent.mkdir(exist_ok=True)
      path.write_text('')

  trains = {
    name: words
    for name, words in first_update.STARTS.items()
    if name.startswith('train,')
  }
  monkeypatch.setattr(first_update, 'STARTS', trains)
  monkeypatch.setattr(first_update.subprocess, 'run', run)
  page = '\n'.join(first_update.page())
  # One to begin with, then two rounds of both.
  assert seen == [(False, False), *[(False, False), (False, True)] * 2]
  rows = table_after(page, 'From the command')[1:]
  assert [row[0] for row in rows] == [*trains]
