"""Every cell once more, from its paper, a sequence at a time in NumPy.

A reference is `of(p, on) -> step`: p and on hold the arrays of the parameters
and the settings by name, `step(s, x)` takes the state s before a step by name
and x `[F]`, and returns the state after it and `Gates`, None where there are
none. Nothing of the code under test is in here; arrays may be complex, and what
a paper keeps from the gradient is made `real`.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import numpy as np

from tests import reference_lstm

sigmoid = reference_lstm.logistic
Step = Callable[[Any, np.ndarray], tuple[dict[str, Any], Any]]


class Gates(NamedTuple):
  """What a cell says of its gates in a step, under the names of its own."""

  values: dict[str, Any]
  candidate: Any
  keep: Any
  state: Any = None


def lstm(p: Any, on: Any) -> Step:
  """Greff et al. 2017, van der Westhuizen & Lasenby 2018: `reference_lstm`."""
  on = vars(on)
  weights = reference_lstm.take_apart(
    *(p.kernel, p.recurrent_kernel, p.bias, p.peephole, p.gate_kernel), on=on
  )

  def step(s, x):
    last = dict.fromkeys('ifo', 0)
    if on['gate_recurrence']:
      last = dict(zip('ifo', np.split(s.gates, 3), strict=True))
    c, h, gates = reference_lstm.one_step(weights, on, x, s.c, s.h, last)
    net = weights.w['g'].T @ x + weights.r['g'].T @ s.h + weights.b['g']
    g = np.tanh(net) if on['input_activation'] else net
    state = {'c': c, 'h': h}
    if on['gate_recurrence']:
      state['gates'] = np.concatenate([gates[k] for k in 'ifo'])
    return state, Gates(gates, g, gates['f'], c)

  return step


def diagonal_lstm(p: Any, on: Any) -> Step:
  """Danieli et al. 2025: the LSTM whose recurrent matrices are diagonal."""

  def beside(rows):
    return np.concatenate([np.diag(row) for row in rows], axis=1)

  fed = p.gate_kernel
  if fed is not None:
    fed = np.concatenate([beside(to_gates) for to_gates in fed])
  whole = {'recurrent_kernel': beside(p.recurrent_kernel), 'gate_kernel': fed}
  return lstm(type(p)(**{**vars(p), **whole}), on)


def lstm_1997(p: Any, on: Any) -> Step:
  """Hochreiter & Schmidhuber 1997, section 4: a unit at a time.

  The truncated gradient of the appendix takes what feeds a net input for a
  constant.
  """
  size = p.kernel.shape[1]
  count = size // on.block_size
  w = np.concatenate((p.kernel, p.gate_kernel), axis=1)
  gated = p.gate_kernel.shape[1]
  r = np.zeros((size + gated, size + gated))
  if on.recurrent:
    r = np.concatenate((p.recurrent_kernel, p.gate_recurrent_kernel), axis=1)
  b = [
    np.zeros(n) if bias is None else bias
    for bias, n in ((p.cell_bias, size), (p.gate_bias, gated))
  ]

  def step(s, x):
    units = np.concatenate((s.h, s.gates))
    if on.truncated_gradient:
      units = np.real(units)
    net = w.T @ x + r.T @ units + np.concatenate(b)
    gates = sigmoid(net[size:])
    y_in, y_out = gates[:count], gates[count:]
    states, outputs, entered = [], [], []
    for cell in range(size):
      block = cell // on.block_size
      entered.append(4 / (1 + np.exp(-net[cell])) - 2)  # g, equation 5
      states.append(s.c[cell] + y_in[block] * entered[-1])
      squashed = 2 / (1 + np.exp(-states[-1])) - 1  # h, equation 4
      put = squashed if on.output_activation else states[-1]
      outputs.append(y_out[block] * put if on.output_gate else put)
    c, h = np.array(states), np.array(outputs)
    named = {'in': y_in, 'out': y_out} if on.output_gate else {'in': y_in}
    shown = Gates(
      {name: np.repeat(gate, on.block_size) for name, gate in named.items()},
      np.array(entered),
      np.ones(size),
      c,
    )
    return {'c': c, 'h': h, 'gates': gates}, shown

  return step


def lstmp(p: Any, on: Any) -> Step:
  """Sak et al. 2014, without peepholes: r is projected from m."""
  cells = p.projection.shape[0]
  w_x = p.kernel.T.reshape(4, cells, -1)
  w_r = p.recurrent_kernel.T.reshape(4, cells, -1)

  def step(s, x):
    net = w_x @ x + w_r @ s.h + p.bias.reshape(4, cells)
    i, f, o = (sigmoid(net[k]) for k in (0, 1, 3))
    g = np.tanh(net[2])
    c = f * s.c + i * g
    r = p.projection.T @ (o * np.tanh(c))
    return {'c': c, 'h': r}, Gates({'i': i, 'f': f, 'o': o}, g, f, c)

  return step


def mult_lstm(p: Any, on: Any) -> Step:
  """Krause et al. 2016, equations 18 to 24, with biases."""
  w_x, w_m = (
    dict(zip('ifho', np.split(matrix, 4, axis=1), strict=True))
    for matrix in (p.kernel, p.recurrent_kernel)
  )
  b = dict(zip('ifho', np.split(p.bias, 4), strict=True))

  def step(s, x):
    m = (p.factor_kernel.T @ x) * (p.factor_recurrent_kernel.T @ s.h)
    net = {k: w_x[k].T @ x + w_m[k].T @ m + b[k] for k in 'ifho'}
    i, f, o = (sigmoid(net[k]) for k in 'ifo')
    g = np.tanh(net['h'])
    c = f * s.c + i * g
    h = np.tanh(c) * o
    return {'c': c, 'h': h}, Gates({'i': i, 'f': f, 'o': o}, g, f, c)

  return step


def depth_gated(p: Any, on: Any) -> Step:
  """Yao et al. 2015, section 4: the paper's matrices are ours, turned."""

  def layer(n, x, c_tm1, h_tm1, c_below):
    w_x = np.split((p.upper_kernel[n - 1] if n else p.kernel).T, 4)
    w_h = np.split(p.recurrent_kernel[n].T, 4)
    b = np.split(p.bias[n], 4)
    w_ci, w_cf, w_co = (np.diag(row) for row in p.peephole[n])
    i = sigmoid(w_x[0] @ x + w_h[0] @ h_tm1 + w_ci @ c_tm1 + b[0])
    f = sigmoid(w_x[1] @ x + w_h[1] @ h_tm1 + w_cf @ c_tm1 + b[1])
    g = np.tanh(w_x[2] @ x + w_h[2] @ h_tm1 + b[2])
    c, d = f * c_tm1 + i * g, np.ones_like(f)
    if n:
      w_cd, w_ld = p.depth_peephole[n - 1]
      net = p.depth_bias[n - 1] + p.depth_kernel[n - 1].T @ x
      d = sigmoid(net + w_cd * c_tm1 + w_ld * c_below)
      c = c + d * c_below
    o = sigmoid(w_x[3] @ x + w_h[3] @ h_tm1 + w_co @ c + b[3])
    return c, o * np.tanh(c), (i, f, o, d), g

  def step(s, x):
    c, h, gates, candidates = [], [], [], []
    for n, h_tm1 in enumerate((*s.h_below, s.h)):
      below = c[-1] if n else None
      done = layer(n, x, s.c[n], h_tm1, below)
      for values, value in zip((c, h, gates, candidates), done, strict=True):
        values.append(value)
      x = h[-1]
    values = map(np.concatenate, zip(*gates, strict=True))
    shown: dict[str, np.ndarray] = dict(zip('ifod', values, strict=True))
    state = {
      'c': np.array(c),
      'h_below': np.reshape(h[:-1], (len(h) - 1, len(x))),
      'h': h[-1],
    }
    return state, Gates(
      shown, np.concatenate(candidates), shown['f'], np.concatenate(c)
    )

  return step


def slstm(p: Any, on: Any) -> Step:
  """Beck et al. 2024, equations 8 to 14, without the stabiliser m of 15 to 17.

  The state is that of `unscaled`; the gates are shares of c / n.
  """
  w = [k.T for k in np.split(p.kernel, 4, axis=1)]
  b = np.split(p.bias, 4)
  heads, size, _ = p.recurrent_kernel.shape
  forget = np.exp if on.exponential_forget else sigmoid

  def recurrent(gate, h):
    rows = []
    for head in range(heads):
      block = np.split(p.recurrent_kernel[head], 4, axis=1)[gate]
      rows.append(block.T @ h[head * size : (head + 1) * size])
    return np.concatenate(rows)

  def step(s, x):
    i, f, z, o = (w[k] @ x + recurrent(k, s.h) + b[k] for k in range(4))
    kept, entered = forget(f) * s.n, np.exp(i)
    c = forget(f) * s.c + entered * np.tanh(z)
    n = kept + entered
    h = sigmoid(o) * c / n
    shown = {'i': entered / n, 'f': kept / n, 'o': sigmoid(o)}
    return {'c': c, 'n': n, 'h': h}, Gates(shown, np.tanh(z), shown['f'], c / n)

  return step


def unscaled(s: Any) -> dict[str, Any]:
  """Return c, n and h of an sLSTM whose c and n are carried times e^-m."""
  scale = s.m.__array_namespace__().exp(s.m)
  return {'c': s.c * scale, 'n': s.n * scale, 'h': s.h}


def normalised(s: Any) -> dict[str, Any]:
  """Return a state of an sLSTM that has seen a step: n is positive."""
  return {**vars(s), 'n': 0.5 + np.abs(s.n)}


def mlstm(p: Any, on: Any) -> Step:
  """Beck et al. 2024, with a floor of 1, without the stabiliser m."""
  w_q, w_k, w_v, w_o = (k.T for k in np.split(p.kernel, 4, axis=1))
  b_q, b_k, b_v, b_o = np.split(p.bias, 4)
  size = len(b_q) // on.heads
  forget = np.exp if on.exponential_forget else sigmoid

  def step(s, x):
    q, v = w_q @ x + b_q, w_v @ x + b_v
    k = (w_k @ x + b_k) / np.sqrt(size)
    gates = p.gate_kernel.T @ x + p.gate_bias
    memory, stored, found = [], [], []
    for head in range(on.heads):
      own = slice(head * size, (head + 1) * size)
      i, f = np.exp(gates[head]), forget(gates[on.heads + head])
      # The paper's C is v kᵀ; the carry's its transpose.
      memory.append(f * s.memory[head] + i * np.outer(v[own], k[own]).T)
      stored.append(f * s.normaliser[head] + i * k[own])
      divisor = stored[-1] @ q[own]
      divisor = divisor * np.sign(divisor.real)
      found.append(
        memory[-1].T @ q[own] / (divisor if divisor.real > 1 else 1.0)
      )
    h = sigmoid(w_o @ x + b_o) * np.concatenate(found)
    return {
      'memory': np.array(memory),
      'normaliser': np.array(stored),
      'h': h,
    }, None

  return step


def unscaled_memory(s: Any) -> dict[str, Any]:
  """Return the state of an mLSTM, C and n of which are carried times e^-m."""
  scale = s.stabiliser.__array_namespace__().exp(s.stabiliser)
  return {
    'memory': s.memory * scale[..., None, None],
    'normaliser': s.normaliser * scale[..., None],
    'h': s.h,
  }


def gru(p: Any, on: Any, *, resets_after: bool) -> Step:
  """Cho et al. 2014, equations 5 to 8: z keeps, r resets; a unit at a time.

  Version 1 of the paper resets after the product (with the biases of cuDNN),
  version 3 before.
  """
  w_z, w_r, w_g = (m.T for m in np.split(p.kernel, 3, axis=1))
  u_z, u_r, u_g = (m.T for m in np.split(p.recurrent_kernel, 3, axis=1))
  b_z, b_r, b_g = np.split(p.bias, 3)

  def step(s, x):
    z = sigmoid(w_z @ x + u_z @ s.h + b_z)
    r = sigmoid(w_r @ x + u_r @ s.h + b_r)
    new, candidates = [], []
    for j, h in enumerate(s.h):
      if resets_after:
        seen = r[j] * (u_g[j] @ s.h + p.recurrent_bias[j])
      else:
        seen = u_g[j] @ (r * s.h)
      candidates.append(np.tanh(w_g[j] @ x + seen + b_g[j]))
      new.append(z[j] * h + (1 - z[j]) * candidates[-1])
    return {'h': np.array(new)}, Gates(
      {'z': z, 'r': r}, np.array(candidates), z
    )

  return step


def mgu(p: Any, on: Any) -> Step:
  """Zhou et al. 2016, with the matrices W_f, W_h of [h, x] of the paper."""
  w_f, w_h = np.split(np.concatenate((p.recurrent_kernel, p.kernel)).T, 2)
  b_f, b_h = np.split(p.bias, 2)

  def step(s, x):
    f = sigmoid(w_f @ np.concatenate((s.h, x)) + b_f)
    g = np.tanh(w_h @ np.concatenate((f * s.h, x)) + b_h)
    return {'h': (1 - f) * s.h + f * g}, Gates({'f': f}, g, 1 - f)

  return step


def _positive(x: np.ndarray) -> np.ndarray:
  return np.where(np.real(x) >= 0, x + 0.5, sigmoid(x))


def mingru(p: Any, on: Any) -> Step:
  """Feng et al. 2024, section 3.1.3."""
  (w_z, w_g), (b_z, b_g) = np.split(p.kernel.T, 2), np.split(p.bias, 2)

  def step(s, x):
    z, g = sigmoid(w_z @ x + b_z), w_g @ x + b_g
    g = _positive(g) if on.positive_candidate else g
    return {'h': (1 - z) * s.h + z * g}, Gates({'z': z}, g, 1 - z)

  return step


def minlstm(p: Any, on: Any) -> Step:
  """Feng et al. 2024, section 3.2.4 of version 1."""
  w, b = np.split(p.kernel.T, 3), np.split(p.bias, 3)

  def step(s, x):
    f, i = (sigmoid(w[n] @ x + b[n]) for n in range(2))
    g = w[2] @ x + b[2]
    g = _positive(g) if on.positive_candidate else g
    f, i = f / (f + i), i / (f + i)
    return {'h': f * s.h + i * g}, Gates({'f': f, 'i': i}, g, f)

  return step


def simple_rnn(p: Any, on: Any) -> Step:
  """Elman 1990."""

  def step(s, x):
    net = p.kernel.T @ x + p.recurrent_kernel.T @ s.h + p.bias
    return {'h': np.tanh(net)}, None

  return step


def irnn(p: Any, on: Any) -> Step:
  """Le et al. 2015, section 4: rectified units."""

  def step(s, x):
    net = p.kernel.T @ x + p.recurrent_kernel.T @ s.h + p.bias
    return {'h': np.where(net.real > 0, net, 0)}, None

  return step


def indrnn(p: Any, on: Any) -> Step:
  """Li et al. 2018, equation 3, with u projected onto its limit; by unit."""
  limit = on.recurrent_limit
  u = [
    v if abs(v.real) < limit else limit * np.sign(v.real)
    for v in p.recurrent_weight
  ]

  def step(s, x):
    units = []
    for n, h in enumerate(s.h):
      net = p.kernel[:, n] @ x + u[n] * h + p.bias[n]
      units.append(net if net.real > 0 else 0.0)
    return {'h': np.array(units)}, None

  return step


def awake(p: Any) -> dict[str, Any]:
  """Return weights of units that are on, in and beyond a limit of ½."""
  u = np.linspace(-0.8, 0.9, len(p.bias))
  return {**vars(p), 'recurrent_weight': u, 'bias': np.abs(p.bias)}


def clockwork(p: Any, on: Any) -> Step:
  """Koutník et al. 2014: module i of period 2^i has blocks of modules j ≥ i."""
  size = len(p.bias) // on.groups
  modules = [slice(size * i, size * (i + 1)) for i in range(on.groups)]
  w_h, w_i = p.recurrent_kernel.T, p.kernel.T

  def step(s, x):
    new, t = [], s.t[0].real
    for i, module in enumerate(modules):
      net = w_i[module] @ x + p.bias[module]
      for slower in modules[i:]:
        net = net + w_h[module, slower] @ s.h[slower]
      new.append(s.h[module] if t % 2**i else np.tanh(net))
    following = (s.t.real + 1) % 2 ** (on.groups - 1)
    return {'h': np.concatenate(new), 't': following}, None

  return step


def counted(s: Any) -> dict[str, Any]:
  """Return a state of a clockwork network: t is a count, 1 and 6 at first."""
  t = np.resize([1.0, 6.0], s.t.shape)
  return {**vars(s), 't': t}


def echo_state(p: Any, on: Any) -> Step:
  """Jaeger 2001, Jaeger et al. 2007 (leak): the reservoir is not trained."""
  a, w, r, b = on.leak, p.kernel.real, p.recurrent_kernel.real, p.bias.real

  def step(s, x):
    net = on.input_scale * (w.T @ x) + r.T @ s.h + b
    return {'h': (1 - a) * s.h + a * np.tanh(net)}, None

  return step


def lru(p: Any, on: Any) -> Step:
  """Orvieto et al. 2023, a unit at a time; λ as modulus and phase."""
  modulus, phase = np.exp(-np.exp(p.nu_log)), np.exp(p.theta_log)
  cosine, sine = modulus * np.cos(phase), modulus * np.sin(phase)

  def step(s, x):
    real, imag = [], []
    for j, gamma in enumerate(np.exp(p.gamma_log)):
      u, v = p.input_real[:, j] @ x, p.input_imag[:, j] @ x
      real.append(cosine[j] * s.real[j] - sine[j] * s.imag[j] + gamma * u)
      imag.append(cosine[j] * s.imag[j] + sine[j] * s.real[j] + gamma * v)
    real, imag = np.array(real), np.array(imag)
    h = p.output_real.T @ real - p.output_imag.T @ imag + p.skip.T @ x
    return {'real': real, 'imag': imag, 'h': h}, None

  return step


def rg_lru(p: Any, on: Any) -> Step:
  """De et al. 2024, equations 1 to 4, a head at a time."""
  size = len(p.decay) // on.heads
  b_r, b_i = np.split(p.gate_bias, 2)

  def step(s, x):
    v, r, i = p.kernel.T @ x + p.bias, [], []
    for head in range(on.heads):
      own = slice(head * size, (head + 1) * size)
      w_r, w_i = np.split(p.gate_kernel[head], 2, axis=1)
      r.append(sigmoid(w_r.T @ v[own] + b_r[own]))
      i.append(sigmoid(w_i.T @ v[own] + b_i[own]))
    r, i = np.concatenate(r), np.concatenate(i)
    a = sigmoid(p.decay) ** (8 * r)
    h = a * s.h + np.sqrt(1 - a**2) * (i * v)
    return {'h': h}, Gates({'r': r, 'i': i}, v, a)

  return step


def s6(p: Any, on: Any) -> Step:
  """Gu & Dao 2023, algorithm 2, and the block around it: a unit at a time."""
  size, states = p.decay_log.shape
  rank = p.delta_kernel.shape[0]
  w_delta, w_b, w_c = np.split(p.select, (rank, rank + states), axis=1)

  def silu(a):
    return a * sigmoid(a)

  def step(s, x):
    u, state = p.kernel[:, :size].T @ x, {}
    if on.convolution:
      steps = np.concatenate((s.window, u[None]))
      state['window'] = steps[1:]
      u = silu(
        sum(k * v for k, v in zip(p.window_kernel, steps, strict=True))
        + p.window_bias
      )
    delta = np.log1p(np.exp(p.delta_kernel.T @ (w_delta.T @ u) + p.delta_bias))
    b, c, rows = w_b.T @ u, w_c.T @ u, []
    for j in range(size):
      a = -np.exp(p.decay_log[j])
      rows.append(np.exp(delta[j] * a) * s.state[j] + delta[j] * b * u[j])
    y = np.array([row @ c for row in rows]) + p.skip * u
    if on.gate:
      y = y * silu(p.kernel[:, size:].T @ x)
    return {**state, 'state': np.array(rows), 'h': y}, None

  return step


def cornn(p: Any, on: Any) -> Step:
  """Rusch & Mishra 2021, equation 3 with explicit damping; a unit at a time."""
  w, v = np.split(p.recurrent_kernel.T, 2, axis=1)

  def step(s, x):
    y, z = [], []
    for j, b in enumerate(p.bias):
      drive = np.tanh(w[j] @ s.h + v[j] @ s.z + p.kernel[:, j] @ x + b)
      force = drive - on.stiffness * s.h[j] - on.damping * s.z[j]
      z.append(s.z[j] + on.time_step * force)
      y.append(s.h[j] + on.time_step * z[j])
    return {'z': np.array(z), 'h': np.array(y)}, None

  return step


def lem(p: Any, on: Any) -> Step:
  """Rusch et al. 2022, equation 3: y is h."""
  v_1, v_2, v_z, v_y = (m.T for m in np.split(p.kernel, 4, axis=1))
  w_1, w_2, w_z, w_y = (m.T for m in np.split(p.recurrent_kernel, 4, axis=1))
  b_1, b_2, b_z, b_y = np.split(p.bias, 4)

  def step(s, x):
    slow = on.time_step * sigmoid(w_1 @ s.h + v_1 @ x + b_1)
    fast = on.time_step * sigmoid(w_2 @ s.h + v_2 @ x + b_2)
    z = s.z + slow * (np.tanh(w_z @ s.h + v_z @ x + b_z) - s.z)
    new = np.tanh(w_y @ z + v_y @ x + b_y)
    y = s.h + fast * (new - s.h)
    return {'z': z, 'h': y}, Gates({'s': slow, 't': fast}, new, 1 - fast)

  return step


def mut(p: Any, on: Any, *, number: int) -> Step:
  """Jozefowicz et al. 2015, figures MUT1 and MUT3; x projected in MUT1."""
  w_xz, w_xr, w_xh = (m.T for m in np.split(p.kernel, 3, axis=1))
  *w_hz, w_hr, w_hh = (
    m.T for m in np.split(p.recurrent_kernel, 2 if number == 1 else 3, axis=1)
  )
  b_z, b_r, b_h = np.split(p.bias, 3)

  def step(s, x):
    r = sigmoid(w_xr @ x + w_hr @ s.h + b_r)
    if number == 1:
      z = sigmoid(w_xz @ x + b_z)
      g = np.tanh(w_hh @ (r * s.h) + np.tanh(w_xh @ x) + b_h)
    else:
      z = sigmoid(w_xz @ x + w_hz[0] @ np.tanh(s.h) + b_z)
      g = np.tanh(w_hh @ (r * s.h) + w_xh @ x + b_h)
    return {'h': g * z + s.h * (1 - z)}, Gates({'z': z, 'r': r}, g, 1 - z)

  return step


def highway(p: Any, on: Any) -> Step:
  """Zilly et al. 2017, with coupled gates: only the first layer sees x."""
  w_h, w_t = (m.T for m in np.split(p.kernel, 2, axis=1))

  def step(s, x):
    state = s.h
    for layer in range(on.depth):
      r_h, r_t = (m.T for m in np.split(p.recurrent_kernel[layer], 2, axis=1))
      b_h, b_t = np.split(p.bias[layer], 2)
      first = 1 if layer == 0 else 0
      new = np.tanh(first * (w_h @ x) + r_h @ state + b_h)
      transform = sigmoid(first * (w_t @ x) + r_t @ state + b_t)
      state = new * transform + state * (1 - transform)
    return {'h': state}, None

  return step


def delta_rule(p: Any, on: Any) -> Step:
  """Yang et al. 2024, Siems et al. 2025: generalised Householder products."""
  units, heads = p.query.shape[1], on.heads
  size = units // heads

  def silu(a):
    return a * sigmoid(a)

  def unit(a):
    return a / np.sqrt(a @ a + 1e-6)

  def step(s, x):
    memory, outputs = np.array(s.memory), []
    for head in range(heads):
      own = slice(head * size, (head + 1) * size)
      state = memory[head]
      if on.decay:
        net = p.fade[:, head] @ x + p.fade_bias[head]
        state = state * np.exp(
          -np.exp(p.fade_rate[head]) * np.log1p(np.exp(net))
        )
      for j in range(on.householder_steps):
        w_k = np.split(p.key, on.householder_steps, axis=1)[j][:, own]
        w_v = np.split(p.value, on.householder_steps, axis=1)[j][:, own]
        k, v = unit(silu(w_k.T @ x)), silu(w_v.T @ x)
        beta = sigmoid(p.write[:, j * heads + head] @ x)
        beta = beta * (2 if on.negative_eigenvalues else 1)
        turn = np.eye(size) - beta * np.outer(k, k)
        state = turn @ state + beta * np.outer(k, v)
      memory = np.concatenate([memory[:head], state[None], memory[head + 1 :]])
      q = unit(silu(p.query[:, own].T @ x))
      outputs.append(state.T @ q / np.sqrt(size))
    return {'memory': memory, 'h': np.concatenate(outputs)}, None

  return step


class Reference(NamedTuple):
  """A cell of a paper.

  Attributes:
    of: `(p, on) -> step`, see the module.
    seen: the state of the paper in a carry of the cell.
    reach: of a carry of normal numbers one that the cell can reach.
    weights: of parameters of normal numbers such that are all of use.
  """

  of: Callable[[Any, Any], Step]
  seen: Callable[[Any], dict[str, Any]] = vars
  reach: Callable[[Any], dict[str, Any]] = vars
  weights: Callable[[Any], dict[str, Any]] = vars


# name of a cell -> its reference.
REFERENCES: dict[str, Reference] = {
  'lstm': Reference(lstm),
  'diagonal_lstm': Reference(diagonal_lstm),
  'lstm_1997': Reference(lstm_1997),
  'lstmp': Reference(lstmp),
  'mult_lstm': Reference(mult_lstm),
  'depth_gated': Reference(depth_gated),
  'slstm': Reference(slstm, unscaled, normalised),
  'mlstm': Reference(mlstm, unscaled_memory),
  'gru': Reference(functools.partial(gru, resets_after=True)),
  'gru_reset_before': Reference(functools.partial(gru, resets_after=False)),
  'mgu': Reference(mgu),
  'mingru': Reference(mingru),
  'minlstm': Reference(minlstm),
  'lru': Reference(lru),
  'rg_lru': Reference(rg_lru),
  's6': Reference(s6),
  'cornn': Reference(cornn),
  'lem': Reference(lem),
  'mut1': Reference(functools.partial(mut, number=1)),
  'mut3': Reference(functools.partial(mut, number=3)),
  'highway': Reference(highway),
  'delta_rule': Reference(delta_rule),
  'simple_rnn': Reference(simple_rnn),
  'irnn': Reference(irnn),
  'indrnn': Reference(indrnn, weights=awake),
  'clockwork': Reference(clockwork, reach=counted),
  'echo_state': Reference(echo_state),
}
