r"""A study of what examples/ registers, beside what the house has.

    python -m experiments.sweep --import=examples.majority \
        --config=examples/study.py --workdir=runs/majority

Other models and another optimizer, once their modules are imported too:

    --config=examples/study.py:vanilla,fixed_forget
    --config.optimizer.name=sign_momentum
"""

import lstm_variants as lv


def get_config(models='vanilla,gru'):
  """Return what the runs have in common; the grid has the models."""
  config = lv.default_config()
  config.task.name = 'majority'
  config.task.length = 20
  config.model.variant = models.split(',')[0]
  config.optimizer.learning_rate = 1e-2
  return config


def get_hyper(hyper, models='vanilla,gru'):
  """Return three seeds of each model, given as NAME,NAME."""
  variants = hyper.sweep('config.model.variant', models.split(','))
  return hyper.product([variants, hyper.sweep('config.seed', range(3))])
