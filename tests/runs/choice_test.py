"""Which run is meant by an id, a part of it, fields, or `best`."""

import pytest

from lstm_variants import errors
from lstm_variants.runs import choice


def _facts(model, seed, rate=0.1, task='adding-T8'):
  return {
    'seed': seed,
    'task.name': task.partition('-')[0],
    'model.variant': model.partition('+')[0],
    'model.residual': seed == 3,
    'model.toggles.coupled': None,
    'optimizer.name': 'adam',
    'optimizer.learning_rate': rate,
    'model': model,
    'task': task,
  }


RUNS = {
  'vanilla_seed1_aa': _facts('vanilla', 1),
  'vanilla_seed10_ab': _facts('vanilla', 10),
  'vanilla_seed2_ac': _facts('vanilla', 2),
  'vanilla_seed2_ad': _facts('vanilla', 2, rate=1e-3),
  'vanilla+peephole_i_seed3_ae': _facts('vanilla+peephole_i', 3),
  'gru_seed1_af': _facts('gru', 1),
}
LOSSES = {
  'vanilla_seed2_ac': 0.5,
  'gru_seed1_af': 0.25,
  'vanilla_seed1_aa': 0.3,
}


@pytest.mark.parametrize(
  'wanted, chosen',
  [
    *((name, name) for name in RUNS),
    # A beginning.
    ('gru', 'gru_seed1_af'),
    ('vanilla_seed1', 'vanilla_seed1_aa'),
    ('vanilla_seed10', 'vanilla_seed10_ab'),
    ('vanilla_seed2_ad', 'vanilla_seed2_ad'),
    ('vanilla+', 'vanilla+peephole_i_seed3_ae'),
    # Fields.
    ('variant=gru', 'gru_seed1_af'),
    ('variant=vanilla,seed=1', 'vanilla_seed1_aa'),
    ('model=vanilla+peephole_i', 'vanilla+peephole_i_seed3_ae'),
    ('config.optimizer.learning_rate=0.001', 'vanilla_seed2_ad'),
    ('learning_rate=1e-3,task=adding-T8', 'vanilla_seed2_ad'),
    ('residual=true', 'vanilla+peephole_i_seed3_ae'),
    ('vanilla,seed=10', 'vanilla_seed10_ab'),
    ('vanilla_seed2,learning_rate=.1', 'vanilla_seed2_ac'),
    # What a script has at hand: a row, or fields.
    ({'id': 'vanilla_seed10_ab', 'model': 'vanilla'}, 'vanilla_seed10_ab'),
    ({'variant': 'vanilla', 'seed': 1}, 'vanilla_seed1_aa'),
    # The lowest loss.
    ('best', 'gru_seed1_af'),
    ('best,variant=vanilla', 'vanilla_seed1_aa'),
    ('seed=2,best', 'vanilla_seed2_ac'),
  ],
)
def test_what_is_enough_to_tell_a_run_chooses_it(wanted, chosen):
  assert choice.choose(wanted, RUNS, LOSSES) == chosen


@pytest.mark.parametrize(
  'wanted, said',
  [
    (None, '--run: missing; nearest: --run=best; choices: vanilla_seed1_aa, '),
    ('', '--run: missing; '),
    (
      'vanilla',
      '--run=vanilla: 4 runs are so, one is needed; choices: ',
    ),
    ('vanilla_seed2', 'choices: vanilla_seed2_ac, vanilla_seed2_ad'),
    ('seed=1', '2 runs are so, one is needed; choices: vanilla_seed1_aa, gru_'),
    ('gru_seed1_ag', 'gru_seed1_ag: unknown; nearest: --run=gru_seed1_af; '),
    ('seed=7', '--run=seed=7: no run has seed=7; choices: 1, 10, 2, 3'),
    ('seed=x', 'no run has seed=x'),
    ('coupled=true', 'no run has coupled=true; choices: open'),
    ('variant=gru,seed=2', 'no run has seed=2; choices: 1'),
    ('best,variant=grru', 'has variant=grru; nearest: variant=gru; choices: '),
    ('sead=2', 'sead is no field of its runs; nearest: seed'),
    ('ate=0.001', 'ate is no field of its runs'),
    ('name=adding', 'name is one of task.name, optimizer.name; name one'),
    ('best,seed=3', 'none of its runs is finished with a finite loss'),
    ('best,best', 'unknown; '),
    (3, '--run=3: is no text, nor fields with values; nearest: best'),
  ],
)
def test_what_is_not_one_run_is_refused_in_a_line(wanted, said):
  with pytest.raises(errors.Error) as refusal:
    choice.choose(wanted, RUNS, LOSSES)
  assert said in str(refusal.value) and '\n' not in str(refusal.value)


def test_of_many_runs_the_first_few_are_listed():
  runs = {f'vanilla_seed{n}_aa': _facts('vanilla', n) for n in range(100)}
  with pytest.raises(choice.RunError, match='100 runs') as refusal:
    choice.choose('vanilla', runs, {})
  assert str(refusal.value).endswith('vanilla_seed7_aa, … (100)')


def test_losses_of_several_tasks_are_not_compared():
  runs = {**RUNS, 'other': _facts('gru', 9, task='copy-T8')}
  losses = {**LOSSES, 'other': 0.0}
  with pytest.raises(choice.RunError) as refusal:
    choice.choose('best', runs, losses)
  assert 'nearest: --run=best,task=adding-T8; ' in str(refusal.value)
  assert choice.choose('best,task=copy-T8', runs, losses) == 'other'
  assert (
    choice.choose(
      'best,name=copy',
      {'o': {'task.name': 'copy', 'task': 'copy-T8'}},
      {'o': 1.0},
    )
    == 'o'
  )


def test_the_first_of_equal_losses_is_the_best():
  losses = dict.fromkeys(reversed(RUNS), 1.0)
  assert choice.choose('best', RUNS, losses) == 'vanilla_seed1_aa'
