"""What there is, one entry a name: filters, defaults, chance, extensions."""

import re

import pytest

from lstm_variants import cells, optimizers, tasks
from lstm_variants.cells import variants
from lstm_variants.commands import list as list_lib
from lstm_variants.config import builtin, schema


def _names(done) -> list[str]:
  assert done['status'] == 0 and not done['stderr'] and not done['compiled']
  *lines, after = done['stdout'].splitlines()
  assert after.startswith('next: ')
  assert max(map(len, lines)) <= 80
  assert all(line[0] == ' ' or len(line.split()) > 1 for line in lines)
  return [line.split()[0] for line in lines if line[0] != ' ']


@pytest.mark.parametrize(
  'kind, known',
  [
    ('tasks', tasks.DIALECTS),
    ('cells', cells.CELLS),
    ('variants', variants.VARIANTS),
    ('optimizers', optimizers.OPTIMIZERS),
    ('schedules', optimizers.SCHEDULES),
    ('fields', schema.table()),
  ],
)
def test_a_list_has_what_is_registered(fork, kind, known):
  assert _names(fork('list', kind)) == list(known)


def test_the_studies_are_the_configs_with_a_grid(fork):
  names = _names(fork('list', 'studies'))
  grids = [
    name
    for name in builtin.names()
    if 'def get_hyper' in (builtin.folder() / f'{name}.py').read_text()
  ]
  assert sorted(names) == grids and len(grids) > 10
  done = fork('list', 'studies', 'hs97', 'experiments')
  assert ':adding' in done['stdout']
  assert '--config=published/hs97:reber ' in done['stdout'].splitlines()[-1]


def test_a_task_has_its_chance_and_its_source(fork):
  lines = ' '.join(fork('list', 'tasks', 'marked')['stdout'].split())
  chance = tasks.make_task('adding').baselines['loss']
  assert f'without memory {chance:.3g} (Arjovsky, Shah & Bengio 2016)' in lines
  assert 'multiplication' in lines and 'copy' not in lines


def test_words_choose_and_all_of_them_must_be_there(fork):
  assert _names(fork('list', 'fields', 'warm', 'falls')) == [
    'optimizer.schedule',
    'optimizer.decay_updates',
  ]
  assert _names(fork('list', 'cells', 'GRU', 'parallel')) == ['mingru']


def test_fields_are_chosen_by_section_and_by_who_reads_them(fork):
  names = _names(fork('list', 'fields', '--section=model', '--cell=gru'))
  assert 'model.forget_bias' in names and 'model.layer_norm' in names
  assert all(name.startswith('model.') for name in names)
  assert not any('toggles' in name or 'groups' in name for name in names)
  names = _names(fork('list', 'fields', '--cell=clockwork'))
  assert 'model.cell.groups' in names and 'seed' in names
  assert 'model.cell.heads' not in names
  assert 'model.toggles.coupled' in _names(
    fork('list', 'fields', '--cell=lstm')
  )


@pytest.mark.parametrize(
  'arguments, words',
  [
    (('taks',), 'list taks: no such list; nearest: tasks; choices: '),
    (('tasks', 'mnist'), 'nearest: sequential_digits'),
    (('fields', 'epochs'), 'nearest: training.updates'),
    (('fields', '--section=optim'), 'nearest: --section=optimizer'),
    (('fields', '--cell=LSTM'), 'nearest: --cell=lstm;'),
    (('tasks', '--cell=gru'), 'list fields --cell=gru'),
    (('cells', '--section=optim'), 'list fields --section=optimizer\n'),
    (('cells', '--section=x'), 'list fields\n'),
    (('cells', '--cell=x'), 'list fields\n'),
    (('cells', 'xyzzy'), ' has these words\n'),
    (('variants', 'gru'), 'words; nearest: python -m experiments.list cells g'),
  ],
)
def test_what_is_not_there_is_refused_in_a_line(fork, arguments, words):
  done = fork('list', *arguments)
  assert done['status'] == 2 and not done['stdout'], done
  assert done['stderr'].count('\n') == 1
  assert words in done['stderr']


def test_without_a_kind_the_kinds_are_listed(fork):
  done = fork('list')
  assert done['status'] == 0 and not done['stderr']
  kinds = re.findall(r'experiments\.list (\w+)', done['stdout'])
  assert kinds == list(list_lib.KINDS)


def test_what_a_module_registers_is_listed_with_its_name(fork):
  done = fork('list', 'cells', '--import=examples.fixed_forget')
  line = ' '.join(done['stdout'].split())
  assert 'from examples.fixed_forget)' in line, done


@pytest.mark.parametrize(
  'reference, text',
  [
    ('Gers, Schmidhuber & Cummins, JMLR 3, 2002: X', 'Gers, Schmidhuber & '),
    ('Greff et al., IEEE TNNLS 28(10), 2017, arXiv:1503.04069: A', 'Greff et '),
    ('Elman, Cognitive Science 14(2), 1990', 'Elman 1990'),
    ('van der Westhuizen & Lasenby, 2018, arXiv:1804.04849', 'van der '),
    ('docs/variants.md', 'docs/variants.md'),
    ('', ''),
  ],
)
def test_a_source_is_short(reference, text):
  short = list_lib.short(reference)
  assert short.startswith(text) and len(short) < 45
  assert (short[-4:] in reference) and 'JMLR' not in short
