"""What XLA runs on, checked before anything is asked of it."""

import functools
import os
import subprocess
import sys

import jax

from lstm_variants import console, errors
from lstm_variants.training import memory

# Read by XLA before 2025, and silently ignored since (jax issue 40150).
_DEAD = '--xla_cpu_use_thunk_runtime=false'
_ENDS_ALL = 'a run that diverges is marked and the others go on; this ends all'
# Modes of jax in which no population trains, by their variables.
_MODES = {
  'JAX_DISABLE_JIT': 'what trains here is a compiled program',
  'JAX_DEBUG_NANS': _ENDS_ALL,
  'JAX_DEBUG_INFS': _ENDS_ALL,
}
# Values of others at which jax refuses what a program here does.
_REFUSING = {
  'JAX_NUMPY_DTYPE_PROMOTION': ('strict',),
  'JAX_NUMPY_RANK_PROMOTION': ('raise',),
  'JAX_TRANSFER_GUARD': ('disallow', 'disallow_explicit'),
}
_DEVICES = 'JAX_NUM_CPU_DEVICES'
# Bytes of addresses, most of them never used, for XLA and its threads.
_LEAST_ADDRESSES = 2 * 2**30


class BackendError(errors.Error, ValueError):
  """XLA cannot start here; the message is one line for the user."""


def use_every_core(
  why: str = 'a module of --import computes when it is imported',
) -> None:
  """Make a device of each CPU core, so that a population is spread over them.

  To be called before anything is computed. GPUs and TPUs are not affected, and
  a number of CPU devices set in the environment is left alone. Where something
  has been computed already, a line says so.

  Args:
    why: something may have been computed.
  """
  if _DEVICES in os.environ or 'host_platform_device_count' in os.environ.get(
    'XLA_FLAGS', ''
  ):
    return
  cores = memory.cores()
  try:
    jax.config.update('jax_num_cpu_devices', cores)
  except RuntimeError:  # XLA has been started
    if jax.device_count() < cores:
      _warn_once(
        f'{why}: {jax.device_count()} of {cores} CPU cores are used; nearest: '
        f'{_DEVICES}={cores}'
      )


@functools.cache
def _warn_once(text: str) -> None:
  """Warn of what stays so in this process: a script makes many studies."""
  console.warn(text)


@functools.cache
def refusal(flags: str) -> str:
  """Return why XLA does not start with these flags, nothing where it does.

  A flag that it does not know ends the whole process, so that flags are tried
  in another one first; once, as that takes as long as importing jax.
  """
  if not flags.strip():
    return ''
  done = subprocess.run(
    [sys.executable, '-c', 'import jax; jax.devices()'],
    env={**os.environ, 'XLA_FLAGS': flags},
    capture_output=True,
    text=True,
  )
  errors = [line for line in done.stderr.splitlines() if 'XLA_FLAGS' in line]
  return errors[0].rpartition('] ')[2] if done.returncode and errors else ''


def check() -> None:
  """Refuse an environment in which XLA does not start.

  Raises:
    BackendError: naming the variable of the environment, or the limit.
  """
  flags = os.environ.get('XLA_FLAGS', '')
  reason = refusal(flags)
  if reason:
    raise BackendError(
      f'XLA_FLAGS={flags}: XLA refuses: {reason}; nearest: unset XLA_FLAGS'
    )
  if _DEAD in flags:
    console.warn(f'XLA_FLAGS={_DEAD}: ignored by this version')
  _check_modes()
  _check_addresses()
  if getattr(jax.config, _DEVICES.lower(), None) == 0:
    raise BackendError(
      f'{_DEVICES}=0: jax computes on one at least; nearest: {_DEVICES}=1'
    )
  try:
    jax.devices()
  # Of a platform whose plugin is missing jax asserts that it is there.
  except (RuntimeError, AssertionError) as error:
    platforms = os.environ.get('JAX_PLATFORMS', '')
    reason = str(error) or 'jax has no such platform here'
    raise BackendError(
      f'JAX_PLATFORMS={platforms}: {reason}; nearest: JAX_PLATFORMS=cpu'
    ) from error


def _check_modes() -> None:
  """Refuse modes of jax in which no population trains."""
  for name, why in _MODES.items():
    if getattr(jax.config, name.lower(), False):
      raise BackendError(f'{name}=1: {why}; nearest: unset {name}')
  for name, values in _REFUSING.items():
    value = getattr(jax.config, name.lower(), None)
    text = getattr(value, 'value', value)
    if text in values:
      raise BackendError(
        f'{name}={text}: it ends every training; nearest: unset {name}'
      )


def _check_addresses() -> None:
  """Refuse a limit of addresses at which XLA ends the process."""
  limit = memory.address_limit()
  if limit is not None and limit < _LEAST_ADDRESSES:
    raise BackendError(
      f'ulimit -v {limit // 1024}: XLA takes {_LEAST_ADDRESSES // 1024} at '
      'least; nearest: ulimit -v unlimited'
    )
