"""A task of one's own: are most of the bits ones?

python -m experiments.show --import=examples.majority --task=majority
"""

import jax
import jax.numpy as jnp

import lstm_variants as lv
from lstm_variants.tasks import measures


def majority(length: int) -> lv.Task:
  """Tell at the last step whether most bits were ones."""

  def sample(key, batch_size, length=length):
    bits = jax.random.randint(key, (batch_size, num_steps), 0, 2)
    inside = jnp.arange(num_steps) < length
    most = 2 * jnp.sum(bits * inside, axis=1) > length
    return lv.Batch(
      inputs=jax.nn.one_hot(bits, 2) * inside[:, None],
      targets=jnp.tile(most[:, None], num_steps).astype(int),
      mask=jnp.tile(jax.nn.one_hot(length - 1, num_steps), (batch_size, 1)),
    )

  num_steps = length
  return lv.Task(
    sample=sample,
    measure=measures.classification,
    num_steps=num_steps,
    inputs=lv.symbols('0', '1'),
    outputs=lv.symbols('no', 'yes'),
    success=lv.HeldOut('wrong', 0.01),
  )


lv.register_task('majority', majority)
