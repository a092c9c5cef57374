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
  if (
    'JAX_NUM_CPU_DEVICES' in os.environ
    or 'host_platform_device_count' in os.environ.get('XLA_FLAGS', '')
  ):
    return
  cores = memory.cores()
  try:
    jax.config.update('jax_num_cpu_devices', cores)
  except RuntimeError:  # XLA has been started
    if jax.device_count() < cores:
      console.warn(
        f'{why}: {jax.device_count()} of {cores} CPU cores are used; nearest: '
        f'JAX_NUM_CPU_DEVICES={cores}'
      )


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
    BackendError: naming the variable of the environment.
  """
  flags = os.environ.get('XLA_FLAGS', '')
  reason = refusal(flags)
  if reason:
    raise BackendError(
      f'XLA_FLAGS={flags}: XLA refuses: {reason}; nearest: unset XLA_FLAGS'
    )
  if _DEAD in flags:
    console.warn(f'XLA_FLAGS={_DEAD}: ignored by this version')
  try:
    jax.devices()
  except RuntimeError as error:
    platforms = os.environ.get('JAX_PLATFORMS', '')
    raise BackendError(
      f'JAX_PLATFORMS={platforms}: {error}; nearest: JAX_PLATFORMS=cpu'
    ) from error
