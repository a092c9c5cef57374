"""Keys whose programs compile quickly draw what jax's own keys draw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.config import settings as settings_lib
from lstm_variants.training import drawing, step
from tests import conftest

_data = jax.random.key_data
DRAWS = {
  'split': lambda key: _data(jax.random.split(key, (2, 3))),
  'fold_in': lambda key: _data(jax.random.fold_in(key, jnp.uint32(2**32 - 1))),
  'bytes': lambda key: jax.random.bits(key, (3, 5), jnp.uint8),
  'bits': lambda key: jax.random.bits(key, (2, 3, 5)),
  'no shape': lambda key: jax.random.uniform(key),
  'nothing': lambda key: jax.random.uniform(key, (0, 2)),
  'normal': lambda key: jax.random.normal(key, (7, 5)),
  'truncated': lambda key: jax.random.truncated_normal(key, -2, 2, (7, 5)),
  'order': lambda key: jax.random.permutation(key, 9),
  'of many': jax.vmap(lambda key: jax.random.normal(key, (3,)), axis_size=4),
}


def _equal(draw, key: jax.Array) -> None:
  quick = drawing.quickly_compiled(key)
  assert jax.random.key_impl(quick) != jax.random.key_impl(key)
  np.testing.assert_array_equal(draw(quick), draw(key))


@pytest.mark.parametrize('name', sorted(set(DRAWS) - {'of many'}))
@pytest.mark.parametrize('seed', (0, 2**32 - 1))
def test_the_same_numbers_are_drawn_bit_by_bit(name, seed):
  _equal(DRAWS[name], jax.random.key(seed))


def test_the_same_numbers_are_drawn_of_many_keys_at_once():
  _equal(DRAWS['of many'], jax.random.split(jax.random.key(1), 4))


def test_the_same_numbers_are_drawn_in_double_precision():
  with jax.enable_x64(True):
    _equal(lambda key: jax.random.uniform(key, (3, 5)), jax.random.key(2))


@pytest.mark.parametrize('is_older', (False, True))
def test_other_generators_and_another_order_stay_as_they_are(is_older):
  kind = 'threefry2x32' if is_older else 'rbg'
  key = jax.random.key(0, impl=kind)
  with jax.threefry_partitionable(not is_older):
    assert drawing.quickly_compiled(key) is key


def test_the_first_state_of_a_run_is_drawn_so(monkeypatch):
  run = settings_lib.from_config(conftest.tiny_config())
  state, asked = step.init_state(run.settings, run.hyperparams), []
  monkeypatch.setattr(
    drawing, 'quickly_compiled', lambda key: asked.append(key) or key
  )
  usual = step.init_state(run.settings, run.hyperparams)
  assert len(asked) == 1
  for one, other in zip(*map(jax.tree.leaves, (state, usual)), strict=True):
    np.testing.assert_array_equal(one, other)
