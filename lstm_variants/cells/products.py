"""The scan of a cell that names its matrix products, and its gradient.

A cell makes its step of products with weights, and of what lies between them:

    z = left K + added,  a = φ(z)         by `product(left, K, added, (φ, …))`

z is cut into as many parts as there are activations φ. Outside of this scan
`product` is what it says. Here the forward scan keeps of a step its carry and
the values a, side by side; the backward scan takes the values for the products,
so that JAX's own gradient of the step, which starts from them, has only what
lies between to compute again. It gives the gradient dz by each product's z and
dz Kᵀ; the gradients of the weights and of the inputs are products of whole
blocks of steps, as in the module `gradient`. See docs/performance.md.
"""

from collections.abc import Callable
import functools
import re
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants import arguments
from lstm_variants.cells import stacks

# Rows (steps × sequences) of a block, about: enough for a product to run at
# full speed, few enough for the block of dz to stay in a core's cache.
_BLOCK_ROWS = 512


class Activation(NamedTuple):
  """φ(z) = α tanh(βz) + γ + δz; δ is 0, or α, β and γ are.

  All are one vectorised expression over parts side by side, and the slope
  follows from the value.
  """

  alpha: float
  beta: float
  gamma: float
  delta: float

  def slope(self, value: jax.Array) -> jax.Array | float:
    """Return φ'(z) from φ(z)."""
    if self.delta:
      return self.delta
    high, low = self.gamma + self.alpha, self.gamma - self.alpha
    above = value - low if low else value
    return (self.beta / self.alpha) * (high - value) * above


SIGMOID = Activation(0.5, 0.5, 0.5, 0.0)
TANH = Activation(1.0, 1.0, 0.0, 0.0)
IDENTITY = Activation(0.0, 0.0, 0.0, 1.0)
Activations = tuple[Activation, ...]
Product = Callable[..., tuple[jax.Array, ...]]


def product(
  left: jax.Array | None,
  kernel: jax.Array | None,
  added: jax.Array | None = None,
  activations: Activations = (IDENTITY,),
) -> tuple[jax.Array, ...]:
  """Return φ(left K + added), cut into parts of equal width.

  Args:
    left: `[..., K]`, or `[..., heads, K]` for a kernel of each head; None with
      the kernel: z is what is added.
    kernel: made of parameters alone, `[K, n]` or `[heads, K, n]`.
    added: `[..., n]`, or `[..., heads, n]`, or what is broadcast to it; None
      for nothing.
    activations: of each part.
  """
  return _cut(_values(left, kernel, added, activations), activations)


class Step(NamedTuple):
  """A cell with its settings.

  Attributes:
    project: see `contract.Cell`; None: what a step needs are its inputs.
    advance: see `contract.Cell`; with `product` as a fifth argument.
    settings: of the cell, static.
  """

  project: Callable[..., Any] | None
  advance: Callable[..., tuple[Any, jax.Array]]
  settings: Any

  def rows(self, params: Any, inputs: jax.Array) -> Any:
    """Project `[steps, batch, F]`, by one product over all the rows."""
    if self.project is None:
      return inputs
    steps, batch, features = inputs.shape
    made = self.project(
      params, self.settings, inputs.reshape(steps * batch, features)
    )
    return jax.tree.map(lambda x: x.reshape(steps, batch, *x.shape[1:]), made)

  def run(self, params: Any, carry: Any, x: Any, product: Product) -> Any:
    """Return the carry after a step that makes its products by `product`."""
    return self.advance(params, self.settings, carry, x, product)[0]


class _Site(NamedTuple):
  """A product of a step.

  Attributes:
    activations: of its parts.
    left: the leaf of the carry that is its left operand; None if it is none.
    added: the leaf of what was projected that is added to it alone, as it is,
      and used for nothing else: its gradient is dz. None if there is none.
    multiplies: it has a kernel.
  """

  activations: Activations
  left: int | None
  added: int | None
  multiplies: bool


class _Plan(NamedTuple):
  """What a step does with what it is given.

  Attributes:
    sites: its products, in their order.
    weights: the leaves of the parameters that are used between the products.
  """

  sites: tuple[_Site, ...]
  weights: tuple[int, ...]


class _Kept(NamedTuple):
  """What the forward scan leaves to the backward scan.

  Attributes:
    params: of the cell.
    kernels: of the products, in their order.
    inputs: `[time, batch, F]`.
    mask: `[time, batch]` or None.
    carries: before each step and after the last, `[time + 1, batch, ...]`.
    values: of each product, `[time, batch, ...]`.
  """

  params: Any
  kernels: list[jax.Array | None]
  inputs: jax.Array
  mask: jax.Array | None
  carries: Any
  values: list[jax.Array]


class _Blocks(NamedTuple):
  """What the backward scan makes of each step, of a block of them.

  Attributes:
    lefts: the left operands that are not kept.
    dzs: dz of each product.
    xs: the gradient by what was projected, where it is no dz.
  """

  lefts: list[jax.Array]
  dzs: list[jax.Array]
  xs: list[jax.Array]


class _Cotangents(NamedTuple):
  """The carry of the backward scan.

  Attributes:
    weights: the gradient by those between the products.
    carry: the one by the carry.
    ahead: carry and values of the step to be visited next; see
      `gradient._Cotangents`.
    blocks: of the steps of the block.
  """

  weights: list[jax.Array]
  carry: Any
  ahead: Any
  blocks: _Blocks


class _Sums(NamedTuple):
  """The gradients by the operands, of whole blocks."""

  kernels: list[jax.Array | None]
  params: Any
  inputs: jax.Array


def scan(
  step: Step, params: Any, carry: Any, inputs: jax.Array, mask: Any
) -> tuple[Any, Any]:
  """Run a cell over time, with the gradient of this module.

  Args:
    step: the cell.
    params: of the cell.
    carry: before the first step, with the dtype of the scan; a NamedTuple
      whose h is the hidden state.
    inputs: `[time, batch, F]`, at least one of each.
    mask: `[time, batch]` or None; a step where it is False is left out.

  Returns:
    The carry after the last step and its h after each step.

  Raises:
    ArgumentError: the kernel of a product is not made of parameters alone.
  """
  dtype = jax.tree.leaves(carry)[0].dtype
  params, inputs = jax.tree.map(lambda x: x.astype(dtype), (params, inputs))
  params, carry, inputs = stacks.vary_alike((params, carry, inputs), mask)
  x = stacks.at(step.rows(params, inputs[:1]), 0)
  kernels = _kernels(step, params, carry, x)
  plan = _find_plan(step, params, kernels, carry, x)
  return _fused(step, plan, params, kernels, carry, inputs, mask)


def _values(left, kernel, added, activations):
  """Return φ(left K + added), before it is cut."""
  z = added
  if kernel is not None:
    z = _einsum('...k,kn->...n', left, kernel)
    z = z if added is None else z + added
  if set(activations) == {IDENTITY}:
    return z
  width = z.shape[-1] // len(activations)
  alpha, beta, gamma, delta = (
    jnp.repeat(jnp.asarray(column, z.dtype), width)
    for column in zip(*activations, strict=True)
  )
  values = alpha * jnp.tanh(beta * z) + gamma
  linear = any(activation.delta for activation in activations)
  return values + delta * z if linear else values


def _cut(values, activations):
  return tuple(jnp.split(values, len(activations), axis=-1))


def _einsum(subscripts, one, two, **options):
  """Multiply rows and a kernel, or two blocks of rows; for each head."""
  if two.ndim == 3:
    subscripts = re.sub('[kn]+', r'h\g<0>', subscripts)
  return jnp.einsum(subscripts, one, two, **options)


def _advance(step, params, kernels, carry, x):
  """Return the carry after a step, and the values of each product."""
  rest, kept = iter(kernels), []

  def keep(left, unused_kernel, added=None, activations=(IDENTITY,)):
    kept.append(_values(left, next(rest), added, activations))
    return _cut(kept[-1], activations)

  return step.run(params, carry, x, keep), kept


def _kernels(step, params, carry, x):
  """Return the kernel of each product; None of one that has none."""
  kernels = []

  def take(left, kernel, added=None, activations=(IDENTITY,)):
    kernels.append(kernel)
    return product(left, kernel, added, activations)

  step.run(params, carry, x, take)
  return kernels


def _find_plan(step, params, kernels, carry, x):
  """Return the `_Plan` of a step, from how it is traced.

  Raises:
    ArgumentError: a kernel that is not made of parameters alone.
  """
  sites = []
  _, values = jax.eval_shape(
    functools.partial(_advance, step), params, kernels, carry, x
  )
  look = functools.partial(_look, step, sites)
  made = jax.make_jaxpr(look)(params, carry, x, values).jaxpr
  weights, states, rows = (len(jax.tree.leaves(t)) for t in (params, carry, x))
  multiplied = sum(site.multiplies for site in sites)
  _check_kernels(made, made.invars[weights:], made.outvars[:multiplied])
  needed = {id(atom) for atom in made.outvars[multiplied:]}
  for line in reversed(made.eqns):
    if any(id(atom) in needed for atom in line.outvars):
      needed |= {id(atom) for atom in line.invars}
  leads = [id(atom) in needed for atom in made.invars]
  added = [site.added for site in sites]
  alone = {
    n
    for n, leads_on in enumerate(leads[weights + states :][:rows])
    if not leads_on and added.count(n) == 1
  }
  return _Plan(
    tuple(
      site if site.added in alone else site._replace(added=None)
      for site in sites
    ),
    tuple(n for n in range(weights) if leads[n]),
  )


def _look(step, sites, params, carry, x, values):
  """Take a step of which the values are known; return what leads to it.

  Args:
    step: the cell.
    sites: to which the `_Site` of each product is appended.
    params: of the cell.
    carry: before the step.
    x: what was projected of its inputs.
    values: of its products.

  Returns:
    The kernels; and the carry after the step, with what the kernels multiply
    and what is added to that, but for leaves of x.
  """
  rest, kernels, operands = iter(values), [], []
  places = {id(leaf): n for n, leaf in enumerate(jax.tree.leaves(carry))}
  rows = {id(leaf): n for n, leaf in enumerate(jax.tree.leaves(x))}

  def note(left, kernel, added=None, activations=(IDENTITY,)):
    place, row, value = places.get(id(left)), rows.get(id(added)), next(rest)
    if added is not None and added.shape != value.shape:
      row = None  # broadcast: its gradient is a sum of dz
    sites.append(_Site(activations, place, row, kernel is not None))
    kernels.append(kernel)
    operands.append((left, added if row is None else None))
    return _cut(value, activations)

  return kernels, (step.run(params, carry, x, note), operands)


def _check_kernels(made, moving, kernels):
  """Refuse kernels that depend on what changes from step to step."""
  reached = {id(atom) for atom in moving}
  for line in made.eqns:
    if any(id(atom) in reached for atom in line.invars):
      reached |= {id(atom) for atom in line.outvars}
  for number, kernel in enumerate(kernels):
    if id(kernel) in reached:
      raise arguments.ArgumentError(
        f'product {number} of the step: its kernel depends on the carry or the '
        'inputs, must be made of parameters alone; nearest: left @ kernel'
      )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _fused(step, plan, params, kernels, carry, inputs, mask):
  """Scan a cell over time; see `scan`."""
  del plan

  # Without a gradient nothing has to be kept.
  def body(carry, xs):
    x, mask_t = xs
    new, _ = _advance(step, params, kernels, carry, x)
    carry = stacks.settle(mask_t, new, carry)
    return carry, carry.h

  return lax.scan(body, carry, (step.rows(params, inputs), mask))


def _forward(step, plan, params, kernels, carry, inputs, mask):
  del plan
  time, batch, _ = inputs.shape

  def visit(start, steps, both):
    """Project the inputs of a block of steps; then take these."""
    xs = step.rows(params, lax.dynamic_slice_in_dim(inputs, start, steps))

    body = functools.partial(_take, step, params, kernels, mask, xs, start)
    return lax.fori_loop(0, steps, body, both)

  x = stacks.at(step.rows(params, inputs[:1]), 0)
  _, kept = jax.eval_shape(
    functools.partial(_advance, step), params, kernels, carry, x
  )
  kept = jax.tree.map(
    lambda v: jnp.zeros_like(inputs, shape=v.shape, dtype=v.dtype), kept
  )
  carries = stacks.put(stacks.zeros(time + 1, carry), carry, 0)
  both = carry, (carries, stacks.zeros(time, kept))
  steps = _steps(time, batch)
  blocks, rest = divmod(time, steps)
  both = lax.fori_loop(
    0, blocks, lambda n, both: visit(n * steps, steps, both), both
  )
  carry, (carries, values) = visit(blocks * steps, rest, both) if rest else both
  hiddens = carries.h[1:]
  return (carry, hiddens), _Kept(params, kernels, inputs, mask, carries, values)


def _take(step, params, kernels, mask, xs, start, k, both):
  """Take step `start + k`, and keep what it makes."""
  carry, (carries, values) = both
  t = start + k
  new, kept = _advance(step, params, kernels, carry, stacks.at(xs, k))
  carry = stacks.settle(stacks.at(mask, t), new, carry)
  return carry, (
    stacks.put(carries, carry, t + 1),
    stacks.put(values, kept, t),
  )


def _steps(time, batch):
  """Return the steps of a block: the whole time in equal blocks if it can be.

  A last block of another length would be compiled beside the others.
  """
  about = max(1, _BLOCK_ROWS // batch)
  equal = [
    steps
    for steps in range(max(1, about // 2), 4 * about + 1)
    if time % steps == 0
  ]
  return min(equal or [min(about, time)], key=lambda n: abs(n - about))


def _backward(step, plan, kept, cotangents):
  params, kernels, inputs, _, carries, values = kept
  d_carry, d_hiddens = cotangents
  time, batch, _ = inputs.shape
  steps = _steps(time, batch)
  # Half precision would lose small products among a long sum.
  wide = jnp.promote_types(inputs.dtype, jnp.float32)
  zeros = functools.partial(jnp.zeros_like, dtype=wide)
  ahead = stacks.at((carries, values), time - 1)
  x = stacks.at(step.rows(params, inputs[:1]), 0)
  made = jax.eval_shape(
    functools.partial(_step_back, step, plan, params, kernels),
    *(ahead, x, d_carry),
  )
  blocks = jax.tree.map(
    lambda x: jnp.zeros_like(inputs, shape=(steps, *x.shape), dtype=x.dtype),
    made.blocks,
  )
  carry = _Cotangents(jax.tree.map(zeros, made.weights), d_carry, ahead, blocks)
  sums = _Sums(
    jax.tree.map(zeros, kernels),
    jax.tree.map(zeros, params),
    jnp.zeros_like(inputs),
  )

  def visit(start, steps, both):
    """Go back through `steps` steps to `start`; then make their products."""
    carry, sums = both
    block = lax.dynamic_slice_in_dim(inputs, start, steps)
    xs, pull = jax.vjp(step.rows, params, block)
    body = functools.partial(
      _visit, step, plan, kept, d_hiddens, xs, start, steps
    )
    carry = lax.fori_loop(0, steps, body, carry)
    blocks = jax.tree.map(lambda x: x[:steps], carry.blocks)
    d_params, d_inputs = pull(_of_projected(plan.sites, blocks, xs))
    kernels = _add(plan.sites, carries, start, blocks, sums.kernels)
    return carry, _Sums(
      kernels,
      jax.tree.map(jnp.add, sums.params, d_params),
      lax.dynamic_update_slice_in_dim(sums.inputs, d_inputs, start, 0),
    )

  number, rest = divmod(time, steps)
  carry, sums = lax.fori_loop(
    0,
    number,
    lambda n, both: visit(time - (n + 1) * steps, steps, both),
    (carry, sums),
  )
  if rest:
    carry, sums = visit(0, rest, (carry, sums))
  leaves, tree = jax.tree.flatten(sums.params)
  for n, weight in zip(plan.weights, carry.weights, strict=True):
    leaves[n] = leaves[n] + weight
  d_params = jax.tree.unflatten(tree, leaves)
  d_params, d_kernels = jax.tree.map(
    lambda x: x.astype(inputs.dtype), (d_params, sums.kernels)
  )
  return d_params, d_kernels, carry.carry, sums.inputs, None


_fused.defvjp(_forward, _backward)


def _visit(step, plan, kept, d_hiddens, xs, start, steps, n, cotangents):
  """Go from the end of step `start + steps - 1 - n` to its start."""
  k = steps - 1 - n
  t = start + k
  mask_t = stacks.at(kept.mask, t)
  after = cotangents.carry
  after = after._replace(h=after.h + stacks.at(d_hiddens, t))
  nothing = jax.tree.map(jnp.zeros_like, after)
  made = _step_back(
    *(step, plan, kept.params, kept.kernels, cotangents.ahead),
    stacks.at(xs, k),
    stacks.hold(mask_t, after, nothing),
  )
  return _Cotangents(
    jax.tree.map(jnp.add, cotangents.weights, made.weights),
    stacks.hold(mask_t, made.carry, after),
    stacks.at((kept.carries, kept.values), jnp.maximum(t - 1, 0)),
    stacks.put(cotangents.blocks, made.blocks, k),
  )


def _step_back(step, plan, params, kernels, before, x, d_after):
  """Return the `_Cotangents` of a step, but for what is ahead.

  Args:
    step: the cell.
    plan: of its step.
    params: of the cell.
    kernels: of its products.
    before: the carry before the step, and the values of its products.
    x: what was projected of its inputs.
    d_after: the cotangent of the carry after it.
  """
  carry, values = before
  leaves = jax.tree.leaves(params)
  weights = [leaves[n] for n in plan.weights]
  slots = jax.tree.map(jnp.zeros_like, values)
  _, pull, lefts = jax.vjp(
    functools.partial(_again, step, plan, params, kernels, values),
    *(weights, carry, x, slots),
    has_aux=True,
  )
  d_weights, d_carry, d_x, dzs = pull(d_after)
  added = {site.added for site in plan.sites}
  d_xs = [leaf for n, leaf in enumerate(jax.tree.leaves(d_x)) if n not in added]
  return _Cotangents(d_weights, d_carry, None, _Blocks(lefts, dzs, d_xs))


def _again(step, plan, params, kernels, values, weights, carry, x, slots):
  """Take a step with the values as they were.

  Args:
    step: the cell.
    plan: of its step.
    params: of the cell.
    kernels: of its products.
    values: of its products.
    weights: those of the parameters that are used between the products.
    carry: before the step.
    x: what was projected of its inputs.
    slots: zeros; the gradient by them is dz of each product.

  Returns:
    The carry after the step, and the left operands that are not kept.
  """
  leaves, tree = jax.tree.flatten(params)
  for n, weight in zip(plan.weights, weights, strict=True):
    leaves[n] = weight
  rest, lefts = zip(plan.sites, kernels, values, slots, strict=True), []

  def known(left, unused_kernel, added=None, activations=(IDENTITY,)):
    site, kernel, value, slot = next(rest)
    if site.multiplies and site.left is None:
      lefts.append(left)
    if site.added is not None:
      added = None
    elif added is not None:
      added = jnp.broadcast_to(added, value.shape)
    return _known(activations, left, kernel, added, value, slot)

  new = step.run(jax.tree.unflatten(tree, leaves), carry, x, known)
  return stacks.cast(new, carry), lefts


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _known(activations, left, kernel, added, values, slot):
  """Return the parts of the values; the gradient by the slot is dz."""
  del left, kernel, added, slot
  return _cut(values, activations)


def _known_forward(activations, left, kernel, added, values, slot):
  del slot
  return _cut(values, activations), (left, kernel, added, values)


def _known_backward(activations, kept, d_parts):
  left, kernel, added, values = kept
  parts = _cut(values, activations)
  slopes = map(Activation.slope, activations, parts)
  dz = jnp.concatenate(
    [d * s for d, s in zip(d_parts, slopes, strict=True)], -1
  )
  d_left = None
  if kernel is not None:
    d_left = _einsum('...n,kn->...k', dz, kernel).astype(left.dtype)
  d_added = None if added is None else dz.astype(added.dtype)
  return d_left, None, d_added, None, dz


_known.defvjp(_known_forward, _known_backward)


def _of_projected(sites, blocks, xs):
  """Return the gradient by what was projected of a block of inputs."""
  leaves, tree = jax.tree.flatten(xs)
  rest, places = (
    iter(blocks.xs),
    {site.added: n for n, site in enumerate(sites)},
  )
  made = [
    blocks.dzs[places[n]] if n in places else next(rest)
    for n in range(len(leaves))
  ]
  return jax.tree.unflatten(
    tree, [d.astype(x.dtype) for d, x in zip(made, leaves, strict=True)]
  )


def _add(sites, carries, start, blocks, sums):
  """Add the gradient by the kernels of a block of steps."""
  rest, leaves = iter(blocks.lefts), jax.tree.leaves(carries)
  added = []
  for site, dz, total in zip(sites, blocks.dzs, sums, strict=True):
    if not site.multiplies:
      added.append(None)
      continue
    steps = dz.shape[0]
    if site.left is None:
      left = stacks.rows(next(rest), 0, steps)
    else:
      left = stacks.rows(leaves[site.left], start, steps)
    d_kernel = _einsum(
      *('bk,bn->kn', left, stacks.rows(dz, 0, steps)),
      preferred_element_type=total.dtype,
    )
    added.append(total + d_kernel)
  return added
