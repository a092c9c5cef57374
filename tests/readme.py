"""The blocks of code in README.md, for the tests that run them."""

import pathlib
import re
import shlex

TEXT = (pathlib.Path(__file__).parents[1] / 'README.md').read_text()
# What makes a command that trains quick.
SHORT = (
  '--config.training.updates=2',
  '--config.training.evaluation_interval=1',
  '--config.training.evaluation_batches=1',
  '--config.training.batch_size=4',
  '--config.model.hidden_features=4',
  # Quicker to compile than orthogonal matrices.
  '--config.model.recurrent_init=uniform',
)


def blocks(language: str) -> list[str]:
  """Return the blocks of a language."""
  return re.findall(rf'```{language}\n(.*?)```', TEXT, re.DOTALL)


def commands(start: str) -> list[list[str]]:
  """Return the lines of the shell that have a text in them, as words."""
  lines = '\n'.join(blocks('bash')).splitlines()
  return [shlex.split(line, comments=True) for line in lines if start in line]
