"""An optimizer of one's own: the sign of a running mean of the gradients."""

import optax

import lstm_variants as lv


def make(options):
  mean = optax.ema(options['b1'], debias=False)
  step = optax.scale_by_learning_rate(options['learning_rate'])
  return optax.chain(mean, optax.scale_by_sign(), step)


OURS = lv.Optimizer(make, reads=('optimizer.b1',), elementwise=True)
lv.register_optimizer('sign_momentum', OURS)
