"""The nearest name is what was meant, and nothing where nothing is near."""

import time

import pytest

from lstm_variants import __main__ as program
from lstm_variants import names, optimizers, tasks, trackers
from lstm_variants.commands import list as listed
from lstm_variants.config import default, rules, schema, settings
from lstm_variants.search import space


def choice_of(field):
  """Return the rule of a field that takes one of some names."""
  rule = schema.table()[field].rule
  assert isinstance(rule, rules.Choice)
  return rule


def choices_of(field):
  """Return the names that a field takes."""
  return set(choice_of(field).names)


# Flags that commands have beside the fields.
FLAGS = ('config', 'workdir', 'from', 'resume', 'overwrite', 'import')
FIELDS = (*schema.table(), *FLAGS, 'JAX_PLATFORMS')


@pytest.mark.parametrize(
  'wrong, right',
  [
    # Slips.
    ('optimizer.shedule', 'optimizer.schedule'),
    ('optimizer.learning_rat', 'optimizer.learning_rate'),
    ('task.lenght', 'task.length'),
    ('training.batchsize', 'training.batch_size'),
    ('learningRate', 'optimizer.learning_rate'),
    ('model.toggles.peephol_i', 'model.toggles.peephole_i'),
    ('model.variant[0]', 'model.variant'),
    ('sead', 'seed'),
    ('wrkdir', 'workdir'),
    # Beginnings and words.
    ('optimizer.warmup', 'optimizer.warmup_updates'),
    ('warmup', 'optimizer.warmup_updates'),
    ('model.toggles.coupling', 'model.toggles.coupling_shift'),
    ('hiden', 'model.hidden_features'),
    ('hidden_layer_sizes', 'model.hidden_features'),
    ('model.cell.group', 'model.cell.groups'),
    ('training.patience_epochs', 'training.patience'),
    # The section is wrong, misspelt, or lacks.
    ('task.batch_size', 'training.batch_size'),
    ('model.peephole_i', 'model.toggles.peephole_i'),
    ('optimiser.clip_norm', 'optimizer.clip_norm'),
    ('config.seed', 'seed'),
    ('weight_decay', 'optimizer.weight_decay'),
    # What is equally near in several sections is of the one that is named.
    ('optimizer.nam', 'optimizer.name'),
    ('task.nam', 'task.name'),
    # What is one word elsewhere.
    ('model.name', 'model.variant'),
    ('model.type', 'model.variant'),
    # What most mean, not what one cell has; unless its section is named.
    ('depth', 'model.num_layers'),
    ('model.depth', 'model.num_layers'),
    ('model.cell.dept', 'model.cell.depth'),
    ('layers', 'model.num_layers'),
    # What it is elsewhere.
    ('solver', 'optimizer.name'),
    ('lstm_units', 'model.hidden_features'),
    ('bsz', 'training.batch_size'),
    ('train_iters', 'training.updates'),
    ('log_freq', 'training.evaluation_interval'),
    ('checkpoint_freq', 'training.save_interval'),
    ('initialization', 'model.recurrent_init'),
    ('x64', 'model.dtype=float64'),
    ('cifg', 'model.variant=cifg'),
    ('tbptt', 'task.length'),
    ('train_file', 'task.path'),
    ('exp_name', 'workdir'),
    ('cfg', 'config'),
    ('cpu', 'JAX_PLATFORMS'),
    # Nothing is near.
    ('model.bias', None),
    ('training.bias', None),
    ('training.compile', None),
    ('model.compile', None),
    ('model.detach', None),
    ('task.direction', None),
    ('training.count', None),
    ('model.eval', None),
    ('group', None),
    ('memory', None),
    ('beam_size', None),
    ('mem_size', None),
    ('tie_embedding', None),
    ('detach', None),
    ('eval', None),
    ('stateful', None),
    ('tie_weights', None),
    ('label_smoothing', None),
    ('verbose', None),
    ('training.shuffle', None),
    ('num_workers', None),
    ('batch_first', None),
    ('return_sequences', None),
    ('loss', None),
    ('callbacks', None),
    ('input_size', None),
    ('x', None),
    ('', None),
    ('…', None),
  ],
)
def test_the_field_that_was_meant_is_found(wrong, right):
  assert names.nearest_field(wrong, FIELDS) == right


@pytest.mark.parametrize(
  'wrong, right',
  [
    ('peephol', 'peephole'),
    ('peep_hole', 'peephole'),
    ('Vanilla', 'vanilla'),
    ('LSTM', 'vanilla'),
    ('nn.LSTM', 'vanilla'),
    ('CIFG', 'cifg'),
    ('rnn', 'simple_rnn'),
    ('simple-rnn', 'simple_rnn'),
    ('lstm1997', 'lstm_1997'),
    ('gur', 'gru'),
    ('torch.nn.LSTM', 'vanilla'),
    ('tf.keras.layers.SimpleRNN', 'simple_rnn'),
    ('nn.GRU(64, 128)', 'gru'),
    ('RNNCell', 'simple_rnn'),
    ('OptimizedLSTMCell', 'vanilla'),
    ('LSTM+peepholes', 'peephole'),
    ('no_peepholes', 'np'),
    ('MGUCell', 'mgu'),
    ('xLSTM', 'slstm'),
    ('LongShortTermMemory', 'vanilla'),
    ('GatedRecurrentUnit', 'gru'),
    ('zebra', None),
    ('mamba', 's6'),
    ('nn.Transformer', None),
    ('s4', None),
    ('PhasedLSTM', None),
    ('transformer', None),
    ('qrnn', None),
    ('conv_lstm', None),
    ('resnet', None),
  ],
)
def test_the_model_that_was_meant_is_found(wrong, right):
  assert names.nearest(wrong, schema.models()) == right


@pytest.mark.parametrize(
  'wrong, right',
  [
    ('ading', 'adding'),
    ('mnist', 'sequential_digits'),
    ('digits', 'sequential_digits'),
    ('pMNIST', 'permuted_digits'),
    ('party', 'parity'),
    ('lag', 'long_lag'),
    ('wandb', None),
    ('imagenet', None),
    ('squad', None),
  ],
)
def test_the_task_that_was_meant_is_found(wrong, right):
  assert names.nearest(wrong, tasks.DIALECTS) == right


@pytest.mark.parametrize(
  'wrong, near',
  [
    ('BiLSTM', "'vanilla' with --config.model.bidirectional=true"),
    ('Bi-GRU', "'gru' with --config.model.bidirectional=true"),
    ('BLSTM', "'vanilla' with --config.model.bidirectional=true"),
    ('birnn', "'simple_rnn' with --config.model.bidirectional=true"),
    ('Bidirectional', '--config.model.bidirectional=true'),
    ('lstm_bidirectional', "'vanilla' with --config.model.bidirectional=true"),
    ('StackedLSTM', "'vanilla' with --config.model.num_layers=2"),
    ('multilayer-gru', "'gru' with --config.model.num_layers=2"),
    ('2-layer LSTM', "'vanilla' with --config.model.num_layers=2"),
    ('LayerNormLSTM', "'vanilla' with --config.model.layer_norm=true"),
    (
      'residual_lstm',
      "'vanilla' with --config.model.residual=true --config.model.num_layers=2",
    ),
    # More than one.
    (
      'StackedBiLSTM',
      "'vanilla' with --config.model.num_layers=2 "
      '--config.model.bidirectional=true',
    ),
    (
      'BiLSTM-LN',
      "'vanilla' with --config.model.bidirectional=true "
      '--config.model.layer_norm=true',
    ),
    (
      'nn.LSTM(10,20,bidirectional=True)',
      "'vanilla' with --config.model.bidirectional=true",
    ),
    ('nn.LSTM(10, 20, bidirectional=False)', "'vanilla'"),
    # What the model has not is left out.
    ('LN_slstm', "'slstm'"),
    ('cifg_ln', "'cifg'"),
    # Slips.
    ('lstmb', "'lstmp'"),
    ('npb', "'np'"),
    ('vanillab', "'vanilla'"),
    ('peepholeb_i', "'peephole_i'"),
    ('multi_lstm', "'mult_lstm'"),
    ('multi', '--config.model.num_layers=2'),
    ('peephol', "'peephole'"),
    ('biqrnn', None),
    (999 * 'bi', None),
    ('deep_transformer', None),
    ('', None),
    (3, None),
  ],
)
def test_what_is_a_field_beside_the_model_is_named(wrong, near):
  meant = choice_of('model.variant').meant('model.variant', wrong)
  assert str(meant) == (f'; nearest: {near}' if near else '')


def test_what_is_a_field_beside_an_optimizer_or_a_schedule_is_named():
  for field, wrong, choice, setting in (
    (
      *('optimizer.schedule', 'warmup_cosine'),
      *('cosine', 'optimizer.warmup_updates=100'),
    ),
    (
      *('optimizer.name', 'sgd_with_momentum'),
      *('sgd', 'optimizer.momentum=0.9'),
    ),
    ('optimizer.name', 'momentum', 'sgd', 'optimizer.momentum=0.9'),
    ('optimizer.name', 'adam_momentum', 'adam', None),
    ('optimizer.schedule', 'warmup', None, 'optimizer.warmup_updates=100'),
  ):
    meant = choice_of(field).meant(field, wrong)
    assert meant.choice == choice
    assert (meant.settings or (None,))[0] == setting


def test_what_is_named_with_settings_beside_it_is_no_mistake_again():
  affixes = {
    'model.variant': ('bidirectional', 'stacked', 'layer_norm', 'residual'),
    'optimizer.name': ('momentum',),
    'optimizer.schedule': ('warmup',),
  }
  assert affixes.keys() == names._BESIDE.keys()
  named = set()
  for field, words in affixes.items():
    rule = choice_of(field)
    for word in (f'{one}_{name}' for name in rule.names for one in words):
      meant = rule.meant(field, word)
      config = default.default_config()
      with config.unlocked():
        config.update_from_flattened_dict({field: meant.choice})
        for setting in meant.settings:
          name, _, text = setting.partition('=')
          kind = schema.table()[name].rule.kind
          value = text == 'true' if kind is bool else kind(text)
          config.update_from_flattened_dict({name: value})
          named.add(setting)
      settings.from_config(config)
  rows = [row for rows in names._BESIDE.values() for row in rows]
  assert {one for row in rows for one in row.settings} <= named


def test_what_is_no_text_is_like_no_name():
  for value in (None, True, 3, ['adam'], float('nan')):
    assert names.nearest(value, optimizers.OPTIMIZERS) is None


def test_a_name_is_nearest_to_itself():
  for known in (FIELDS, schema.models(), tasks.DIALECTS, tasks.TASKS):
    for name in known:
      assert names.nearest(name, known) == name
  for name in FIELDS:
    assert names.nearest_field(name, FIELDS) == name


def test_a_letter_too_few_or_too_many_is_forgiven():
  wrong = []
  for known in (schema.models(), tasks.DIALECTS, optimizers.OPTIMIZERS):
    for name in known:
      if len(name) < 6:  # a letter is much of a short name
        continue
      for slip in (name[:3] + name[4:], name[:3] + 'q' + name[3:]):
        if slip not in known and names.nearest(slip, known) != name:
          wrong.append((slip, name, names.nearest(slip, known)))
  assert wrong == []


def test_a_synonym_means_what_is_there():
  choices = set(FIELDS) | set(schema.models()) | set(tasks.DIALECTS)
  choices |= set(optimizers.OPTIMIZERS) | set(optimizers.SCHEDULES)
  choices |= set(program.commands()) | {*listed.KINDS, *trackers.TRACKERS}
  choices |= {'out', 'workers', 'figure', 'samples', 'mirror'}  # flags
  choices |= {'objective', *space.Search._fields}
  for name in ('model.dtype', 'model.recurrent_init', 'training.remat'):
    choices |= choices_of(name)
  for name, synonyms in names.SYNONYMS.items():
    field, equals, value = name.partition('=')
    assert field in choices, name
    assert not equals or value in {
      *(*schema.models(), *trackers.TRACKERS, *choices_of('model.dtype'))
    }, name
    assert synonyms.split(), name


def test_of_the_runs_of_a_study_those_that_begin_so_are_near():
  runs = [f'{model}_seed{n}_0a{n:06x}' for model in 'ab' for n in range(11)]
  runs = [name.replace('a_', 'vanilla_').replace('b_', 'np_') for name in runs]
  assert names.nearest('vanilla_seed1', runs) == 'vanilla_seed1_0a000001'
  assert names.nearest('np_seed10', runs) == 'np_seed10_0a00000a'
  assert names.nearest('vanilla_seed0_0a000000x', runs) == runs[0]


def test_a_hundred_thousand_runs_are_looked_through_at_once():
  runs = [f'vanilla_seed{n}_{n * 7919 % 2**32:08x}' for n in range(10**5)]
  start = time.process_time()
  assert names.nearest('vanilla_seed77_', runs) == runs[77]
  assert time.process_time() - start < 5


def test_a_line_ends_with_the_nearest_and_what_there_is():
  known = ('adam', 'adamw', 'sgd')
  assert names.tail('Adam', known, repr) == (
    "; nearest: 'adam'; choices: adam, adamw, sgd"
  )
  assert names.tail('x', known) == '; choices: adam, adamw, sgd'
  assert names.tail('x', known, most=2) == '; choices: adam, adamw, … (3)'
  assert names.hint('x', known) == ''
  assert names.hint('sdg', known, '--by={}'.format) == '; nearest: --by=sgd'


def test_a_line_about_a_field_lists_its_section():
  known = ('seed', 'task.name', 'task.path', 'model.variant')
  assert names.field_tail('task.x', known) == '; choices: task.name, task.path'
  assert names.field_tail('dataset', known) == (
    "; nearest: 'task.name'; choices: task.name, task.path"
  )
  assert names.field_tail('x', known) == '; choices: seed, task, model'
