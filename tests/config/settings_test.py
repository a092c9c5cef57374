"""Settings: what is refused and how, and that every field is used."""

import copy
import functools
import math
import os
import types
from typing import Any

import jax
import numpy as np
import pytest

from configs import base
from configs import copy as copy_config
from lstm_variants import cells
from lstm_variants.cells import lstm, variants
from lstm_variants.config import fields, rules, schema, settings
from lstm_variants.launch import local
from lstm_variants.training import memory

INF, NAN = math.inf, math.nan
BAD_NAMES = (
  ('task.name', 'adding_', 'adding'),
  ('task.name', 'copyy', 'copy'),
  ('task.name', '', None),
  ('task.dialect', 'hs98', 'hs97'),
  ('task.dialect', 'variable', None),
  ('model.variant', 'peephol', 'peephole'),
  ('model.variant', 'lstm', 'vanilla'),
  ('model.variant', 'qrnn', None),
  ('model.variant', 'simple-rnn', 'simple_rnn'),
  ('model.variant', 'zebra', None),
  ('model.recurrence', 'diagonl', 'diagonal'),
  ('model.recurrent_init', 'orthogonl', 'orthogonal'),
  ('model.dtype', 'float16', 'bfloat16'),
  ('model.dtype', 'float46', 'float64'),
  ('optimizer.name', 'adamm', 'adam'),
  ('optimizer.name', 'Adam', 'adam'),
  ('optimizer.name', None, None),
  ('task.name', 'mnist', 'sequential_digits'),
  ('task.name', 'imagenet', None),
  ('optimizer.schedule', 'cosin', 'cosine'),
  ('training.remat', 'sqr', 'sqrt'),
  ('training.remat', True, None),
)


def _config(changes: dict[str, Any] | None = None) -> Any:
  """Return the base config with fields set past the checks of ConfigDict."""
  fields = base.get_config().to_dict()
  for field, value in (changes or {}).items():
    *path, name = field.split('.')
    functools.reduce(dict.__getitem__, path, fields)[name] = value  # pyrefly: ignore[bad-argument-type]
  return types.SimpleNamespace(to_dict=lambda: fields)


def _refusal(changes) -> str:
  with pytest.raises(rules.InputError) as info:
    local.check(_config(changes))
  message = str(info.value)
  assert '\n' not in message
  return message


@pytest.mark.parametrize('field, value, nearest', BAD_NAMES)
def test_an_unknown_name_is_refused_with_the_nearest(field, value, nearest):
  message = _refusal({field: value})
  assert message.startswith(f'--config.{field}={value!r}: unknown; ')
  assert 'choices: ' in message
  assert ('nearest: ' in message) == bool(nearest)
  if nearest:
    assert f'nearest: {nearest!r};' in message


def test_another_value_of_every_field_is_tried():
  assert set(OTHERS) == set(schema.table())


@pytest.mark.parametrize(
  'changes, field, shortest',
  [
    ({'task.length': 1}, 'task.length', 2),
    ({'task.dialect': 'hs97', 'task.length': 10}, 'task.length', 11),
  ],
)
def test_a_task_too_short_for_its_markers_is_refused(changes, field, shortest):
  message = _refusal(changes)
  assert message.startswith(f'--config.{field}={changes["task.length"]}: ')
  assert message.endswith(f'nearest: {shortest}')
  settings.from_config(_config({**changes, 'task.length': shortest}))


@pytest.mark.parametrize(
  'changes',
  [
    {'model.toggles.coupled': True, 'model.toggles.input_gate': False},
    {'model.toggles.coupled': True, 'model.toggles.forget_gate': False},
    {'model.toggles.coupled': True, 'model.toggles.peephole_f': True},
    {'model.toggles.coupling_shift': 1.0},
    {'model.toggles.peephole_i': True, 'model.toggles.input_gate': False},
    {'model.variant': 'peephole', 'model.toggles.forget_gate': False},
    {'model.variant': 'janet', 'model.toggles.coupled': False},
  ],
)
def test_toggles_that_contradict_each_other_are_refused(changes):
  message = _refusal(changes)
  toggles = [field for field in changes if field.startswith('model.toggles.')]
  assert any(message.startswith(f'--config.{field}=') for field in toggles)
  assert '; set ' in message


@pytest.mark.parametrize('shift', [NAN, INF, -INF])
def test_a_shift_that_is_not_finite_is_refused(shift):
  changes = {'model.variant': 'janet', 'model.toggles.coupling_shift': shift}
  message = _refusal(changes)
  assert message.startswith('--config.model.toggles.coupling_shift=')
  assert message.endswith('must be finite; for example 1')


@pytest.mark.parametrize('toggle', ['peephole_i', 'input_gate', 'coupled'])
@pytest.mark.parametrize('value', [True, False])
def test_toggles_of_a_simple_rnn_are_refused(toggle, value):
  field = f'model.toggles.{toggle}'
  message = _refusal({'model.variant': 'simple_rnn', field: value})
  assert message.startswith(f'--config.{field}={value}: simple_rnn does not ')
  assert '--config.model.variant=vanilla' in message


@pytest.mark.parametrize(
  'changes, words',
  [
    (
      {'model.variant': 'gru', 'model.cell.groups': 2},
      ('model.cell.groups=2', 'gru does not read it', 'nearest'),
    ),
    (
      {'model.cell.groups': 2},
      ('model.cell.groups=2', 'vanilla does not', 'model.variant=clockwork'),
    ),
    (
      {'model.variant': 'clockwork', 'model.cell.groups': 0},
      ('model.cell.groups=0', 'nearest: 1'),
    ),
    (
      {'model.variant': 'clockwork', 'model.cell.groups': 'two'},
      ('model.cell.groups=', 'not an integer'),
    ),
    (
      {
        'model.variant': 'clockwork',
        'model.cell.groups': 1000,
        'model.hidden_features': 18,
      },
      ('model.cell.groups=1000', 'nearest: 9'),
    ),
    (
      {'model.bidirectional': True, 'task.name': 'anbn'},
      ('model.bidirectional=True', 'anbn (gers01)', 'nearest: false'),
    ),
    (
      {'model.variant': 'clockwork', 'model.cell.groups': 3},
      ('groups=3', 'hidden_features', 'nearest'),
    ),
    (
      {'model.variant': 'gru', 'model.recurrence': 'diagonal'},
      ("model.recurrence='diagonal'", 'gru does not', 'nearest: full'),
    ),
    (
      {'model.variant': 'simple_rnn', 'model.chrono_t_max': 9},
      ('model.chrono_t_max=9', 'simple_rnn does not', 'nearest: 0'),
    ),
    (
      {'model.variant': 'irnn', 'model.forget_bias': 3.0},
      ('model.forget_bias=3.0', 'irnn does not', 'nearest: 1'),
    ),
    (
      {'model.variant': 'nig', 'model.layer_norm': True},
      ('model.layer_norm=True', 'nig lacks a gate', 'nearest: false'),
    ),
    (
      {'model.variant': 'irnn', 'model.recurrent_init': 'uniform'},
      ("model.recurrent_init='uniform'", 'irnn does', 'nearest: orthogonal'),
    ),
    (
      {'model.variant': 'irnn', 'model.layer_norm': True},
      ('model.layer_norm=True', 'irnn', 'vanilla', 'nearest: false'),
    ),
    (
      {'model.recurrence': 'diagonal', 'model.layer_norm': True},
      ('model.layer_norm=True', 'vanilla+diagonal', 'nearest: false'),
    ),
    (
      {'model.variant': 'gru', 'model.zoneout_c': 0.1},
      ('model.zoneout_c=0.1', 'gru', 'vanilla'),
    ),
    (
      {'model.variant': 'simple_rnn', 'model.recurrent_dropout': 0.1},
      ('model.recurrent_dropout=0.1', 'simple_rnn', 'vanilla'),
    ),
    (
      {'model.variant': 'mgu', 'optimizer.gradient_penalty': 2},
      ('gradient_penalty=2', 'mgu does not read it', 'nearest: 0'),
    ),
    (
      {'model.layer_norm': True, 'optimizer.gradient_penalty': 2},
      ('gradient_penalty=2', 'model.layer_norm', 'nearest: 0'),
    ),
    (
      {'model.residual': True},
      ('model.residual=True', 'num_layers', 'nearest: false'),
    ),
    (
      {'model.bidirectional': True, 'training.remat': 'sqrt'},
      ("training.remat='sqrt'", 'both ways', 'nearest: auto'),
    ),
    (
      {'model.zoneout_h': 0.1, 'training.batch_devices': 2},
      ('model.zoneout_h=0.1', 'batch_devices=1'),
    ),
  ],
)
def test_what_a_cell_does_not_have_is_refused(changes, words):
  message = _refusal(changes)
  for word in words:
    assert word in message


def test_settings_of_a_cell_show_in_the_models_name():
  run = settings.from_config(
    _config({'model.variant': 'clockwork', 'model.cell.groups': 2})
  )
  assert run.model == 'clockwork+groups=2'
  assert run.settings.cell_settings.groups == 2
  run = settings.from_config(_config({'model.recurrence': 'diagonal'}))
  assert run.model == 'vanilla+diagonal'
  assert run.settings.cell == 'diagonal_lstm'


@pytest.mark.parametrize('optimizer', ['adam', 'rmsprop', 'sgd'])
@pytest.mark.parametrize('knob, value', [('momentum', 0.5), ('nesterov', True)])
def test_knobs_that_the_optimizer_does_not_have_are_refused(
  optimizer, knob, value
):
  users = {'momentum': ('sgd', 'rmsprop'), 'nesterov': ('sgd',)}[knob]
  changes = {'optimizer.name': optimizer, f'optimizer.{knob}': value}
  if optimizer in users:
    settings.from_config(_config(changes))
    return
  message = _refusal(changes)
  assert message.startswith(f'--config.optimizer.{knob}={value}: {optimizer} ')
  assert 'or --config.optimizer.name=' in message


def test_overrides_change_the_toggles_and_show_in_the_models_name():
  run = settings.from_config(_config({'model.toggles.peephole_i': True}))
  assert run.model == 'vanilla+peephole_i'
  assert run.hyperparams.toggles == lstm.Toggles(peephole_i=True)
  changes = {
    'model.variant': 'peephole',
    'model.toggles.peephole_o': False,
    'model.toggles.gate_recurrence': True,
  }
  run = settings.from_config(_config(changes))
  assert run.model == 'peephole-peephole_o+gate_recurrence'
  assert run.hyperparams.toggles == lstm.Toggles(
    peephole_i=True, peephole_f=True, gate_recurrence=True
  )
  changes = {'model.variant': 'janet', 'model.toggles.coupling_shift': 0.5}
  run = settings.from_config(_config(changes))
  assert run.model == 'janet+coupling_shift=0.5'
  assert run.hyperparams.toggles.coupling_shift == 0.5


def test_an_override_that_changes_nothing_leaves_the_name():
  changes = {'model.variant': 'peephole', 'model.toggles.peephole_i': True}
  run = settings.from_config(_config(changes))
  assert run.model == 'peephole'
  assert run.hyperparams.toggles == variants.VARIANTS['peephole'].toggles


@pytest.mark.parametrize('variant', schema.models())
def test_every_model_of_the_registry_is_accepted(variant):
  run = settings.from_config(_config({'model.variant': variant}))
  assert run.model == variant
  if variant in cells.CELLS:
    assert (run.settings.cell, run.hyperparams.toggles) == (variant, None)
    assert run.settings.cell_settings == cells.CELLS[variant].settings
  else:
    assert run.settings.cell == 'lstm'
    assert run.hyperparams.toggles == variants.VARIANTS[variant].toggles


@pytest.mark.parametrize(
  'changes',
  [
    {'optimizer.clip_norm': INF, 'optimizer.clip_value': 0.1},
    {'optimizer.learning_rate': 1e30, 'model.forget_bias': -2},
    {'optimizer.name': 'sgd', 'optimizer.momentum': 0.9},
    {'model.chrono_t_max': 3, 'training.updates': 0},
    {'seed': 2**32 - 1, 'model.dtype': 'float64', 'model.num_layers': 3},
    {'task.dialect': 'hs97', 'task.length': 11},
    {'task.name': 'copy', 'task.dialect': 'variable', 'task.length': 1},
  ],
)
def test_unusual_but_valid_values_are_accepted(changes):
  settings.from_config(_config(changes))


def _other(default: Any) -> Any:
  if isinstance(default, bool):
    return not default
  if isinstance(default, int):
    return default * 2 or 1
  return default / 2 or 0.5


LINEAR = {'optimizer.schedule': 'linear', 'optimizer.decay_updates': 5}
# A value other than the default of every field, and what it needs.
OTHERS = {
  'seed': (1, {}),
  'task.name': ('copy', {}),
  'task.dialect': ('hs97', {}),
  'task.length': (99, {}),
  'task.shortest_length': (50, {}),
  'task.evaluation_length': (200, {}),
  'task.evaluation_shortest_length': (150, {'task.evaluation_length': 200}),
  'task.evaluation_set': ('drawn', {'task.name': 'parity'}),
  'task.success_limit': (0.0, {'task.name': 'parity'}),
  'task.symbols': (4, {'task.name': 'copy'}),
  'task.items': (2, {'task.name': 'two_sequence'}),
  'task.period': (11, {'task.name': 'periodic_function'}),
  'task.horizon': (
    2,
    {'task.name': 'forecasting', 'task.dialect': 'multi_step'},
  ),
  'task.path': ('docs/performance.md', {'task.name': 'characters'}),
  'task.column': (
    'time',
    {
      'task.name': 'forecasting',
      'task.path': 'tests/data/series.csv',
      'task.length': 5,
    },
  ),
  'model.variant': ('peephole', {}),
  'model.hidden_features': (31, {}),
  'model.num_layers': (2, {}),
  'model.forget_bias': (0.5, {}),
  'model.chrono_t_max': (9.0, {}),
  'model.recurrent_init': ('uniform', {}),
  'model.recurrence': ('diagonal', {}),
  'model.layer_norm': (True, {}),
  'model.learned_carry': (True, {}),
  'model.residual': (True, {'model.num_layers': 2}),
  'model.bidirectional': (True, {}),
  'model.zoneout_c': (0.1, {}),
  'model.zoneout_h': (0.1, {}),
  'model.recurrent_dropout': (0.1, {}),
  'model.dropout': (0.1, {'model.num_layers': 2}),
  'model.embedding_features': (4, {'task.name': 'copy'}),
  'model.direct_connections': (True, {}),
  'model.dtype': ('float64', {}),
  'optimizer.name': ('rmsprop', {}),
  'optimizer.learning_rate': (0.5, {}),
  'optimizer.momentum': (0.5, {'optimizer.name': 'sgd'}),
  'optimizer.nesterov': (True, {'optimizer.name': 'sgd'}),
  'optimizer.b1': (0.5, {}),
  'optimizer.b2': (0.5, {}),
  'optimizer.eps': (0.5, {}),
  'optimizer.clip_norm': (0.5, {}),
  'optimizer.clip_value': (0.5, {}),
  'optimizer.gradient_penalty': (0.5, {}),
  'optimizer.weight_decay': (0.5, {'optimizer.name': 'adamw'}),
  'optimizer.schedule': ('cosine', LINEAR),
  'optimizer.warmup_updates': (5, {}),
  'optimizer.decay_updates': (7, LINEAR),
  'optimizer.final_factor': (0.5, LINEAR),
  'optimizer.accumulation': (2, {}),
  'optimizer.first_accumulator': (0.5, {'optimizer.name': 'adagrad'}),
  'optimizer.factored_from': (4, {'optimizer.name': 'adafactor'}),
  'optimizer.muon_momentum': (0.5, {'optimizer.name': 'muon'}),
  'training.batch_size': (5, {}),
  'training.input_noise': (0.5, {}),
  'training.updates': (5, {}),
  'training.evaluation_interval': (5, {}),
  'training.evaluation_batches': (5, {}),
  'training.evaluation_seed': (5, {}),
  'training.remat': ('sqrt', {}),
  'training.lanes': (3, {}),
  'training.batch_devices': (2, {'training.batch_size': 4}),
  'training.stop_when_solved': (False, {}),
  'training.success_interval': (7, {}),
  'training.patience': (7, {}),
  'training.start': ('f' * 64, {}),
  'training.save_interval': (7, {}),
  'training.save_minutes': (0.5, {}),
  'training.keep_checkpoints': (3, {}),
  'training.tensorboard': (True, {}),
  'training.trackers': ('csv', {}),
  'study.population_size': (3, {}),
  'model.toggles.coupling_shift': (0.5, {'model.toggles.coupled': True}),
  **{
    f'model.toggles.{name}': (not default, {})
    for name, default in lstm.Toggles()._asdict().items()
    if name != 'coupling_shift'
  },
  **{
    f'model.cell.{name}': (
      _other(getattr(known.settings, name)),
      {'model.variant': cell},
    )
    for cell, known in cells.CELLS.items()
    for name in known.ranges
  },
}


@pytest.mark.parametrize('field', OTHERS)
def test_every_field_changes_what_is_trained(field):
  value, needs = OTHERS[field]
  before = settings.from_config(_config(needs))
  after = settings.from_config(_config({**needs, field: value}))
  assert (before.settings, before.hyperparams) != (
    after.settings,
    after.hyperparams,
  )
  assert before.config != after.config
  if field.startswith('task.'):
    assert before.settings.task_label != after.settings.task_label


@pytest.mark.parametrize(
  'changes, trained, judged, label',
  [
    ({}, (100, 100), (100, 100), 'adding-urnn16-T100'),
    (
      {'task.shortest_length': 30},
      (30, 100),
      (30, 100),
      'adding-urnn16-T100-from30-spread',
    ),
    (
      {'task.shortest_length': 30, 'task.evaluation_set': 'drawn'},
      (30, 100),
      (30, 100),
      'adding-urnn16-T100-from30',
    ),
    (
      {'task.success_limit': 0.001},
      (100, 100),
      (100, 100),
      'adding-urnn16-T100-below0.001',
    ),
    (
      {'task.name': 'parity', 'task.success_limit': 1e-5},
      (1, 40),
      (1, 40),
      'parity-deletang23-T40-below1e-05-spread',
    ),
    (
      {'task.evaluation_length': 200},
      (100, 100),
      (200, 200),
      'adding-urnn16-T100-evaluated-T200',
    ),
    (
      {'task.name': 'parity', 'task.evaluation_length': 400},
      (1, 40),
      (41, 400),
      'parity-deletang23-T40-evaluated-T400-from41-spread',
    ),
    (
      {
        'task.name': 'parity',
        'task.evaluation_length': 400,
        'task.evaluation_shortest_length': 300,
      },
      (1, 40),
      (300, 400),
      'parity-deletang23-T40-evaluated-T400-from300-spread',
    ),
  ],
)
def test_the_held_out_set_has_lengths_of_its_own(
  changes, trained, judged, label
):
  found = settings.from_config(_config(changes)).settings
  assert found.task_label == label
  lengths = []
  for task, (shortest, longest) in (
    (found.task, trained),
    (found.held_out_task, judged),
  ):
    assert task.length == longest
    sample = jax.jit(task.sample, static_argnums=1)
    for seed in range(20):
      mask = np.asarray(sample(jax.random.key(seed), 2).mask)
      last = task.num_steps - np.argmax(mask[0, ::-1] > 0)
      lengths.append(last)
      assert shortest <= last <= longest + 1
  assert len(set(lengths)) >= len({*trained, *judged})


@pytest.mark.parametrize(
  'changes, field, message',
  [
    ({'task.shortest_length': 101}, 'shortest_length', 'nearest: 100'),
    (
      {'task.evaluation_shortest_length': 9},
      'evaluation_shortest_length',
      'needs --config.task.evaluation_length',
    ),
    (
      {'task.evaluation_length': 50, 'task.evaluation_shortest_length': 51},
      'evaluation_shortest_length',
      'nearest: 50',
    ),
    ({'task.evaluation_length': 1}, 'evaluation_length', 'nearest: 2'),
    ({'task.symbols': 3}, 'symbols', 'has no such option'),
    (
      {'task.name': 'long_lag', 'task.evaluation_length': 200},
      'evaluation_length',
      'grows with its length',
    ),
    ({'task.path': '\udcff'}, 'path', 'UTF-8'),
    ({'task.name': 'copy', 'task.symbols': 1}, 'symbols', 'nearest: 2'),
    ({'task.name': 'characters', 'task.path': 'x'}, 'path', 'No such file'),
  ],
)
def test_a_choice_that_the_task_does_not_allow_is_refused(
  changes, field, message
):
  refusal = _refusal(changes)
  assert refusal.startswith(f'--config.task.{field}=')
  assert message in refusal


def test_what_is_left_to_the_paper_and_what_names_it_are_one():
  named = {
    'task.name': 'copy',
    'task.dialect': 'urnn16',
    'task.length': 100,
    'task.shortest_length': 100,
    'task.evaluation_length': 100,
    'task.evaluation_shortest_length': 100,
    'task.symbols': 8,
    'task.items': 10,
  }
  one = settings.from_config(_config({'task.name': 'copy'}))
  two = settings.from_config(_config(named))
  assert (one.settings, one.config) == (two.settings, two.config)


@pytest.mark.parametrize('name', ['sequential_digits', 'characters'])
def test_data_that_are_judged_are_not_those_of_training(name):
  found = settings.from_config(_config({'task.name': name})).settings
  trained, judged = (
    task.sample(jax.random.key(0), 8).inputs
    for task in (found.task, found.held_out_task)
  )
  assert trained.shape == judged.shape
  assert np.any(np.asarray(trained) != np.asarray(judged))


def test_fields_keep_their_values():
  changes = {
    field: value
    for field, (value, needs) in OTHERS.items()
    if not needs and 'toggles' not in field and field != 'task.name'
  }
  # They contradict remat=sqrt or layer_norm.
  for field in ('bidirectional', 'recurrence'):
    del changes[f'model.{field}']
  del changes['optimizer.gradient_penalty']
  del changes['model.forget_bias']  # chrono replaces it
  del changes['optimizer.b1']  # rmsprop has none
  run = settings.from_config(_config(changes))
  found = {
    'seed': run.hyperparams.seed,
    **{k.rpartition('.')[2]: v for k, v in run.settings.values.items()},
    **run.settings.task_fields._asdict(),
    **{k.rpartition('.')[2]: v for k, v in run.hyperparams.values.items()},
    'optimizer': run.settings.optimizer,
  }
  for field, value in changes.items():
    name = field.rpartition('.')[2]
    name = {'optimizer.name': 'optimizer'}.get(field, name)
    if name != 'variant':
      assert found[name] == value, field
  assert run.settings.task.name == 'adding'


def test_a_size_beyond_the_memory_is_refused_with_both_numbers():
  message = _refusal(
    {'model.hidden_features': 4096, 'training.batch_size': 2**20}
  )
  assert message.startswith('--config.training.batch_size=1048576: ')
  there = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  assert f'this machine has {there / 2**30:,.0f}' in message
  assert 'GiB' in message and 'width 4096' in message


def test_the_memory_of_direct_connections_is_that_of_their_weights():
  changes = {'task.name': 'associative_recall', 'model.hidden_features': 2}
  plain, direct = (
    settings.from_config(
      _config({**changes, 'model.direct_connections': connected})
    ).settings
    for connected in (False, True)
  )
  more = memory.estimate_bytes(direct) - memory.estimate_bytes(plain)
  assert more == 10 * 4 * 8192**2


def test_a_matrix_for_a_state_is_no_weight_but_is_kept_by_the_gradient(
  monkeypatch,
):
  monkeypatch.setattr(memory, 'cores', lambda: 1)
  changes = {'model.variant': 'delta_rule', 'model.hidden_features': 64}
  one = settings.from_config(
    _config({**changes, 'task.length': 100, 'training.remat': 'sqrt'})
  ).settings
  more = memory.estimate_bytes(one, 2) - memory.estimate_bytes(one, 1)
  assert more == 10 * 4 * (2 * 3 * 64 + 2)
  # A state of each sequence between each two of the ten segments.
  states = 10 * 4 * one.batch_size * 64 * 64
  kept = memory._kept_bytes(one, 10) + memory._ends_bytes(one, 100)
  assert memory.estimate_bytes(one) - kept - more > states


def test_the_memory_of_a_population_is_that_of_all_its_runs(monkeypatch):
  one = settings.from_config(base.get_config()).settings
  needed = memory.estimate_bytes(one, 10)
  assert needed > memory.estimate_bytes(one, 5)
  pages = {'SC_PAGE_SIZE': 1, 'SC_PHYS_PAGES': needed}
  monkeypatch.setattr(os, 'sysconf', pages.__getitem__)
  memory.check_memory([one] * 10)
  with pytest.raises(rules.InputError, match='batch_size.*11 run.*nearest'):
    memory.check_memory([one] * 11)


def test_the_choice_named_for_too_large_a_size_fits(monkeypatch):
  changes = {'model.hidden_features': 512, 'task.length': 10}
  one = settings.from_config(_config(changes)).settings
  pages = {'SC_PAGE_SIZE': 1, 'SC_PHYS_PAGES': 0}
  monkeypatch.setattr(os, 'sysconf', pages.__getitem__)
  for factor in (0.9, 0.5, 0.01):
    pages['SC_PHYS_PAGES'] = int(memory.estimate_bytes(one) * factor)
    with pytest.raises(rules.InputError) as info:
      memory.check_memory([one])
    field = str(info.value).partition('=')[0].rpartition('.')[2]
    nearest = int(str(info.value).rpartition('nearest: ')[2])
    memory.check_memory([memory._resized(one, field, nearest)])
    with pytest.raises(rules.InputError):
      memory.check_memory([memory._resized(one, field, nearest + 1)])


@pytest.mark.parametrize(
  'field, value',
  [
    ('training.batch_size', 2**20),
    ('task.length', 10**7),
    ('model.hidden_features', 30000),
  ],
)
def test_too_large_a_size_is_refused_by_its_own_name(field, value):
  changes = {'training.remat': 'none'}
  message = _refusal({**changes, field: value})
  assert message.startswith(f'--config.{field}={value}: ')
  nearest = int(message.rpartition(': ')[2])
  local.check(_config({**changes, field: nearest}))


@pytest.mark.parametrize('steps, segment', [(100, 10), (101, 11), (2, 2)])
def test_remat_sqrt_recomputes_about_root_t_steps_together(steps, segment):
  changes = {'task.length': steps}
  plain = settings.from_config(_config({**changes, 'training.remat': 'none'}))
  root = settings.from_config(_config({**changes, 'training.remat': 'sqrt'}))
  assert memory.segment(plain.settings) is None
  assert memory.segment(root.settings) == segment


def test_remat_auto_saves_memory_where_a_run_would_keep_over_a_gibibyte():
  run = settings.from_config(_config({'task.length': 1000}))
  assert memory.segment(run.settings) is None
  long = settings.from_config(_config({'task.length': 100_000})).settings
  assert memory.segment(long) == 317
  plain = long.replace(remat='none')
  assert memory.estimate_bytes(plain) > 2**30
  assert memory.estimate_bytes(long) < 0.2 * memory.estimate_bytes(plain)


def test_runs_that_take_turns_share_the_memory_of_the_gradient(monkeypatch):
  monkeypatch.setattr(memory, 'cores', lambda: 2)
  one = settings.from_config(_config({'task.length': 1000})).settings
  turns = memory.estimate_bytes(one, 100)
  side_by_side = memory.estimate_bytes(one.replace(lanes=50), 100)
  assert side_by_side > 10 * turns


def test_devices_that_share_a_batch_divide_it():
  message = _refusal({'training.batch_size': 12, 'training.batch_devices': 5})
  assert message == (
    '--config.training.batch_devices=5: must divide batch_size=12; nearest: 4'
  )


def test_devices_that_share_a_batch_share_its_memory_too(monkeypatch):
  monkeypatch.setattr(memory, 'cores', lambda: 4)
  changes = {'task.length': 1000, 'training.batch_size': 64}
  one = settings.from_config(_config(changes)).settings
  two = one.replace(batch_devices=2)
  four = one.replace(batch_devices=4)
  estimates = [memory.estimate_bytes(s, 8) for s in (one, two, four)]
  assert estimates[0] > 1.8 * estimates[1] > 2.9 * estimates[2]
  # The parameters are on each of the devices.
  wide = four.replace(hidden_features=4096, batch_size=4)
  alone = wide.replace(batch_devices=1)
  assert memory.estimate_bytes(wide) > 3 * memory.estimate_bytes(alone)


@pytest.mark.parametrize(
  'field, value',
  [
    ('optimizer.learning_rate', 1e39),
    ('optimizer.learning_rate', 1e-50),
    ('optimizer.eps', 1e-60),
    ('optimizer.clip_norm', 1e-46),
    ('model.forget_bias', -1e39),
    ('model.chrono_t_max', 1e39),
  ],
)
def test_a_number_that_float32_cannot_hold_is_refused(field, value):
  message = _refusal({field: value})
  assert message.startswith(f'--config.{field}={value!r}: beyond float32')


def test_the_estimate_covers_the_arrays_that_training_needs():
  run = settings.from_config(
    _config({'model.hidden_features': 256, 'training.batch_size': 1})
  )
  sizes = run.settings.architecture
  weights = lstm.count_params(
    lstm.Toggles(gate_recurrence=True), sizes.in_features, 256
  )
  assert memory.estimate_bytes(run.settings) >= 4 * 4 * weights


@pytest.mark.parametrize(
  'field', ['seed', 'task', 'training.updates', 'model.toggles']
)
def test_a_config_that_lacks_a_field_is_refused(field):
  config = _config()
  fields = config.to_dict()
  *path, name = field.split('.')
  del functools.reduce(dict.__getitem__, path, fields)[name]  # pyrefly: ignore[bad-argument-type]
  with pytest.raises(rules.InputError, match=f'--config.{field}.*missing'):
    settings.from_config(config)


@pytest.mark.parametrize(
  'field', ['warmup', 'training.warmup', 'model.drop', 'model.toggles.no_x']
)
def test_a_field_that_nothing_reads_is_refused(field):
  assert 'unknown' in _refusal({field: 3})


def test_what_was_recorded_is_read_though_it_would_be_refused_today():
  nearly_one = {'optimizer.b1': 0.9999999999}
  assert 'is 1 in float32' in _refusal(nearly_one)
  run = settings.from_record(_config(nearly_one).to_dict())
  assert run.settings.b1 == 0.9999999999


def test_the_config_is_not_changed_and_numpy_numbers_pass():
  config = copy_config.get_config()
  config.update_from_flattened_dict(
    {'optimizer.learning_rate': np.float64(0.005)}
  )
  before = copy.deepcopy(config.to_dict())
  run = settings.from_config(config)
  assert config.to_dict() == before
  assert run.hyperparams.learning_rate == 0.005


@pytest.mark.parametrize('rate', fields.RATES)
def test_what_is_left_out_at_random_makes_another_program(rate):
  assert not settings.from_config(_config()).settings.noisy
  noisy = settings.from_config(_config({f'model.{rate}': 0.1}))
  assert noisy.settings.noisy


def test_runs_differ_in_settings_only_by_what_is_static():
  one = settings.from_config(_config())
  traced = {
    'seed': 3,
    'model.variant': 'fgr',
    'model.chrono_t_max': 10.0,
    'optimizer.learning_rate': 0.1,
    'optimizer.clip_norm': 2.0,
    'optimizer.clip_value': 2.0,
  }
  other = settings.from_config(_config(traced))
  assert one.settings == other.settings
  assert hash(one.settings) == hash(other.settings)
