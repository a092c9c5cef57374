"""A cell of one's own: an LSTM that forgets at a fixed rate.

i = σ(z_i)             c' = 0.95 c + i ⊙ tanh(z_g)
o = σ(z_o + p ⊙ c')    h' = o ⊙ tanh(c')            z = [x, h] W + b
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import lstm_variants as lv


class Carry(NamedTuple):
  c: jax.Array
  h: jax.Array


def init(key, in_features, hidden_features, settings, options):
  draw = jax.nn.initializers.lecun_normal(dtype=options.dtype)
  shape = in_features + hidden_features, 3 * hidden_features
  return {
    'kernel': draw(key, shape),
    'bias': jnp.zeros(3 * hidden_features, options.dtype),
    'peephole': jnp.zeros(hidden_features, options.dtype),
  }


def init_carry(settings, batch_shape, hidden_features, dtype):
  zeros = jnp.zeros((*batch_shape, hidden_features), dtype)
  return Carry(zeros, zeros)


def step(params, settings, carry, x):
  xh = jnp.concatenate((x, carry.h), axis=-1)
  i, g, o = jnp.split(xh @ params['kernel'] + params['bias'], 3, axis=-1)
  c = 0.95 * carry.c + jax.nn.sigmoid(i) * jnp.tanh(g)
  h = jax.nn.sigmoid(o + params['peephole'] * c) * jnp.tanh(c)
  return Carry(c, h), h


OURS = lv.Cell(init=init, init_carry=init_carry, step=step)
lv.register_cell('fixed_forget', OURS)
