"""What public functions refuse is an `lv.Error` of one line, whatever is given.

None, a number, a list, nothing and so on stand where something else belongs;
only what it is asked of a trained model is tried beside such a model, in
tests/launch/study_test.py.
"""

from collections.abc import Callable
import pathlib
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv

OTHERS: tuple[Any, ...] = (
  *(None, 3, [], '', {}, -1, 1.5, b'x', 'ading', object, True, [None]),
  *(pathlib.Path('/dev/null/x'), 'a\0b', 'x' * 300, np.zeros(3)),
)
KEY = jax.random.key(0)
PARAMS = lv.init_params(KEY, 2, 3)
X = jnp.zeros((4, 5, 2))
STUDY = {'task.length': 5}


def _rngs() -> nnx.Rngs:
  return nnx.Rngs(0)


# What is called with each of the above, and which of them it takes.
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
  'Study(config)': (lv.Study, ({},)),
  'Study(grid)': (lambda v: lv.Study(STUDY, v), (None,)),
  'Study(grid) of one field': (lambda v: lv.Study(STUDY, {'seed': v}), (3,)),
  'Study(grid) of a list': (lambda v: lv.Study(STUDY, [v]), ({},)),
  'open_results': (lv.open_results, ()),
  'export_onnx(params)': (lambda v: lv.export_onnx(v, None, None), ()),
  'export_onnx(toggles)': (lambda v: lv.export_onnx(PARAMS, v, None), (None,)),
  'export_onnx(path)': (
    lambda v: lv.export_onnx(PARAMS, None, v),
    (None,),
  ),
  'export_onnx(backward)': (
    lambda v: lv.export_onnx(PARAMS, None, None, backward=v),
    (None,),
  ),
  'make_task(name)': (lv.make_task, ()),
  'make_task(dialect)': (lambda v: lv.make_task('adding', v), (None, '')),
  'make_task(length)': (lambda v: lv.make_task('adding', length=v), (None, 3)),
  'make_task(shortest)': (
    lambda v: lv.make_task('adding', shortest=v),
    (None, 3),
  ),
  'make_task(success_limit)': (
    lambda v: lv.make_task('adding', success_limit=v),
    (None, 3, 1.5),
  ),
  'make_task(path)': (
    lambda v: lv.make_task('forecasting', path=v),
    (None, ''),
  ),
  'register_cell(cell)': (lambda v: lv.register_cell('mine', v), ()),
  'register_variant(variant)': (lambda v: lv.register_variant('mine', v), ()),
  'register_task(dialects)': (lambda v: lv.register_task('mine', v), ()),
  'register_optimizer(optimizer)': (
    lambda v: lv.register_optimizer('mine', v),
    (),
  ),
  'register_tracker(make)': (lambda v: lv.register_tracker('mine', v), ()),
  'cell_from_flax': (lv.cell_from_flax, ()),
  'init_params(key)': (lambda v: lv.init_params(v, 2, 3), ()),
  'init_params(in_features)': (lambda v: lv.init_params(KEY, v, 3), (3,)),
  'init_params(hidden_features)': (lambda v: lv.init_params(KEY, 2, v), (3,)),
  'init_params(toggles)': (
    lambda v: lv.init_params(KEY, 2, 3, toggles=v),
    (None,),
  ),
  'unroll(params)': (lambda v: lv.unroll(v, 'vanilla', X), ()),
  'unroll(toggles)': (lambda v: lv.unroll(PARAMS, v, X), ()),
  'unroll(inputs)': (lambda v: lv.unroll(PARAMS, 'vanilla', v), ()),
  'unroll(carry)': (lambda v: lv.unroll(PARAMS, 'vanilla', X, v), (None,)),
  'unroll(mask)': (
    lambda v: lv.unroll(PARAMS, 'vanilla', X, mask=v),
    (None,),
  ),
  'step(carry)': (lambda v: lv.step(PARAMS, 'vanilla', v, X[:, 0]), ()),
  'LSTMCell(in_features)': (lambda v: lv.LSTMCell(v, 3, rngs=_rngs()), (3,)),
  'LSTMCell(rngs)': (lambda v: lv.LSTMCell(2, 3, rngs=v), ()),
  'RNNCell(name)': (lambda v: lv.RNNCell(v, 2, 3, rngs=_rngs()), ()),
  'SequenceModel(in_features)': (
    lambda v: lv.SequenceModel(v, 3, 4, rngs=_rngs()),
    (3,),
  ),
  'SequenceModel()': (lv.SequenceModel(2, 3, 4, rngs=_rngs()), ()),
  'TASKS[]': (lambda v: lv.TASKS[v], ()),
  'CELLS[]': (lambda v: lv.CELLS[v], ()),
  'VARIANTS[]': (lambda v: lv.VARIANTS[v], ()),
  'channels': (lv.channels, (3, '', 'ading', 'a\0b', 'x' * 300)),
}
NAMED: dict[str, tuple[Callable[..., Any], Any]] = {
  'cell': (lv.register_cell, lv.CELLS['gru']),
  'variant': (lv.register_variant, lv.VARIANTS['peephole']),
  'task': (lv.register_task, lambda length: lv.make_task('adding')),
  'optimizer': (lv.register_optimizer, None),
  'tracker': (lv.register_tracker, dict),
}


def _is(value: Any, taken: Any) -> bool:
  return type(value) is type(taken) and bool(value == taken)


@pytest.mark.parametrize('name', CALLS)
def test_what_a_public_function_does_not_take_is_refused_in_one_line(
  name, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  call, takes = CALLS[name]
  for value in OTHERS:
    if not any(_is(value, taken) for taken in takes):
      with pytest.raises(lv.Error) as caught:
        call(value)
      assert str(caught.value) and '\n' not in str(caught.value), value
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('kind', NAMED)
def test_nothing_is_registered_under_what_is_no_name(kind):
  register, entry = NAMED[kind]
  for value in (None, 3, [], '', {}, 'a b', b'x'):
    with pytest.raises(lv.Error, match=f'{kind} .*: a name is a letter'):
      register(value, entry)


def test_refusals_are_what_python_raised_before_too():
  """Who catches a KeyError, a TypeError or an AssertionError still does."""
  with pytest.raises(KeyError, match="'ading': unknown; nearest: 'adding'"):
    lv.TASKS['ading']
  with pytest.raises(KeyError, match="'gur' is not one of .*nearest: 'gru'"):
    lv.CELLS['gur']
  with pytest.raises(ValueError, match="task 'ading' .*nearest: 'adding'"):
    lv.make_task('ading')
  no_path: Any = None
  with pytest.raises(TypeError, match='workdir=None: is no path; nearest: '):
    lv.open_results(no_path)
  with pytest.raises(AssertionError, match=r'mask: has shape \[\], must have'):
    lv.unroll(PARAMS, 'vanilla', X, mask=jnp.asarray(True))


@pytest.mark.parametrize('flag', ['resume', 'overwrite', 'progress'])
def test_a_word_for_no_is_not_taken_for_yes(flag, tmp_path):
  train: Any = lv.Study(STUDY).train
  with pytest.raises(lv.Error, match=f"{flag}='no': not True or False"):
    train(tmp_path / 'study', **{flag: 'no'})
  assert not list(tmp_path.iterdir())


def test_nothing_is_trained_in_what_is_no_path():
  train: Any = lv.Study(STUDY).train
  for value in (None, 3, [], b'x', 'a\0b'):
    with pytest.raises(lv.Error, match='workdir=.*: is no path'):
      train(value)
