"""Any recurrent cell of flax.nnx as a cell that trains in populations.

A module of flax is taken apart into what is static, its graph, which follows
from F and H, and its `nnx.Param`s, a dict of dicts of arrays named as in flax;
each step puts it together again. Where one array of the carry is what the
module returns as the hidden state, the carry is a NamedTuple in which it is h
(and the other one, if there is one, c), so that such a cell has zoneout,
learned carries and evidence too.
"""

import collections
from collections.abc import Callable, Mapping
import functools
import inspect
from typing import Any, NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp

from lstm_variants import arguments
from lstm_variants.cells import contract


class _Parts(NamedTuple):
  """A module taken apart; of arrays the shapes.

  Attributes:
    graph: what is static.
    params: a state of `nnx.Param`.
    rest: a state of random streams, which a step must leave alone.
  """

  graph: Any
  params: Any
  rest: Any


class _Form(NamedTuple):
  """How a module carries its state.

  Attributes:
    tree: the structure of its carry.
    carry: the NamedTuple that the cell carries in its place; None where no
      array of the carry is the hidden state, and the module's own is carried.
    sized: number of an array of the carry that is `[..., H]`.
  """

  tree: Any
  carry: Any
  sized: int


class _Modules(NamedTuple):
  """Modules of one class, of any size.

  Attributes:
    make: `(in_features, hidden_features, rngs=…) -> module`, the class with its
      options.
    parts: `(in_features, hidden_features) -> _Parts`, kept.
    form: of all of them.
  """

  make: functools.partial[Any]
  parts: Callable[[int, int], _Parts]
  form: _Form


def cell_from_flax(
  cell_class: type[nnx.RNNCellBase], **options: Any
) -> contract.Cell:
  """Return a cell that does what a recurrent module of flax does.

      lv.register_cell('flax_gru', lv.cell_from_flax(nnx.GRUCell))

  It draws its parameters as the class does: there is no forget bias or chrono
  to choose, and nothing for `recurrent_init`.

  Args:
    cell_class: made by `cell_class(in_features, hidden_features, rngs=…,
      **options)`; its parameters are `nnx.Param`s.
    **options: of the class. `param_dtype` follows from the run.

  Raises:
    ArgumentError: a class that cannot be made so, or whose step has a state
      beside its carry, as statistics of batches, or draws random numbers; one
      line.
  """
  modules = _modules(cell_class, options)
  fields = getattr(modules.form.carry, '_fields', ())
  name = cell_class.__name__
  return contract.Cell(
    init=functools.partial(_init, modules),
    init_carry=functools.partial(_init_carry, modules),
    step=functools.partial(_step, modules),
    summary=f'{name} of flax.nnx',
    reference=cell_class.__module__,
    initial=f'what {name} draws',
    states=tuple(field for field in fields if field in ('c', 'h')),
  )


def _modules(cell_class: Any, options: Mapping[str, Any]) -> _Modules:
  """Return the modules of a class, of which one is tried on shapes.

  Raises:
    ArgumentError: see `cell_from_flax`.
  """
  if not (
    isinstance(cell_class, type) and issubclass(cell_class, nnx.RNNCellBase)
  ):
    raise arguments.ArgumentError(
      f'{cell_class!r} is no subclass of nnx.RNNCellBase; nearest: nnx.GRUCell'
    )
  name = cell_class.__name__
  if 'param_dtype' in options:
    raise arguments.ArgumentError(
      f'{name}: param_dtype is that of the run (model.dtype); leave it out'
    )
  make = functools.partial(cell_class, **options)
  parts_of = functools.cache(functools.partial(_take_apart, make))
  _, features, size = contract.TRIED
  try:
    parts = parts_of(features, size)
  except Exception as error:  # whatever someone else's class raises
    raise arguments.ArgumentError(
      f'{name}({features}, {size}, rngs=…) fails: {type(error).__name__}: '
      f'{(str(error).splitlines() or [""])[0]}'
    ) from error
  _check_state(name, parts)
  return _Modules(make, parts_of, _find_form(name, parts))


def _init(
  modules: _Modules,
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Any,
  options: contract.Init,
) -> Any:
  """Draw the parameters; see `contract.Cell.init`."""
  del settings
  module = _make(modules.make, key, in_features, hidden_features, options.dtype)
  params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
  return jax.tree.map(lambda leaf: leaf.astype(options.dtype), params)


def _init_carry(
  modules: _Modules,
  settings: Any,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Any:
  """Return the state before the first step; see `contract.Cell.init_carry`."""
  del settings
  # The number of inputs is in no carry.
  _, features, _ = contract.TRIED
  carry = _first_carry(modules.parts(features, hidden_features), batch_shape)
  carry = jax.tree.map(functools.partial(_as_float, dtype), carry)
  return _pack(modules.form, carry)


def _step(
  modules: _Modules, params: Any, settings: Any, carry: Any, inputs: jax.Array
) -> tuple[Any, jax.Array]:
  """Advance by one step; see `contract.Cell.step`."""
  del settings
  form, leaves = modules.form, jax.tree.leaves(carry)
  size = leaves[form.sized].shape[-1]
  module = _put_together(modules.parts(inputs.shape[-1], size), params)
  new, hidden = module(jax.tree.unflatten(form.tree, leaves), inputs)
  return _pack(form, new), hidden


def _pack(form: _Form, carry: Any) -> Any:
  """Return the carry of the cell, from that of a module."""
  if form.carry is None:
    return carry
  return form.carry(*jax.tree.leaves(carry))


def _make(make, key, in_features, hidden_features, dtype):
  """Make a module, with parameters of `dtype` where it can be asked for."""
  taken = inspect.signature(make.func).parameters
  options = {'param_dtype': dtype} if 'param_dtype' in taken else {}
  return make(in_features, hidden_features, rngs=nnx.Rngs(key), **options)


def _take_apart(make, in_features, hidden_features) -> _Parts:
  """Return what is static of a module, and shapes of what is not."""
  module = nnx.eval_shape(
    lambda: _make(
      *(make, jax.random.key(0), in_features, hidden_features, jnp.float32)
    )
  )
  return _Parts(*nnx.split(module, nnx.Param, ...))


def _put_together(parts: _Parts, params: Any) -> Any:
  """Return a module that has these parameters."""
  state = jax.tree.map(lambda leaf: leaf, parts.params)
  nnx.replace_by_pure_dict(state, params)
  return nnx.merge(parts.graph, state, jax.tree.map(_constant, parts.rest))


def _constant(leaf: jax.ShapeDtypeStruct) -> jax.Array:
  """Return a value for a random stream that nothing draws from."""
  if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    return jnp.broadcast_to(jax.random.key(0), leaf.shape)
  return jnp.zeros(leaf.shape, leaf.dtype)


def _first_carry(parts: _Parts, batch_shape: tuple[int, ...]) -> Any:
  module = nnx.merge(*parts)
  return module.initialize_carry((*batch_shape, 1), nnx.Rngs(0))


def _as_float(dtype: jnp.dtype, leaf: Any) -> jax.Array:
  """Return an array of a carry, of `dtype` if it is one of floats."""
  leaf = jnp.asarray(leaf)
  floating = jnp.issubdtype(leaf.dtype, jnp.floating)
  return leaf.astype(dtype) if floating else leaf


def _check_state(name: str, parts: _Parts) -> None:
  """Refuse what is neither a parameter nor a random stream."""
  for path, variable in nnx.to_flat_state(parts.rest):
    if not isinstance(variable, nnx.RngState):
      kind, where = type(variable).__name__, '.'.join(map(str, path))
      raise arguments.ArgumentError(
        f'{name} holds a {kind} ({where}): a cell has parameters and its '
        'carry, no other state; nearest: an nnx.Param'
      )


def _no_carry(parts: _Parts, error: Exception) -> str:
  """Say why a module makes no carry of shapes alone, as parameters are."""
  batch, _, _ = contract.TRIED
  try:
    jax.eval_shape(
      lambda params: _first_carry(parts._replace(params=params), (batch,)),
      parts.params,
    )
  except Exception:  # it fails with parameters too
    text = (str(error).splitlines() or [''])[0]
    return f'initialize_carry fails: {type(error).__name__}: {text}'
  return (
    'its initialize_carry reads a parameter, and a carry is made without '
    'them; nearest: a start of zeros, and model.learned_carry'
  )


def _find_form(name: str, parts: _Parts) -> _Form:
  """Return how the module carries its state, tried on shapes.

  Raises:
    ArgumentError: a start or a step that fails, a start that reads parameters,
      a step that draws, a carry of no known size.
  """
  batch, features, size = contract.TRIED

  def run(params, rest, carry, inputs):
    module = nnx.merge(parts.graph, params, rest)
    carry, hidden = module(carry, inputs)
    return nnx.state(module, nnx.RngState), carry, hidden

  inputs = jax.ShapeDtypeStruct((batch, features), jnp.float32)
  try:
    carry = jax.eval_shape(lambda: _first_carry(parts, (batch,)))
  except Exception as error:  # whatever someone else's class raises
    raise arguments.ArgumentError(
      f'{name}: {_no_carry(parts, error)}'
    ) from error
  try:
    made = jax.make_jaxpr(run)(parts.params, parts.rest, carry, inputs)
  except Exception as error:  # whatever someone else's class raises
    raise arguments.ArgumentError(
      f'{name}: a step fails: {type(error).__name__}: '
      f'{(str(error).splitlines() or [""])[0]}'
    ) from error
  leaves, tree = jax.tree.flatten(carry)
  drawn = len(jax.tree.leaves(parts.rest))
  streams = made.jaxpr.invars[len(jax.tree.leaves(parts.params)) :][:drawn]
  ends, states = made.jaxpr.outvars[:drawn], made.jaxpr.outvars[drawn:-1]
  if any(end is not start for start, end in zip(streams, ends, strict=True)):
    raise arguments.ArgumentError(
      f'{name} draws random numbers in its step, as dropout does; nearest: an '
      'option that switches it off, and model.recurrent_dropout or '
      'model.zoneout_h in its place'
    )
  sized = [n for n, leaf in enumerate(leaves) if leaf.shape[-1:] == (size,)]
  if not sized:
    raise arguments.ArgumentError(
      f'{name}: no array of its carry is [..., hidden_features]; nearest: '
      'carry the hidden state'
    )
  hidden = made.jaxpr.outvars[-1]
  outputs = [n for n in sized if states[n] is hidden]
  if not outputs:
    return _Form(tree, None, sized[0])
  names = [f'state_{n}' for n in range(len(leaves))]
  names[outputs[0]] = 'h'
  others = [n for n in sized if n != outputs[0]]
  if len(others) == 1:
    names[others[0]] = 'c'
  named: Any = collections.namedtuple('Carry', names)  # pyrefly: ignore[bad-class-definition]
  return _Form(tree, named, sized[0])
