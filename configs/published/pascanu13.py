"""Pascanu, Mikolov & Bengio, ICML 2013, arXiv:1211.5063: clipping and Ω."""

import math

from lstm_variants.config import experiment

EXPERIMENTS = {
  'temporal_order': experiment.Experiment(
    {
      'task.name': 'temporal_order',
      'task.dialect': 'pascanu13',
      'task.length': 50,
      'model.variant': 'simple_rnn',
      'model.hidden_features': 50,
      'model.recurrent_init': 'uniform',
      'optimizer.name': 'sgd',
      'optimizer.learning_rate': 0.01,
      'training.batch_size': 20,
      'training.updates': 20_000,
      'training.evaluation_interval': 1000,
      'training.success_interval': 50,
      'training.evaluation_batches': 50,
    },
    [
      {'optimizer.gradient_penalty': 2.0},
      {'optimizer.gradient_penalty': 0.0},
      {'optimizer.clip_norm': math.inf},
    ],
    5,
  )
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the arms of an experiment × its seeds."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
