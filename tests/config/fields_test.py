"""The table of fields: what each is, and what its rule refuses.

`GOLDEN` says it a second time, by hand: a default, a rule or a role that
changes must be meant to. What commit bb05135 refused is in refusals_test.
"""

import math
from typing import Any

import pytest

from configs import base
from lstm_variants import cells, optimizers
from lstm_variants.cells import lstm
from lstm_variants.config import fields, rules, schema, settings

INF, NAN = math.inf, math.nan
# Field -> default, rule, role.
GOLDEN: dict[str, tuple[Any, str, str]] = {
  'seed': (0, '0 to 4,294,967,295', 'run'),
  'task.name': ('adding', 'registered', 'program'),
  'task.dialect': ('', 'text', 'program'),
  'task.length': (0, '0 to 10,000,000', 'program'),
  'task.shortest_length': (0, '0 to 10,000,000', 'program'),
  'task.evaluation_length': (0, '0 to 10,000,000', 'program'),
  'task.evaluation_shortest_length': (0, '0 to 10,000,000', 'program'),
  'task.evaluation_set': (None, 'open, or spread, drawn', 'program'),
  'task.success_limit': (None, 'open, or at least 0', 'program'),
  'task.symbols': (0, '0 to 1,048,576', 'program'),
  'task.items': (0, '0 to 1,048,576', 'program'),
  'task.period': (0, '0 to 10,000,000', 'program'),
  'task.horizon': (0, '0 to 10,000,000', 'program'),
  'task.path': ('', 'text', 'program'),
  'task.column': ('', 'text', 'program'),
  'model.variant': ('vanilla', 'registered', 'program'),
  'model.recurrence': ('full', 'full, diagonal', 'program'),
  'model.hidden_features': (32, '1 to 65,536', 'program'),
  'model.num_layers': (1, '1 to 64', 'program'),
  'model.forget_bias': (1.0, 'finite', 'run'),
  'model.chrono_t_max': (0.0, '0 (off) or at least 3', 'run'),
  'model.recurrent_init': ('orthogonal', 'registered', 'program'),
  'model.layer_norm': (False, 'true or false', 'program'),
  'model.zoneout_c': (0.0, 'at least 0 and below 1', 'run'),
  'model.zoneout_h': (0.0, 'at least 0 and below 1', 'run'),
  'model.recurrent_dropout': (0.0, 'at least 0 and below 1', 'run'),
  'model.dropout': (0.0, 'at least 0 and below 1', 'run'),
  'model.learned_carry': (False, 'true or false', 'program'),
  'model.residual': (False, 'true or false', 'program'),
  'model.bidirectional': (False, 'true or false', 'program'),
  'model.embedding_features': (0, '0 to 65,536', 'program'),
  'model.direct_connections': (False, 'true or false', 'program'),
  'model.dtype': ('float32', 'float32, bfloat16, float64', 'program'),
  'optimizer.name': ('adam', 'registered', 'program'),
  'optimizer.learning_rate': (0.001, '> 0', 'run'),
  'optimizer.momentum': (0.0, 'at least 0 and below 1', 'run'),
  'optimizer.nesterov': (False, 'true or false', 'program'),
  'optimizer.b1': (0.9, 'at least 0 and below 1', 'program'),
  'optimizer.b2': (0.999, 'at least 0 and below 1', 'program'),
  'optimizer.eps': (1e-08, '> 0', 'program'),
  'optimizer.clip_norm': (1.0, '> 0, or inf for none', 'run'),
  'optimizer.clip_value': (math.inf, '> 0, or inf for none', 'run'),
  'optimizer.gradient_penalty': (0.0, 'at least 0', 'run'),
  'optimizer.weight_decay': (0.0, 'at least 0', 'run'),
  'optimizer.schedule': ('constant', 'registered', 'program'),
  'optimizer.warmup_updates': (0, '0 to 1,000,000,000', 'run'),
  'optimizer.decay_updates': (0, '0 to 1,000,000,000', 'run'),
  'optimizer.final_factor': (0.0, 'at least 0', 'run'),
  'optimizer.accumulation': (1, '1 to 1,048,576', 'program'),
  'optimizer.first_accumulator': (0.1, 'at least 0', 'run'),
  'optimizer.factored_from': (128, '1 to 1,048,576', 'program'),
  'optimizer.muon_momentum': (0.95, 'at least 0 and below 1', 'run'),
  'training.batch_size': (32, '1 to 1,048,576', 'program'),
  'training.updates': (2000, '0 to 1,000,000,000', 'conduct'),
  'training.evaluation_interval': (100, '1 to 1,000,000,000', 'conduct'),
  'training.evaluation_batches': (32, '1 to 1,048,576', 'program'),
  'training.evaluation_seed': (0, '0 to 4,294,967,295', 'program'),
  'training.remat': ('auto', 'auto, none, sqrt', 'program'),
  'training.lanes': (0, '0 to 1,048,576', 'program'),
  'training.batch_devices': (1, '1 to 1,048,576', 'program'),
  'training.input_noise': (0.0, 'at least 0', 'run'),
  'training.start': ('', 'text', 'program'),
  'training.stop_when_solved': (True, 'true or false', 'program'),
  'training.success_interval': (0, '0 to 1,000,000,000', 'conduct'),
  'training.patience': (0, '0 to 1,000,000,000', 'conduct'),
  'training.save_interval': (1000, '0 to 1,000,000,000', 'conduct'),
  'training.save_minutes': (5.0, 'at least 0', 'conduct'),
  'training.keep_checkpoints': (2, '1 to 1,000', 'conduct'),
  'training.tensorboard': (False, 'true or false', 'conduct'),
  'training.trackers': ('', 'text', 'conduct'),
  'study.population_size': (0, '0 to 100,000', 'grouping'),
}
REGISTRIES = (
  *('task.name', 'model.variant', 'model.recurrent_init'),
  *('optimizer.name', 'optimizer.schedule'),
)
INTEGERS = (8.5, 8.0, True, NAN, INF, '8', None, [8], 10**30, -(10**30))
REALS = (True, '0.1', None, [0.1], NAN, -INF, -0.1, 0, 1, 1.0, 2.99, INF)


def _own(row: fields.Field) -> bool:
  """Tell whether a row is brought by a cell."""
  return row.name.startswith(('model.cell.', 'model.toggles.'))


def test_the_table_is_as_it_was_written_down():
  table = {
    name: (
      row.default,
      'registered' if name in REGISTRIES else str(row.rule),
      row.role.value,
    )
    for name, row in schema.table().items()
    if not _own(row)
  }
  assert table == GOLDEN


def test_cells_bring_their_settings_and_the_lstm_its_toggles():
  brought = {name for name, row in schema.table().items() if _own(row)}
  assert brought == {
    *(f'model.toggles.{name}' for name in lstm.Toggles._fields),
    *(f'model.cell.{n}' for c in cells.CELLS.values() for n in c.ranges),
  }
  for name in brought:
    row = schema.table()[name]
    assert row.default is None and row.by == 'model.variant'


def test_every_field_has_a_sentence():
  for name, row in schema.table().items():
    assert row.doc[0].isupper() or row.doc[0] in 'αλ', name
    assert row.doc.endswith(('.', ').')), name


def test_the_default_config_is_the_table():
  config = dict(fields.flatten(base.get_config().to_dict()))
  assert config == {name: row.default for name, row in schema.table().items()}
  assert fields.nest(config) == base.get_config().to_dict()


def _bad(row: fields.Field) -> list[Any]:
  """Return values that a row refuses, by what `GOLDEN` says of it."""
  _, rule, _ = GOLDEN[row.name]
  if rule.startswith('open, or '):
    return [
      value
      for value in _bad_by(row.name, rule.removeprefix('open, or '))
      if value is not None
    ]
  return _bad_by(row.name, rule)


def _bad_by(name: str, rule: str) -> list[Any]:
  """Return values that break a rule of `GOLDEN`."""
  if name in REGISTRIES or rule == 'text':
    return [None, 1, True, ['a']]
  if rule == 'true or false':
    return [None, 1, 'yes', 0.0]
  if ' to ' in rule:
    least, most = (int(n.replace(',', '')) for n in rule.split(' to '))
    return [*INTEGERS, least - 1, most + 1]
  if ', ' in rule and 'inf' not in rule:
    return [None, 1, 'zebra']
  fine = {
    'finite': lambda x: math.isfinite(x),
    '> 0': lambda x: 0 < x < INF,
    '> 0, or inf for none': lambda x: x > 0,
    'at least 0': lambda x: 0 <= x < INF,
    'at least 0 and below 1': lambda x: 0 <= x < 1,
    '0 (off) or at least 3': lambda x: x == 0 or 3 <= x < INF,
  }[rule]
  return [x for x in REALS if type(x) not in (int, float) or not fine(x)]


def test_every_bad_value_is_refused_with_field_value_rule_and_a_choice():
  count, plain = 0, dict(fields.flatten(base.get_config().to_dict()))
  for name in GOLDEN:
    row = schema.table()[name]
    for value in _bad(row):
      with pytest.raises(rules.InputError) as info:
        settings.from_config(fields.nest({**plain, name: value}))
      line = str(info.value)
      assert line.startswith(f'--config.{name}={value!r}: '), line
      assert any(w in line for w in ('nearest: ', 'for example ', 'choices: '))
      assert '\n' not in line
      count += 1
  assert count > 450


def test_the_nearest_choice_of_an_integer_is_its_bound():
  for name, (_, rule, _) in GOLDEN.items():
    if ' to ' not in rule:
      continue
    least, most = (int(n.replace(',', '')) for n in rule.split(' to '))
    for value, nearest in ((least - 1, least), (most + 1, most)):
      with pytest.raises(rules.InputError, match=f'nearest: {nearest}$'):
        schema.table()[name].rule.check(name, value, 'float32')


@pytest.mark.parametrize(
  'field, value, precision, fine',
  [
    ('optimizer.b1', 0.9999999999, 'float32', False),
    ('optimizer.b1', 0.9999999999, 'float64', True),
    ('optimizer.b1', 0.999999, 'float32', True),
    ('optimizer.momentum', 1 - 2**-26, 'float32', False),
    ('model.chrono_t_max', 3 - 1e-9, 'float64', False),
    ('optimizer.learning_rate', 1e-46, 'float32', False),
    pytest.param(
      *('optimizer.learning_rate', 10**400, 'float32', False), id='vast'
    ),
  ],
)
def test_numbers_are_judged_as_the_program_rounds_them(
  field, value, precision, fine
):
  rule = schema.table()[field].rule
  if fine:
    rule.check(field, value, precision)
  else:
    with pytest.raises(rules.InputError, match=f'--config.{field}='):
      rule.check(field, value, precision)


def test_a_wide_program_reads_static_numbers_wide_and_traced_ones_narrow():
  plain = dict(fields.flatten(base.get_config().to_dict()))
  wide = {**plain, 'model.dtype': 'float64'}
  almost = 0.9999999999
  settings.from_config(fields.nest({**wide, 'optimizer.b1': almost}))
  for values in (
    {**plain, 'optimizer.b1': almost},
    {**wide, 'optimizer.name': 'sgd', 'optimizer.momentum': almost},
  ):
    with pytest.raises(rules.InputError, match='is 1 in float32'):
      settings.from_config(fields.nest(values))


@pytest.mark.parametrize(
  'changes, field, chosen',
  [
    ({'optimizer.name': 'sgd', 'optimizer.b2': 0.9}, 'b2', 'sgd'),
    ({'optimizer.name': 'rmsprop', 'optimizer.b1': 0.8}, 'b1', 'rmsprop'),
    ({'optimizer.weight_decay': 0.1}, 'weight_decay', 'adam'),
    ({'optimizer.decay_updates': 5}, 'decay_updates', 'constant'),
    ({'model.variant': 'nfg', 'model.forget_bias': 2.0}, 'forget_bias', 'nfg'),
    (
      {'model.chrono_t_max': 9.0, 'model.forget_bias': 2.0},
      'forget_bias',
      'vanilla',
    ),
    ({'model.variant': 'gru', 'model.toggles.coupled': True}, 'coupled', 'gru'),
    ({'model.cell.groups': 2}, 'groups', 'vanilla'),
  ],
)
def test_what_the_chosen_component_does_not_read_is_refused_alike(
  changes, field, chosen
):
  plain = dict(fields.flatten(base.get_config().to_dict()))
  with pytest.raises(rules.InputError) as info:
    settings.from_config(fields.nest({**plain, **changes}))
  line = str(info.value)
  assert f'.{field}=' in line and f'{chosen} does not read it' in line
  assert 'nearest: ' in line
  # What a run directory recorded long ago is taken all the same.
  settings.from_record(fields.nest({**plain, **changes}))


def test_every_shared_field_with_a_reader_is_read_by_some_choice():
  for name, row in schema.table().items():
    if row.by == 'optimizer.name':
      able = [
        optimizer
        for optimizer in optimizers.OPTIMIZERS.values()
        if name in optimizer.reads
        or name in [own.name for own in optimizer.fields]
      ]
      assert able, name


def test_a_number_above_zero_switches_its_part_of_the_program_on():
  plain = dict(fields.flatten(base.get_config().to_dict()))
  off = settings.from_config(fields.nest(plain)).settings
  rows = [row for row in schema.table().values() if row.switch]
  assert len(rows) == 6 and not any(off.switches.values())
  for row in rows:
    assert row.role is fields.RUN and row.default == 0
    changes = {row.name: 0.1, 'model.num_layers': 2}
    on = settings.from_config(fields.nest({**plain, **changes})).settings
    assert [name for name, is_on in on.switches.items() if is_on] == [
      row.switch
    ]
    assert getattr(on, row.switch) is True


@pytest.mark.parametrize('precision', ['float32', 'float64'])
def test_every_default_keeps_its_rule_so_that_it_need_not_be_checked(precision):
  for name, row in schema.table().items():
    row.rule.check(name, row.default, precision)
