"""A run of ours in torch: same weights, data, optimizer, rule of success."""

from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import peers
from benchmarks.flax_training import Trainer
from lstm_variants.config import settings as settings_lib
from lstm_variants.tasks import base
from lstm_variants.training import step


class State(NamedTuple):
  """What is judged; weights and optimizer are torch's own, in place."""

  update: int
  recent: np.ndarray
  solved_at: int


def build_run(
  settings: settings_lib.Settings, hyperparams: settings_lib.Hyperparams
) -> Trainer:
  """Build the training of a vanilla run on a task judged on its stream.

  The batches are those of our sampler, in its own compiled call: a small part
  of an update.

  Args:
    settings: of one layer, with Adam; success by `base.LastSequences`.
    hyperparams: of the run.

  Raises:
    ImportError: torch is not installed.
  """
  import torch

  torch.set_flush_denormal(True)
  start = jax.jit(lambda: step.init_state(settings, hyperparams))()
  rnn, readout = make_model(settings, start.params)
  weights = [
    weight
    for weight in (*rnn.parameters(), *readout.parameters())
    if weight.requires_grad
  ]
  optimizer = torch.optim.Adam(
    weights,
    lr=hyperparams.learning_rate,
    betas=(settings.b1, settings.b2),
    eps=settings.eps,
  )
  sample = make_sampler(settings, hyperparams.seed)
  inputs = torch.from_numpy(np.array(sample(0).inputs))  # compiles it too
  torch.set_num_threads(
    peers.torch_threads(lambda: readout(rnn(inputs)[0]).sum().backward())
  )

  def update(state: State) -> State:
    inputs, targets, mask = (
      torch.from_numpy(np.array(x)) for x in sample(state.update)
    )
    optimizer.zero_grad()
    mistakes = (readout(rnn(inputs)[0]) - targets)[..., 0] * mask
    errors = mistakes.sum(1)
    (errors**2).mean().backward()
    torch.nn.utils.clip_grad_norm_(weights, hyperparams.clip_norm)
    optimizer.step()
    return judge(settings.task, state, np.abs(errors.detach().numpy()))

  def advance(state: State, updates: int) -> State:
    for _ in range(updates):
      state = update(state)
    return state

  state = State(0, np.array(start.recent), -1)
  return Trainer(state, advance, 0.0)


def make_model(settings: settings_lib.Settings, params: Any) -> Any:
  """Return nn.LSTM and readout with the weights of ours, gates i, f, g, o.

  The second bias is held at zero: trained too, it would double Adam's step.
  """
  import torch

  sizes = settings.architecture
  rnn: Any = torch.nn.LSTM(
    sizes.in_features, sizes.hidden_features, batch_first=True
  )
  readout = torch.nn.Linear(sizes.hidden_features, sizes.out_features)
  (layer,) = params['layers']
  values = (
    (rnn.weight_ih_l0, layer.kernel.T),
    (rnn.weight_hh_l0, layer.recurrent_kernel.T),
    (rnn.bias_ih_l0, layer.bias),
    (rnn.bias_hh_l0, np.zeros_like(layer.bias)),
    (readout.weight, params['readout']['kernel'].T),
    (readout.bias, params['readout']['bias']),
  )
  with torch.no_grad():
    for weight, value in values:
      weight.copy_(torch.from_numpy(np.array(value)))
  rnn.bias_hh_l0.requires_grad_(False)
  return rnn, readout


def make_sampler(settings: settings_lib.Settings, seed: int) -> Any:
  """Return `update -> Batch`, the batches of our run with this seed."""
  key = jax.random.fold_in(jax.random.key(seed), step.DATA)
  task = settings.task
  return jax.jit(
    lambda update: task.sample(
      jax.random.fold_in(key, update), settings.batch_size
    )
  )


def judge(task: base.Task, state: State, errors: np.ndarray) -> State:
  """Return the state after an update, judged as ours is on the last errors."""
  rule = task.success
  assert isinstance(rule, base.LastSequences)
  recent = np.concatenate((state.recent[len(errors) :], errors))
  solved = bool((recent < rule.tolerance).all()) and recent.mean() < rule.mean
  first = solved and state.solved_at < 0
  update = state.update + 1
  return State(update, recent, update if first else state.solved_at)
