"""Differing widths: masked trials are the narrow ones, and tables add up.

Never how long anything takes.
"""

import jax
import numpy as np
import pytest

from benchmarks import masking, timing, widths
from configs.studies import odyssey
from lstm_variants.config import populations


def table(lines, start):
  """Return the cells of the first table from a line that starts so."""
  first = next(n for n, line in enumerate(lines) if line.startswith(start))
  rows = []
  for line in lines[first:]:
    if not line.startswith('|'):
      break
    rows.append([cell.strip() for cell in line.strip('|').split('|')])
  return [rows[0], *rows[2:]]


def cost(trials, compiling, update):
  return widths.Cost(
    trials, timing.Timing(*[compiling] * 3), timing.Timing(*[update] * 3)
  )


@pytest.fixture(scope='module')
def prepared():
  """One trial of fgr, three wide, by itself and masked, after five updates.

  Its gates are seen by other units: masked, they have to be shut.
  """
  grid, largest = widths.make_grid(6, quick=True)
  assert (len(grid), largest) == (1, 5)
  done = widths.prepare(grid, largest, updates=5, repeats=1)
  for training in done.training.values():
    training()
  return done


def test_a_masked_trial_trains_as_the_narrow_one(prepared):
  (start,), (found,) = prepared.first, widths.unmask(prepared)
  (narrow,) = masking.unstack(prepared.training['3'].state.params)
  (wide,) = prepared.training['masking'].state.params['layers']
  assert wide.gate_kernel.shape == (1, 15, 15)
  moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), start, narrow)
  assert min(jax.tree.leaves(moved)) > 1e-5
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7),
    found,
    narrow,
  )


def test_a_unit_that_is_not_masked_any_more_is_seen(prepared):
  (first,) = prepared.first
  (wide,) = masking.unstack(prepared.training['masking'].state.params)
  leaves, tree = jax.tree.flatten(wide)
  masking.unmask(wide, first, 3)
  for number, leaf in enumerate(leaves):
    if leaf.ndim == 1 and len(leaf) == 1:
      continue  # the readout's bias, which belongs to no unit
    changed = list(leaves)
    changed[number] = leaf.copy()
    changed[number].flat[-1] += 1e-4
    with pytest.raises(AssertionError):
      masking.unmask(jax.tree.unflatten(tree, changed), first, 3)


def test_groups_are_the_populations_of_the_study():
  grid, largest = widths.make_grid(6, quick=False)
  assert largest == max(odyssey.WIDTHS)
  assert len(grid) == 6 * len(odyssey.VARIANTS)
  drawn = [setting[widths.WIDTH] for setting in grid]
  found = {
    group.settings.hidden_features: len(group.runs)
    for group in populations.split(widths.make_runs(grid))
  }
  assert found == {width: drawn.count(width) for width in odyssey.WIDTHS}
  assert min(found.values()) > 0


@pytest.mark.parametrize(
  ('one', 'other', 'verdict'),
  [
    # 30 + n against 10 + 3 n.
    ((30.0, 1.0), (10.0, 3.0), 'one is cheaper from 10 updates on, other'),
    ((10.0, 3.0), (31.0, 1.0), 'other is cheaper from 11 updates on, one'),
    ((10.0, 1.0), (30.0, 2.0), 'one is cheaper after any number of updates'),
    ((10.0, 1.0), (30.0, 1.0), 'one is cheaper after any number of updates'),
    ((30.0, 1.0), (10.0, 1.0), 'other is cheaper after any number of updates'),
  ],
)
def test_which_is_cheaper_of_two_made_up_costs(one, other, verdict):
  costs = {'one': cost(1, *one), 'other': cost(1, *other)}
  assert widths.cheaper(costs).startswith(verdict)


def test_groups_cost_what_their_programs_do_together():
  assert widths.add_rounds([[1.0, 2.0], [10.0, 20.0], [0.5, 0.5]]) == [
    11.5,
    22.5,
  ]
  costs = {
    '8': cost(4, 5.0, 0.004),
    '64': cost(2, 6.0, 0.01),
    widths.GROUPS: cost(6, 11.0, 0.014),
    widths.MASKING: cost(6, 7.0, 0.03),
  }
  _, *rows = table(widths.whole_table(costs, 1000), '| how')
  assert [row[:2] for row in rows] == [['grouping', '2'], ['masking', '1']]
  assert [row[-2:] for row in rows] == [['25.0', '1.00'], ['37.0', '1.48']]
  _, *rows = table(widths.parts_table(costs), '| program')
  assert [row[0] for row in rows] == ['width 8', 'width 64', 'masking']
  assert [row[-1].split()[0] for row in rows] == ['1.00', '5.00', '5.00']


def test_the_page_has_both_ways_and_says_which_is_cheaper(fork, tmp_path):
  done = fork('benchmarks.widths', '--quick', f'--output={tmp_path}')
  assert done['status'] == 0, done['stderr']
  lines = (tmp_path / 'widths.md').read_text().splitlines()
  assert lines[0] == '## Trials of differing widths'
  _, *rows = table(lines, '| how')
  assert [row[:2] for row in rows] == [['grouping', '1'], ['masking', '1']]
  _, *rows = table(lines, '| program')
  assert [row[:2] for row in rows] == [['width 3', '1'], ['masking', '1']]
  assert any(line.startswith('For 1 trials ') for line in lines)
