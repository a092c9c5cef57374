"""From norms to curves: means and shares, against loops and by hand."""

import numpy as np
import pytest

from lstm_variants.evidence.gradient_flow import curves

SEEDS, LAYERS, T, B = 3, 2, 5, 4


def draw(seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).uniform(0.1, 2, (LAYERS, T, B))


def test_shares_add_up_to_1_and_are_those_of_a_loop():
  norms = draw()
  shares = curves.normalise(norms)
  np.testing.assert_allclose(shares.sum(axis=-1), 1)
  for layer in range(LAYERS):
    means = [np.mean(norms[layer, t]) for t in range(T)]
    for t in range(T):
      assert shares[layer, t] == pytest.approx(means[t] / sum(means))
  # Neither the scale of the loss nor the length of what was kept matter.
  np.testing.assert_allclose(curves.normalise(7 * norms), shares)
  assert np.isnan(curves.normalise(0 * norms)).all()


def test_steps_that_a_sequence_does_not_have_do_not_count():
  norms, mask = draw(), np.ones((B, T), bool)
  mask[0, 3:] = mask[:, 4] = False
  padded = np.where(mask.T, norms, 1e9)
  means = curves.mean_norms(padded, mask)
  np.testing.assert_allclose(means[:, :3], norms[:, :3].mean(axis=-1))
  np.testing.assert_allclose(means[:, 3], norms[:, 3, 1:].mean(axis=-1))
  assert np.isnan(means[:, 4]).all()
  assert np.nansum(curves.normalise(padded, mask)[0]) == pytest.approx(1)


def test_a_flow_has_a_row_per_seed_and_no_end_at_which_nothing_arrives():
  seeds = [{'c': draw(n), 'h': draw(n + 9)} for n in range(SEEDS)]
  for seed in seeds:
    seed['c'][:, -1] = 0
    seed['h'][:, 1] = 0
  flow = curves.flow('model', seeds, layer=1)
  assert flow.norms['c'].shape == (SEEDS, T)
  np.testing.assert_allclose(flow.norms['h'][2], seeds[2]['h'][1].mean(axis=-1))
  assert np.isnan(flow.norms['c'][:, -1]).all()
  # In between, nothing is a number like any other.
  np.testing.assert_array_equal(flow.norms['h'][:, 1], 0)
  shares = curves.flow('model', seeds, normalised=True).norms['c']
  np.testing.assert_allclose(np.nansum(shares, axis=-1), 1)
  with pytest.raises(ValueError, match="no seeds of 'model'"):
    curves.flow('model', [])
  with pytest.raises(ValueError, match="no seeds of 'model'"):
    curves.lags('model', [])


def test_lags_are_geometric_means_over_sequences():
  norms = [np.log10(draw(n)[0]) for n in range(SEEDS)]
  lags = curves.lags('model', [{'h': one} for one in norms], norms, 'h')
  for n in range(SEEDS):
    product = np.prod(10 ** norms[n], axis=-1) ** (1 / B)
    np.testing.assert_allclose(10 ** lags.norms['h'][n], product)
  assert lags.path is not None
  np.testing.assert_array_equal(lags.path, lags.norms['h'])


def test_diverged_seeds_are_left_out():
  rows = [[0.0, -1.0], [np.nan, np.inf], [2.0, -np.inf], [4.0, -3.0]]
  spread = curves.over_seeds(rows)
  np.testing.assert_array_equal(spread.median, [2, -3])
  np.testing.assert_array_equal(spread.low, [0, -np.inf])
  np.testing.assert_array_equal(spread.high, [4, -1])
  assert np.isnan(curves.over_seeds([[np.nan]]).median).all()
  np.testing.assert_array_equal(curves.over_seeds([[1.0], [2.0]]).median, 1.5)
