"""What the environment asks of libraries: refused in one line, or not asked.

jax reads its variables when it is imported and when it first computes,
matplotlib its own; each ends in a traceback where it cannot follow.
"""

import errno
import os
import resource
import stat
import sys

from lstm_variants import errors, opening

# Bytes of addresses that Python and what every command imports take; with less
# they are ended by the system, in the middle of something.
_LEAST = 640 * 2**20
# Commands that ask LAPACK about thousands of matrices of some ten rows.
_OF_SMALL_MATRICES = ('analyse',)


class RefusedError(errors.Error):
  """A variable or a limit cannot be used; the message is one line."""


def prepare(name: str) -> None:
  """Make the environment one in which a program can be imported.

  Args:
    name: of the command.

  Raises:
    RefusedError: the limit of addresses is too small, or matplotlib would wait
      for its settings.
  """
  # Figures are files here; with another backend matplotlib looks for windows.
  os.environ['MPLBACKEND'] = 'agg'
  if name in _OF_SMALL_MATRICES:
    # Threads of OpenBLAS would wait for each other most of the time, and give
    # other last digits where there are more of them.
    os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
  limit, _ = resource.getrlimit(resource.RLIMIT_AS)
  if limit != resource.RLIM_INFINITY and limit < _LEAST:
    raise RefusedError(
      f'ulimit -v {limit // 1024}: a command takes {_LEAST // 1024} at least; '
      'nearest: ulimit -v unlimited'
    )
  _check_settings_of_figures()


def _check_settings_of_figures() -> None:
  """Refuse what matplotlib would read its settings from, and read for ever."""
  named = os.environ.get('MATPLOTLIBRC')
  if named is None:
    return
  for path in (named, os.path.join(named, 'matplotlibrc')):
    try:
      mode = os.stat(path).st_mode
      if not stat.S_ISDIR(mode) and not os.path.samefile(path, os.devnull):
        opening.check_kind(mode)
    except opening.RefusedError as error:
      raise RefusedError(
        f'MATPLOTLIBRC={named}: {error}; nearest: unset MATPLOTLIBRC'
      ) from error
    except (OSError, ValueError):
      continue  # as matplotlib does


def refusal(error: Exception) -> errors.Error | None:
  """Return the refusal of what in the environment an error comes from.

  Args:
    error: any that a program did not expect.

  Returns:
    None where it comes from nothing of that.
  """
  text = ' '.join(str(error).split())
  if isinstance(error, OSError) and error.filename:
    # Only now: it takes numpy.
    from lstm_variants.runs import files

    if error.errno in (*files.SILENT, errno.ESTALE):
      return files.StorageError(
        f'{error.filename}: {error.strerror}: its file system does not answer; '
        'repeat the command when it does'
      )
  if isinstance(error, Warning) and sys.warnoptions:
    # Libraries warn of what is theirs to mend.
    asked = os.environ.get('PYTHONWARNINGS')
    name = '-W' if asked is None else 'PYTHONWARNINGS'
    value = ','.join(sys.warnoptions) if asked is None else asked
    return RefusedError(
      f'{name}={value}: {type(error).__name__}: {text}; nearest: '
      f'{"leave out" if asked is None else "unset"} {name}'
    )
  for name, value in os.environ.items():
    if name.startswith(('JAX_', 'XLA_')) and name.lower() in text.lower():
      return RefusedError(f'{name}={value}: {text}; nearest: unset {name}')
  if 'JAX_PLATFORMS' in os.environ and 'jax' in sys.modules:
    # Only now: it takes jax.
    from lstm_variants.training import backend

    try:
      backend.check()
    except backend.BackendError as refused:
      return refused
  return None
