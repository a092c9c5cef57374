"""Slips of the keyboard: refused in one line, or meant what they say."""

import json
import random
import re
import string

from configs import adding
from lstm_variants.commands import config_file
from lstm_variants.config import fields

COUNT = 200
LINES = (
  ('--config.seed=12', '--config.training.updates=7'),
  ('--config.model.variant=peephole', '--config.optimizer.learning_rate=1e-3'),
  ('--config.model.toggles.peephole_i=true', '--config.task.length=30'),
  ('--config.optimizer.name=rmsprop', '--config.optimizer.momentum=0.9'),
  ('--config.task.name=copy', '--config.training.stop_when_solved=false'),
)
CHARACTERS = string.ascii_lowercase + string.digits + '-_=. ,'


def _edit(text: str, randomness: random.Random) -> str:
  """Insert, delete, replace or swap one character."""
  # Half of the slips are in the value, where more of them mean something.
  first = randomness.choice((0, text.index('=') + 1))
  at = randomness.randrange(first, len(text))
  character = randomness.choice(CHARACTERS)
  return randomness.choice(
    (
      text[:at] + character + text[at:],
      text[:at] + text[at + 1 :],
      text[:at] + character + text[at + 1 :],
      text[:at] + text[at : at + 2][::-1] + text[at + 2 :],
    )
  )


def _edited_lines():
  randomness = random.Random(0)
  seen = set()
  while len(seen) < COUNT:
    words = list(randomness.choice(LINES))
    which = randomness.randrange(len(words))
    words[which] = _edit(words[which], randomness)
    if tuple(words) not in LINES:
      seen.add(tuple(words))
  return sorted(seen)


DEFAULTS = {
  **dict(fields.flatten(adding.get_config().to_dict())),
  'task.dialect': 'urnn16',  # what '' stands for
}


def _assert_said(words, printed: str, what: str) -> None:
  """Compare a run's config with another reading of the command line."""
  wanted = dict(DEFAULTS)
  for word in words:
    match = re.fullmatch(r'--?config\.([a-z0-9_.]+)=(.*)', word)
    assert match, what
    field, value = match.groups()
    assert field in DEFAULTS, what
    wanted[field] = _read(value, type(DEFAULTS[field]))
  # What is left to the paper.
  wanted['task.length'] = wanted['task.length'] or 100
  for lengths in ('shortest_', 'evaluation_', 'evaluation_shortest_'):
    wanted[f'task.{lengths}length'] = wanted['task.length']
  if wanted['task.name'] == 'copy':
    wanted |= {'task.symbols': 8, 'task.items': 10}
  wanted['task.evaluation_set'] = 'drawn'  # as neither task has a list of all
  found = dict(fields.flatten(json.loads(printed)))
  # A toggle has no value until it is set.
  assert {key: str(value) for key, value in found.items()} == {
    key: str(value) for key, value in wanted.items()
  }, what


def _read(value: str, kind: type):
  if kind in (bool, type(None)):
    return value.lower() in ('true', 't', '1', 'y', 'yes')
  return kind(value)


def test_an_edited_line_trains_what_it_says_or_nothing(fork, tmp_path):
  accepted = 0
  for words in _edited_lines():
    done = fork(
      'plan', '--config=configs/adding.py', *words, f'--workdir={tmp_path}/new'
    )
    what = f'{words}: {done}'
    assert 'Traceback' not in done['stderr'], what
    if done['status'] == 0:
      accepted += 1
      _assert_said(words, done['stdout'], what)
      continue
    assert done['status'] == 2, what
    assert done['stderr'].startswith('error: '), what
    assert done['stderr'].count('\n') == 1, what
    assert not (tmp_path / 'new').exists(), what
  # Both kinds are met: a digit of a seed is another seed.
  assert 10 < accepted < COUNT - 50


def test_of_a_flag_that_is_given_twice_the_last_counts_as_absl_has_it():
  argv = ['train', '--config=a.py', '--config', 'b.py']
  assert config_file.value_of('--config', argv) == 'b.py'
  assert config_file.value_of('--workdir', argv) is None
