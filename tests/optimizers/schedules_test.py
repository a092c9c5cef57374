"""The learning rate at chosen updates, against closed forms and optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_variants.config import rules
from lstm_variants.optimizers import schedules

WARM_UP, DECAY, FINAL, TOP = 4, 10, 0.2, 0.5
OPTIONS = {
  'learning_rate': TOP,
  'warmup_updates': WARM_UP,
  'decay_updates': DECAY,
  'final_factor': FINAL,
}


def _rates(**options) -> np.ndarray:
  rate = schedules.learning_rate({**OPTIONS, **options})
  return np.asarray([rate(update) for update in range(20)])


@pytest.mark.parametrize('name', schedules.SCHEDULES)
def test_the_rate_rises_by_equal_steps_to_the_top(name):
  rates = _rates(schedule=name)
  np.testing.assert_allclose(
    rates[:5], [0.125, 0.25, 0.375, 0.5, 0.5], rtol=1e-6
  )


@pytest.mark.parametrize(
  'name, expected',
  [
    # After none, a half, and all of the decay, and long after it.
    ('constant', (0.5, 0.5, 0.5, 0.5)),
    ('linear', (0.5, 0.3, 0.1, 0.1)),
    ('cosine', (0.5, 0.3, 0.1, 0.1)),
    ('exponential', (0.5, 0.5 * np.sqrt(0.2), 0.1, 0.1)),
  ],
)
def test_the_rate_falls_to_its_final_factor_and_stays(name, expected):
  rates = _rates(schedule=name)
  np.testing.assert_allclose(rates[[4, 9, 14, 19]], expected, rtol=1e-6)


@pytest.mark.parametrize(
  'name, theirs',
  [
    ('linear', optax.linear_schedule(TOP, TOP * FINAL, DECAY)),
    ('cosine', optax.cosine_decay_schedule(TOP, DECAY, FINAL)),
    (
      'exponential',
      optax.exponential_decay(TOP, DECAY, FINAL, end_value=TOP * FINAL),
    ),
  ],
)
def test_without_a_warm_up_the_schedule_is_that_of_optax(name, theirs):
  rates = _rates(schedule=name, warmup_updates=0)
  expected = [theirs(update) for update in range(20)]
  np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_without_warm_up_and_decay_the_rate_is_constant():
  rates = _rates(schedule='constant', warmup_updates=0, decay_updates=0)
  np.testing.assert_array_equal(rates, np.float32(TOP))
  options = {**OPTIONS, 'schedule': 'constant', 'warmup_updates': 0}
  assert not schedules.varies(options)
  assert schedules.varies({**options, 'warmup_updates': 1})
  assert schedules.varies({**options, 'schedule': 'linear'})


@pytest.mark.parametrize('name', schedules.SCHEDULES)
def test_lanes_with_other_numbers_have_rates_of_their_own(name):
  lanes = {
    'learning_rate': [0.5, 0.1],
    'warmup_updates': [4, 0],
    'decay_updates': [10, 3],
    'final_factor': [0.2, 0.5],
  }

  def rate(numbers, update):
    return schedules.learning_rate({**numbers, 'schedule': name})(update)

  stacked = {k: jnp.asarray(v, jnp.float32) for k, v in lanes.items()}
  both = jax.vmap(rate, in_axes=(0, None))
  for update in (0, 2, 5, 9, 30):
    alone = [
      rate({k: v[lane] for k, v in lanes.items()}, update) for lane in (0, 1)
    ]
    np.testing.assert_allclose(both(stacked, update), alone, rtol=1e-6)


@pytest.mark.parametrize(
  'options, said',
  [
    (
      {'schedule': 'linear', 'decay_updates': 0},
      'optimizer.decay_updates=0: linear needs the updates that it takes',
    ),
    (
      {'schedule': 'exponential', 'final_factor': 0.0},
      'optimizer.final_factor=0.0: an exponential never gets to 0',
    ),
  ],
)
def test_a_schedule_without_an_end_is_refused(options, said):
  with pytest.raises(rules.InputError, match=said):
    schedules.check({**OPTIONS, **options})
  schedules.check({**OPTIONS, 'schedule': 'constant', 'decay_updates': 0})
