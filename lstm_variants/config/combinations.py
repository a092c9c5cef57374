"""The rules that fields of a config must keep together."""

from typing import Any

from lstm_variants import tasks
from lstm_variants.config import fields
from lstm_variants.config.rules import InputError
from lstm_variants.optimizers import schedules
from lstm_variants.tasks import base


def check(config: dict[str, Any], inputs: base.Features) -> None:
  """Refuse fields that contradict each other.

  Args:
    config: nested, each field checked by itself (`schema.check`).
    inputs: of the task.

  Raises:
    InputError: for the first that does not go with the others.
  """
  _check_batch(config['training'])
  _check_stack(config['model'])
  _check_embedding(config, inputs)
  _check_directions(config)
  _check_drops(config['model'], config['training'])
  schedules.check(config['optimizer'])


def _check_batch(training: dict[str, Any]) -> None:
  size, devices = training['batch_size'], training['batch_devices']
  if size % devices:
    fits = max(n for n in range(1, min(size, devices) + 1) if size % n == 0)
    raise InputError(
      'training.batch_devices',
      devices,
      f'must divide batch_size={size}; nearest: {fits}',
    )


def _check_stack(model: dict[str, Any]) -> None:
  """Refuse what a stack of one layer cannot do."""
  if model['residual'] and model['num_layers'] < 2:
    raise InputError(
      'model.residual',
      True,
      'needs --config.model.num_layers of 2 or more: the first layer has '
      'inputs of another size; nearest: false',
    )
  if model['dropout'] and model['num_layers'] < 2:
    raise InputError(
      'model.dropout',
      model['dropout'],
      'needs --config.model.num_layers of 2 or more: it is between the layers; '
      'nearest: 0',
    )


def _check_embedding(config: dict[str, Any], inputs: base.Features) -> None:
  """Refuse an embedding of what is no symbol."""
  features, task = config['model']['embedding_features'], config['task']
  if features and not inputs.one_hot:
    raise InputError(
      'model.embedding_features',
      features,
      f'the inputs of {task["name"]} ({task["dialect"]}) are numbers, no '
      'symbols; nearest: 0',
    )


def _check_directions(config: dict[str, Any]) -> None:
  """Refuse what a model that sees both ways cannot do, or should not."""
  task = config['task']
  if not config['model']['bidirectional']:
    return
  if config['training']['remat'] == 'sqrt':
    raise InputError(
      'training.remat',
      'sqrt',
      'a bidirectional model goes over a sequence both ways; nearest: auto',
    )
  if tasks.DIALECTS[task['name']][task['dialect']].causal:
    raise InputError(
      'model.bidirectional',
      True,
      f'the later inputs of {task["name"]} ({task["dialect"]}) tell its '
      'answers, a model that looks ahead would read them off; nearest: false',
    )


def _check_drops(model: dict[str, Any], training: dict[str, Any]) -> None:
  """Refuse what each device would have to draw for its part of a batch."""
  for rate in ('dropout', *fields.RATES):
    if model[rate] and training['batch_devices'] > 1:
      raise InputError(
        f'model.{rate}',
        model[rate],
        'devices that share a batch would draw the same; nearest: '
        '--config.training.batch_devices=1',
      )
