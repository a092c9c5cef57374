"""The cell of fixed_forget.py, with a gradient of its own: faster to train."""

import jax.numpy as jnp

from examples.fixed_forget import Carry, init, init_carry
import lstm_variants as lv
from lstm_variants.cells.products import IDENTITY, product, SIGMOID, TANH


def step(params, settings, carry, x, product=product):
  xh = jnp.concatenate((x, carry.h), axis=-1)
  gates = SIGMOID, TANH, IDENTITY
  i, g, o = product(xh, params['kernel'], params['bias'], gates)
  c = 0.95 * carry.c + i * g
  (o,) = product(None, None, o + params['peephole'] * c, (SIGMOID,))
  h = o * jnp.tanh(c)
  return Carry(c, h), h


OURS = lv.Cell(init=init, init_carry=init_carry, step=step, fused=True)
lv.register_cell('fused_forget', OURS)
