"""What a cell from outside must keep, tried on shapes before it is taken."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract

_OWED = '(init=…, init_carry=…, step=…)'


def check_cell(cell: contract.Cell) -> None:
  """Refuse a cell that does not keep `contract.Cell`; nothing is computed.

  Raises:
    ValueError: which function, what it returned, what it owes; one line.
  """
  if not isinstance(cell, contract.Cell):
    raise ValueError(f'{type(cell).__name__} is no lv.Cell{_OWED}')
  if (cell.project is None) != (cell.advance is None):
    raise ValueError('project and advance go together; give both, or neither')
  fields = getattr(cell.settings, '_fields', ())
  if set(fields) != set(cell.ranges):
    raise ValueError(
      f'settings has {_listed(fields)}, ranges has {_listed(cell.ranges)}; '
      'give a lv.Range for each setting'
    )
  _, features, size = contract.TRIED
  _try_cell(cell, cell.settings, features, size, '')


def check_sizes(
  cell: contract.Cell, settings: Any, features: int, size: int
) -> None:
  """Refuse a cell that does not keep `contract.Cell` at sizes of a run.

  Args:
    cell: that `check_cell` took at its own sizes.
    settings: of the run.
    features: F.
    size: H.

  Raises:
    ValueError: which function, what it returned, what it owes; one line.
  """
  _try_cell(cell, settings, features, size, f' at hidden_features={size}')


def _try_cell(
  cell: contract.Cell, settings: Any, features: int, size: int, where: str
) -> None:
  """Try a cell on shapes; `where` follows the name of what fails."""
  batch, _, _ = contract.TRIED
  # Narrow, so that a dtype that is not passed on shows.
  dtype = jnp.dtype('bfloat16')
  key = jax.eval_shape(jax.random.key, 0)
  options = contract.Init(dtype=dtype)
  params = _try(
    f'init fails{where}',
    lambda key: cell.init(key, features, size, settings, options),
    key,
  )
  _check_params(params)
  _check_dtype('init', params, dtype, 'options.dtype')
  carry = _try(
    f'init_carry fails{where}',
    lambda: cell.init_carry(settings, (batch,), size, dtype),
  )
  _check_dtype('init_carry', carry, dtype, 'dtype')
  _check_batch(carry, batch)
  inputs = jax.ShapeDtypeStruct((batch, features), dtype)
  made = _try(
    f'step fails{where}',
    lambda *operands: cell.step(operands[0], settings, *operands[1:]),
    *(params, carry, inputs),
  )
  _check_step(made, carry, (batch, size))
  if cell.fused and cell.scan is None:
    _try_fused(cell, settings, params, carry, inputs, where)


def _try_fused(
  cell: contract.Cell,
  settings: Any,
  params: Any,
  carry: Any,
  inputs: jax.ShapeDtypeStruct,
  where: str,
) -> None:
  """Refuse a cell whose steps have no gradient of `products`."""
  floats = all(
    jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(carry)
  )
  named = hasattr(carry, '_replace') and 'h' in cell.zones
  if not (named and floats):
    raise ValueError(
      'fused needs a carry that is a NamedTuple of floats, whose h is what '
      'step returns; nearest: fused=False'
    )
  _try(
    f'fused fails{where}: its advance, or step, takes product as a fifth '
    'argument',
    lambda params, x, carry: cell.unroll(params, settings, x[:, None], carry),
    *(params, inputs, carry),
  )


def _listed(names: Any) -> str:
  return ', '.join(names) or 'none'


def _try(failure: str, function: Any, *arguments: Any) -> Any:
  """Return the shapes of what a function returns.

  Raises:
    ValueError: it failed, or returns what is no array.
  """
  try:
    return jax.eval_shape(function, *arguments)
  except Exception as error:  # whatever someone else's function raises
    lines = str(error).strip().splitlines() or ['']
    raise ValueError(
      f'{failure}: {type(error).__name__}: {lines[0]}'
    ) from error


def _check_params(params: Any) -> None:
  """Refuse a parameter that has no gradient."""
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
      raise ValueError(
        f'init makes {leaf.dtype} of{jax.tree_util.keystr(path)}: parameters '
        'are floating; nearest: options.dtype, or a setting of the cell'
      )


def _check_dtype(name: str, tree: Any, dtype: jnp.dtype, asked: str) -> None:
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype != dtype:
      raise ValueError(
        f'{name} makes {leaf.dtype} of{jax.tree_util.keystr(path)} where '
        f'{asked} is {dtype}; make it of {asked}'
      )


def _check_batch(carry: Any, batch: int) -> None:
  leaves = jax.tree_util.tree_leaves_with_path(carry)
  if not leaves:
    raise ValueError('init_carry makes no array: a cell has a state')
  for path, leaf in leaves:
    if leaf.shape[:1] != (batch,):
      raise ValueError(
        f'init_carry makes {_shape(leaf)} of{jax.tree_util.keystr(path)}; '
        'shapes begin with batch_shape, that of a sequence of its own too'
      )


def _check_step(made: Any, carry: Any, expected: tuple[int, int]) -> None:
  """Refuse what is no pair of such a carry and `[batch, H]`."""
  if not (isinstance(made, tuple) and len(made) == 2):
    raise ValueError(
      f'step returns a {type(made).__name__}, not the pair (carry, hidden)'
    )
  after, hidden = made
  if jax.tree.structure(after) != jax.tree.structure(carry):
    raise ValueError(
      'step returns a carry of another structure than init_carry: '
      f'{jax.tree.structure(after)}, not {jax.tree.structure(carry)}'
    )
  pairs = zip(jax.tree.leaves(after), jax.tree.leaves(carry), strict=True)
  for new, old in pairs:
    if new.shape != old.shape:
      raise ValueError(
        f'step returns a carry of {_shape(new)} where init_carry makes '
        f'{_shape(old)}'
      )
  if getattr(hidden, 'shape', None) != expected:
    raise ValueError(
      f'step returns a hidden state of {_shape(hidden)}, not {list(expected)}: '
      'it is [batch, hidden_features]'
    )


def _shape(leaf: Any) -> str:
  return str(list(getattr(leaf, 'shape', ())))
