"""Populations: members equal single runs and do not disturb each other."""

import dataclasses
import math
import pathlib
from typing import Any

import jax
import numpy as np
import pytest

from configs import base
from configs.studies import variants as variants_study
from lstm_variants import cells
from lstm_variants.cells import layout, lstm, variants
from lstm_variants.config import populations, rules
from lstm_variants.config import settings as settings_lib
from lstm_variants.launch import local
from lstm_variants.training import population

# Between them every toggle differs, and every traced hyper-parameter.
MEMBERS = (
  {'model.variant': 'vanilla'},
  {'model.variant': 'peephole', 'optimizer.clip_norm': 0.3},
  {'model.variant': 'coupled', 'model.forget_bias': 2.0, 'seed': 1},
  {'model.variant': 'janet', 'optimizer.clip_value': 0.01},
  # With all that `peephole` has.
  {
    'model.variant': 'fgr',
    'model.chrono_t_max': 8.0,
    'seed': 7,
    'optimizer.learning_rate': 3e-2,
    'optimizer.clip_norm': 0.1,
  },
  {'model.variant': 'nig', 'optimizer.learning_rate': 3e-3},
  {
    'model.variant': 'nfg',
    'model.toggles.input_activation': False,
    'optimizer.momentum': 0.5,
  },
)
ALONE = (3, 4)
# What the members differ in; what makes another program has tests of its own.
DIFFERING = (
  *('model.forget_bias', 'model.chrono_t_max'),
  *('optimizer.learning_rate', 'optimizer.momentum'),
  *('optimizer.clip_norm', 'optimizer.clip_value'),
)


@pytest.fixture(scope='module')
def build():
  from tests import conftest

  def build(changes=None):
    # A larger ε: it keeps the rounding errors of tiny gradients small.
    optimizer = {'optimizer.name': 'rmsprop', 'optimizer.eps': 1e-3}
    changes = {**optimizer, **(changes or {})}
    return settings_lib.from_config(conftest.tiny_config(changes))

  return build


@pytest.fixture(scope='module')
def mixed(build):
  """The members as one compiled population; its first state on the host."""
  runs = [build(changes) for changes in MEMBERS]
  compiled = population.compile_population(
    runs[0].settings, [run.hyperparams for run in runs]
  )
  return compiled, jax.tree.map(np.array, compiled.state)


def _advance(compiled, first, *chunks):
  """Advance a copy of a first state by some chunks; both on the host."""
  sharding = jax.tree.leaves(compiled.state)[0].sharding
  state, record = jax.device_put(first, sharding), None
  for chunk in chunks:
    state, record = compiled.advance(state, chunk)
  return jax.tree.map(np.array, (state, record))


def _in_order(compiled, tree):
  """Return of a state on the host the runs, in their order."""
  return jax.tree.map(lambda leaf: leaf[np.asarray(compiled.places)], tree)


def _member(tree, index):
  return jax.tree.map(lambda leaf: leaf[index], tree)


def _assert_close(tree, other, **tolerances):
  for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
    np.testing.assert_allclose(a, b, **tolerances)


def _bytes(tree) -> list[bytes]:
  return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def _compilations(caplog) -> list[str]:
  """Return the programs that were compiled while the log was kept."""
  marker = 'Finished XLA compilation of '
  return [
    record.getMessage().partition(marker)[2].partition(' in ')[0]
    for record in caplog.records
    if record.getMessage().startswith(marker)
  ]


@pytest.mark.parametrize('index', ALONE)
def test_a_member_of_a_mixed_population_equals_the_same_run_alone(
  build, mixed, index
):
  compiled, first = mixed
  together = _advance(compiled, first, 20)
  run = build(MEMBERS[index])
  alone = population.compile_population(run.settings, [run.hyperparams])
  assert alone.size == 1
  start = jax.tree.map(np.array, alone.state)
  toggles = run.hyperparams.toggles
  place = compiled.places[index]
  begun = layout.prune(_member(first, place), toggles)
  _assert_close(begun, _member(start, 0), rtol=1e-6, atol=1e-7)
  single = _advance(alone, start, 20)
  assert int(single[0].update[0]) == 20
  ended = layout.prune(_member(together, place), toggles)
  _assert_close(ended, _member(single, 0), rtol=1e-5, atol=1e-5)
  # It has learnt something, so that the equality says something.
  moved = np.abs(
    single[0].params['layers'][0].kernel - start.params['layers'][0].kernel
  )
  assert np.max(moved) > 1e-3


def test_the_members_of_the_test_differ_in_every_toggle_and_number(build):
  runs = [build(changes).hyperparams for changes in MEMBERS]
  static, stacked = population.stack(runs)
  assert isinstance(static, lstm.Toggles)
  assert set(static._replace(coupling_shift=None)) == {None}  # pyrefly: ignore[bad-argument-type]
  assert static.coupling_shift is None
  assert len(set(stacked.seed.tolist())) > 1
  assert set(DIFFERING) <= stacked.values.keys()
  for name in DIFFERING:
    assert len(set(stacked.values[name].tolist())) > 1, name


def test_members_differ_and_learn(mixed):
  state, record = _advance(*mixed, 20)
  assert len(set(record['loss'][:-1].tolist())) == len(MEMBERS)
  assert np.all(state.update == 20)
  assert np.all(np.isfinite(record['train_loss']))


def test_the_same_population_twice_is_bit_equal_and_compiled_once(
  build, mixed, caplog
):
  once = _advance(*mixed, 8, 12)
  assert _bytes(once) == _bytes(_advance(*mixed, 8, 12))
  runs = [build(changes) for changes in MEMBERS]
  asked = runs[0].settings, [run.hyperparams for run in runs]
  # What other tests compiled since may have taken the place of these programs.
  population.compile_population(*asked)
  with jax.log_compiles(True), caplog.at_level('WARNING'):
    again = population.compile_population(*asked)
  assert not _compilations(caplog)
  first = jax.tree.map(np.array, again.state)
  assert _bytes(first) == _bytes(mixed[1])
  assert _bytes(_advance(again, first, 8, 12)) == _bytes(once)


def test_what_a_name_stands_for_belongs_to_a_program_that_is_kept(
  build, monkeypatch
):
  """Data, cells, and how random numbers are drawn, of which jax forgets."""
  settings = build().settings

  def program():
    return population.RECENT.init(settings, None)

  first = program()
  with jax.default_prng_impl('rbg'):
    assert program() is not first
  assert program() is first
  task = settings.task
  for name in ('task', 'held_out_task'):
    with monkeypatch.context() as patch:
      patch.setattr(
        settings_lib.Settings, name, dataclasses.replace(task, summary='other')
      )
      assert program() is not first
  entries = dict(cells.CELLS)
  entries['gru'] = dataclasses.replace(entries['gru'])
  monkeypatch.setattr(cells.CELLS, '_entries', entries)
  assert program() is not first


def test_of_more_shapes_than_are_kept_that_come_in_one_order_most_are_kept():
  programs, made = population.Programs(most=8), []
  for shape in 20 * [*range(9)]:
    kept = programs._inits.get(
      shape, lambda shape=shape: made.append(shape) or [shape]
    )
    assert kept == [shape] and len(programs._inits._made) <= 8
  assert len(made) < 0.4 * 20 * 9  # if the oldest went it would be all


def test_processes_that_train_together_compile_the_same_chunks():
  """Whatever else they draw: the first looks at checkpoints, too."""
  first, other = population.Programs(most=8), population.Programs(most=8)
  for shape in range(10):
    first._inits.get(shape, object)
  for shape in 3 * [*range(10)]:
    for programs in (first, other):
      programs._inits.get(shape, object)
      programs._chunks.get(shape, object)
    assert first._chunks._made.keys() == other._chunks._made.keys()


def test_how_updates_are_cut_into_chunks_does_not_matter(mixed):
  whole, cut = _advance(*mixed, 20), _advance(*mixed, 0, 8, 8, 4)
  assert _bytes(whole[0]) == _bytes(cut[0])
  for name in ('loss', 'wrong'):
    assert _bytes(whole[1][name]) == _bytes(cut[1][name])


def test_a_record_is_the_mean_over_its_chunk(mixed):
  records = [_advance(*mixed, *[1] * n)[1] for n in (1, 2, 3)]
  _, whole = _advance(*mixed, 3)
  for name in ('train_loss', 'grad_norm'):
    mean = np.mean([record[name] for record in records], axis=0)
    np.testing.assert_allclose(whole[name], mean, rtol=1e-5)
  assert len({float(record['train_loss'][0]) for record in records}) == 3


def test_without_updates_the_state_stays_and_the_loss_has_no_value(mixed):
  compiled, first = mixed
  state, record = _advance(compiled, first, 0)
  assert _bytes(state) == _bytes(first)
  assert np.all(np.isnan(record['train_loss']))
  assert np.all(np.isfinite(record['loss']))


@pytest.mark.parametrize('index', [0, 3, 6])
def test_a_diverging_member_leaves_the_others_bit_unchanged(
  build, mixed, index
):
  compiled, first = mixed
  calm = _in_order(compiled, _advance(compiled, first, 8, 12))
  changes = [dict(member) for member in MEMBERS]
  changes[index]['optimizer.learning_rate'] = 1e30
  runs = [build(member) for member in changes]
  wild_population = population.compile_population(
    runs[0].settings, [run.hyperparams for run in runs]
  )
  start = jax.tree.map(np.array, wild_population.state)
  wild = _advance(wild_population, start, 8, 12)
  wild = _in_order(wild_population, wild)
  state, record = wild
  diverged = state.diverged_at >= 0
  assert diverged.tolist() == [k == index for k in range(len(MEMBERS))]
  assert np.all(calm[0].diverged_at == -1)
  for other in range(len(MEMBERS)):
    same = _bytes(_member(calm, other)) == _bytes(_member(wild, other))
    assert same == (other != index), other
  finite = [np.isfinite(x[index]) for x in jax.tree.leaves(state.params)]
  assert all(map(np.all, finite))
  # What is averaged over the chunk are the updates before it was frozen.
  assert np.isnan(record['train_loss'][index])


def test_populations_of_equal_shapes_share_a_program_whatever_they_train(
  build, caplog, monkeypatch
):
  def runs(updates, *rates):
    return [
      build(
        {
          'model.variant': 'simple_rnn',
          'optimizer.learning_rate': rate,
          'training.updates': updates,
        }
      )
      for rate in rates
    ]

  def compile_(members, programs):
    monkeypatch.setattr(population, 'RECENT', programs)
    return population.compile_population(
      members[0].settings, [run.hyperparams for run in members]
    )

  programs = population.Programs(most=1)
  compile_(runs(20, 0.1, 0.01), programs)
  others = runs(40, 0.02, 0.003)
  with jax.log_compiles(True), caplog.at_level('WARNING'):
    shared = compile_(others, programs)
  assert not _compilations(caplog)
  alone = compile_(others, population.Programs(most=1))
  first = jax.tree.map(np.array, alone.state)
  assert _bytes(_advance(shared, first, 3)) == _bytes(_advance(alone, first, 3))
  assert _bytes(jax.tree.map(np.array, shared.state)) == _bytes(first)
  # Other numbers of runs, and what is compiled for success, are others.
  with jax.log_compiles(True), caplog.at_level('WARNING'):
    compile_(others[:1], programs)
  assert 'jit(_over_runs)' in _compilations(caplog)


def test_every_variant_seed_and_rate_of_the_study_is_one_population():
  runs = local.expand(variants_study.get_config(), variants_study.get_hyper)
  models = {run.model for run in runs}
  assert models == set(variants.VARIANTS)
  assert len({run.hyperparams.seed for run in runs}) >= 2
  assert len({run.hyperparams.learning_rate for run in runs}) >= 2
  assert len(runs) >= 4 * len(models)
  (only,) = populations.split(runs)
  assert len(only.runs) == len(runs)


def test_one_program_serves_all_variants_evaluation_chunks_and_the_rest(caplog):
  # The study as above, made small.
  config = variants_study.get_config()
  config.update_from_flattened_dict(
    {
      'task.length': 4,
      'model.hidden_features': 2,
      'model.recurrent_init': 'uniform',
      'training.batch_size': 2,
      'training.evaluation_batches': 1,
    }
  )
  runs = local.expand(config, variants_study.get_hyper)
  (only,) = populations.split(runs)
  with jax.log_compiles(True), caplog.at_level('WARNING'):
    compiled = population.compile_population(
      only.settings, [run.hyperparams for run in only.runs]
    )
    first = _compilations(caplog)
    state = compiled.state
    for chunk in (0, 3, 3, 2):
      state, record = compiled.advance(state, chunk)
    losses = np.asarray(record['loss'])
    assert first.count('jit(_over_runs)') == 1
    assert first.count('jit(_init)') == 1
    assert len(first) <= 4, first
    assert _compilations(caplog) == first
  assert compiled.compile_seconds > 0
  assert losses.shape == (len(runs),)
  assert np.all(np.isfinite(losses))


def test_an_odd_population_is_padded_to_the_devices(mixed):
  compiled, first = mixed
  assert jax.device_count() == 2
  assert len(MEMBERS) % 2 == 1
  assert compiled.size == len(MEMBERS)
  lengths = {leaf.shape[0] for leaf in jax.tree.leaves(first)}
  assert lengths == {len(MEMBERS) + 1}
  state, _ = _advance(compiled, first, 8)
  (padding,) = {*range(len(MEMBERS) + 1)} - {*compiled.places}
  runs = [_bytes(_member(state, place)) for place in compiled.places]
  assert runs.count(_bytes(_member(state, padding))) == 1
  devices = {
    shard.device
    for shard in jax.tree.leaves(compiled.state)[0].addressable_shards
  }
  assert devices == set(jax.devices())


def test_runs_with_gate_recurrence_are_dealt_to_all_devices(build):
  plain, costly = (
    build({'model.variant': variant}).hyperparams
    for variant in ('peephole', 'fgr')
  )
  settings = build({}).settings
  runs = [plain, plain, plain, costly, costly, costly, costly]
  assert population._deal(settings, runs, 2) == [3, 5, 0, 2, 4, 6, 1, 2]
  assert population._places([3, 5, 0, 2, 4, 6, 1, 2], 7) == [
    2,
    6,
    3,
    0,
    4,
    1,
    5,
  ]
  assert population._places([0, 1, 2, 2], 3) == range(3)
  # Those that cost alike stay where they are.
  assert population._deal(settings, runs[3:], 2) == [0, 1, 2, 3]
  assert population._deal(settings, runs[:3], 2) == [0, 1, 2, 2]
  together = build({'training.lanes': 4}).settings
  assert population._deal(together, runs, 2) == [0, 1, 2, 3, 4, 5, 6, 6]


def test_what_is_dealt_to_another_device_trains_alike(
  build, mixed, monkeypatch
):
  compiled, first = mixed
  assert list(compiled.places) != sorted(compiled.places)
  dealt = _advance(compiled, first, 8)
  monkeypatch.setattr(
    population, '_deal', lambda _, runs, rows: [*range(len(runs)), 0]
  )
  runs = [build(changes) for changes in MEMBERS]
  usual = population.compile_population(
    runs[0].settings, [run.hyperparams for run in runs]
  )
  begun = jax.tree.map(np.array, usual.state)
  ended = _advance(usual, begun, 8)
  for ours, theirs in ((first, begun), (dealt, ended)):
    assert _bytes(_in_order(compiled, ours)) == _bytes(_in_order(usual, theirs))
  # A state of all runs in their order, as a checkpoint has it.
  whole = _in_order(compiled, first)
  assert _bytes(compiled.place(whole)) == _bytes(first)


def test_two_devices_equal_one(build, mixed, monkeypatch):
  two = _in_order(mixed[0], _advance(*mixed, 20))
  one_device = jax.devices()[:1]
  monkeypatch.setattr(population.jax, 'devices', lambda: one_device)
  runs = [build(changes) for changes in MEMBERS]
  compiled = population.compile_population(
    runs[0].settings, [run.hyperparams for run in runs]
  )
  first = jax.tree.map(np.array, compiled.state)
  assert jax.tree.leaves(first)[0].shape[0] == len(MEMBERS)
  one = _advance(compiled, first, 20)
  _assert_close(two, one, rtol=1e-6, atol=1e-6)


def test_equal_toggles_stay_static_and_others_are_traced(build):
  runs = [
    build({'model.variant': variant}).hyperparams
    for variant in ('vanilla', 'peephole_i', 'coupled')
  ]
  static, stacked = population.stack(runs)
  assert static is not None
  expected: Any = {'peephole_i': None, 'coupled': None}
  assert static == lstm.Toggles(**expected)
  assert static.input_gate is True and static.gate_recurrence is False
  toggles = stacked.toggles
  assert toggles.peephole_i.tolist() == [False, True, False]
  assert toggles.coupled.tolist() == [False, False, True]
  assert toggles.coupled.dtype == bool
  rest = toggles._replace(peephole_i=None, coupled=None)
  assert set(rest) == {None}
  merged = population.merge(static, stacked).toggles
  assert merged.input_gate is True
  assert merged.peephole_i is toggles.peephole_i


def test_the_toggles_of_one_variant_are_all_static(build):
  runs = [
    build({'model.variant': 'janet', 'seed': seed}).hyperparams
    for seed in range(3)
  ]
  static, stacked = population.stack(runs)
  assert static == runs[0].toggles
  assert set(stacked.toggles) == {None}
  assert population.merge(static, stacked).toggles == runs[0].toggles


def test_numbers_are_stacked_as_float32_and_seeds_as_uint32(build):
  runs = [build({'seed': seed}).hyperparams for seed in (0, 2**32 - 1)]
  _, stacked = population.stack(runs)
  assert stacked.seed.tolist() == [0, 2**32 - 1]
  assert stacked.seed.dtype == np.uint32
  assert stacked.clip_value.tolist() == [math.inf] * 2
  assert 'optimizer.learning_rate' in stacked.values
  for name, column in stacked.values.items():
    assert column.dtype == np.float32, name


def test_a_cell_without_toggles_has_none(build):
  runs = [
    build({'model.variant': 'simple_rnn', 'seed': seed}).hyperparams
    for seed in range(2)
  ]
  static, stacked = population.stack(runs)
  assert static is None and stacked.toggles is None
  assert population.merge(static, stacked).toggles is None


def test_the_variants_study_is_of_this_repository():
  # The import above must not have found another `configs`.
  here = pathlib.Path(__file__).parents[2]
  assert pathlib.Path(base.__file__).is_relative_to(here)


def test_runs_side_by_side_equal_runs_in_turn(mixed, build):
  """Of four on each device three and a rest; `chunk_test` has none."""
  compiled, first = mixed
  runs = [build({**changes, 'training.lanes': 3}) for changes in MEMBERS]
  beside = population.compile_population(
    runs[0].settings, [run.hyperparams for run in runs]
  )
  in_turn = _in_order(compiled, _advance(compiled, first, 5))
  first = jax.tree.map(np.array, beside.place(_in_order(compiled, first)))
  together = _in_order(beside, _advance(beside, first, 5))
  _assert_close(together, in_turn, rtol=1e-3, atol=1e-5)


def test_only_runs_with_gate_recurrence_make_its_product(build, mixed):
  """In turn, a run takes its branch; alone, it is specialised to it."""
  text = mixed[0].text()
  run = build({'model.variant': 'peephole'})
  width = run.settings.hidden_features
  rows = 4 * width + 2 + 1  # (h, i, f, o), x, 1
  assert f'f32[{rows},{4 * width}]' in text
  assert ' conditional(' in text
  without = population.compile_population(run.settings, [run.hyperparams] * 2)
  assert ' conditional(' not in (without.text() or ' conditional(')


SHARED = {'training.batch_devices': 2}


# On shared devices two and then two; in turn, each with its own branch.
@pytest.mark.parametrize(
  'task, lanes, chosen', [('adding', 2, (0, 1, 2, 3)), ('copy', 1, (1, 4))]
)
def test_devices_that_share_a_batch_equal_one(build, task, lanes, chosen):
  """Float64 shows that only the order of the sums differs."""
  members = [MEMBERS[index] for index in chosen]
  changes = {
    'task.name': task,
    'task.dialect': {'adding': 'hs97', 'copy': 'variable'}[task],
    'task.length': 11,
    'model.dtype': 'float64',
    'training.lanes': lanes,
  }
  found = []
  with jax.enable_x64(True):
    for shared in ({}, SHARED):
      runs = [build({**changes, **shared, **member}) for member in members]
      compiled = population.compile_population(
        runs[0].settings, [run.hyperparams for run in runs]
      )
      cut = jax.tree.map(np.array, compiled.advance(compiled.state, 9))
      found.append(_in_order(compiled, cut))
  one, two = found
  assert np.all(one[0].update == 9)
  # Float32 stays what is shown and judged.
  _assert_close(two, one, rtol=1e-6, atol=1e-12)
  _assert_close(two[0].params, one[0].params, rtol=1e-12, atol=1e-13)
  if task == 'adding':
    assert np.sum(np.isfinite(one[0].recent[0])) == 9 * 4


def test_each_device_unrolls_its_part_and_keeps_the_same_parameters(build):
  run = build({**SHARED, 'training.batch_size': 6, 'task.length': 11})
  compiled = population.compile_population(run.settings, [run.hyperparams])
  text = compiled.text()
  assert text is not None
  steps, width = 11, run.settings.hidden_features
  assert f'f32[{steps},3,{4 * width}]' in text
  assert f'f32[{steps},6,{4 * width}]' not in text
  state, _ = compiled.advance(compiled.state, 20)
  for leaf in jax.tree.leaves(state):
    shards = leaf.addressable_shards
    assert {shard.device for shard in shards} == set(jax.devices())
    first, second = (np.asarray(shard.data) for shard in shards)
    np.testing.assert_array_equal(first, second)


def test_more_devices_for_a_batch_than_there_are_is_refused(build):
  run = build({'training.batch_devices': 4})
  with pytest.raises(rules.InputError) as error:
    population.compile_population(run.settings, [run.hyperparams])
  assert str(error.value) == (
    '--config.training.batch_devices=4: only 2 device(s) are there '
    '(JAX_NUM_CPU_DEVICES makes more of a CPU); nearest: 2'
  )


@pytest.mark.parametrize(
  'runs, changes, hint',
  [
    (1, {'model.hidden_features': 64}, '1 of 2 devices are used; '),
    (1, {}, None),
    (1, {'model.hidden_features': 64, 'training.batch_size': 5}, None),
    (1, {'model.hidden_features': 64, **SHARED}, None),
    (2, {'model.hidden_features': 64}, None),
    (9, {'model.hidden_features': 64}, None),
  ],
)
def test_idle_devices_are_told_of(build, runs, changes, hint):
  found = population.idle_devices_hint(build(changes).settings, runs)
  assert (found or '').startswith(hint or '')
  assert bool(found) == bool(hint)
  assert not found or '--config.training.batch_devices=2' in found
