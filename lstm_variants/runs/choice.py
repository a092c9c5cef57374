"""Which run of a study is meant: an id, its beginning, fields, or the best.

    vanilla_seed0_0a1b2c3d      its id, as in runs.jsonl
    vanilla_seed0               a beginning that one id alone has
    variant=vanilla,seed=0      fields of its config, and `model` and `task`
    best                        the lowest final held-out loss of all runs that
                                are finished and did not diverge
    best,hidden_features=16     of those with these fields

Losses of different tasks cannot be compared: where a study has several, best
needs one, as best,task=adding-urnn16-T50.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lstm_variants import errors
from lstm_variants import names as names_lib
from lstm_variants.config import fields as fields_lib

BEST = 'best'
# Of the ids that a refusal lists.
_MOST = 8
# What is known of a run: its fields, by dotted name, and `model` and `task`.
Facts = Mapping[str, Any]
Wanted = str | Mapping[str, Any]


def facts(config: Mapping[str, Any], model: str, task: str) -> Facts:
  """Return what is known of a run.

  Args:
    config: of the run, nested.
    model: its name.
    task: its label.
  """
  return {**dict(fields_lib.flatten(config)), 'model': model, 'task': task}


class RunError(errors.Error, ValueError):
  """No run, or more than one, is meant; the message is one line."""


def choose(
  wanted: Wanted | None,
  runs: Mapping[str, Facts],
  losses: Mapping[str, float],
  flag: str = '--run=',
) -> str:
  """Return the id of the run that is meant.

  Args:
    wanted: an id, the beginning of one, fields, or 'best', as above; or a run's
      row, or fields, as a dict.
    runs: id -> what is known of it, in the order of the study.
    losses: id -> final held-out loss, of runs that are finished and did not
      diverge.
    flag: that it was given to, for refusals.

  Raises:
    RunError: none is meant, or more than one; the first of them.
  """
  ids = list(runs)
  if wanted is None or (isinstance(wanted, str | Mapping) and not wanted):
    raise RunError(
      f'{flag.rstrip("=")}: missing; nearest: {flag}{BEST}; choices: '
      f'{names_lib.some(ids)}'
    )
  if not isinstance(wanted, str):
    wanted = _written(wanted)
  if wanted in runs:
    return wanted
  place = f'{flag}{wanted}'
  names = []
  for word in wanted.split(','):
    if '=' in word:
      ids = _with_field(word, ids, runs, place)
    else:
      names.append(word)
  if names == [BEST]:
    return _best(ids, runs, losses, place)
  if names:
    ids = _beginning(','.join(names), ids)
  if len(ids) == 1:
    return ids[0]
  if ids:
    raise RunError(
      f'{place}: {len(ids)} runs are so, one is needed; choices: '
      f'{names_lib.some(ids)}'
    )
  all_ids = list(runs)
  tail = names_lib.tail(wanted, all_ids, lambda one: f'{flag}{one}', _MOST)
  raise RunError(f'{place}: unknown{tail}')


def _written(wanted: Any) -> str:
  """Return what a script has of a run, its row or some fields, as a text.

  Raises:
    RunError: it has neither.
  """
  if not isinstance(wanted, Mapping):
    raise RunError(
      f'--run={wanted!r}: is no text, nor fields with values; nearest: {BEST}'
    )
  if 'id' in wanted:
    return str(wanted['id'])
  return ','.join(f'{field}={_text(value)}' for field, value in wanted.items())


def _beginning(start: str, ids: Sequence[str]) -> list[str]:
  """Return the ids that begin so; where some end a word there, these alone.

  vanilla_seed1 is not meant to be vanilla_seed10.
  """
  begun = [name for name in ids if name.startswith(start)]
  return [name for name in begun if name.startswith(f'{start}_')] or begun


def _with_field(
  word: str, ids: Sequence[str], runs: Mapping[str, Facts], place: str
) -> list[str]:
  """Return the ids of runs whose field has a value, given as FIELD=VALUE.

  Raises:
    RunError: there is no such field, more than one, or no such value.
  """
  name, _, value = word.partition('=')
  name = name.removeprefix('config.')
  known = list(
    dict.fromkeys(field for of_run in runs.values() for field in of_run)
  )
  fields = [name] if name in known else []
  fields = fields or [field for field in known if field.endswith(f'.{name}')]
  if not fields:
    hint = names_lib.hint_at(names_lib.nearest_field(name, known))
    raise RunError(f'{place}: {name} is no field of its runs{hint}')
  if len(fields) > 1:
    raise RunError(f'{place}: {name} is one of {", ".join(fields)}; name one')
  (field,) = fields
  chosen = [one for one in ids if _is(runs[one].get(field), value)]
  if not chosen:
    there = dict.fromkeys(_text(runs[one].get(field)) for one in ids)
    texts = [one for one in there if not _is_number(one)]
    hint = names_lib.hint(value, texts, f'{name}={{}}'.format)
    raise RunError(
      f'{place}: no run has {name}={value}{hint}; choices: '
      f'{names_lib.some(there)}'
    )
  return chosen


def _best(
  ids: Sequence[str],
  runs: Mapping[str, Facts],
  losses: Mapping[str, float],
  place: str,
) -> str:
  """Return the run with the lowest loss, the first of equal ones.

  Raises:
    RunError: none is finished and did not diverge, or they are of several
      tasks.
  """
  candidates = [name for name in ids if name in losses]
  if not candidates:
    raise RunError(
      f'{place}: none of its runs is finished with a finite loss; choices: '
      f'{names_lib.some(ids)}'
    )
  tasks = list(dict.fromkeys(runs[name]['task'] for name in candidates))
  if len(tasks) > 1:
    raise RunError(
      f'{place}: losses of {len(tasks)} tasks cannot be compared; nearest: '
      f'{place},task={tasks[0]}; choices: {names_lib.some(tasks)}'
    )
  return min(candidates, key=losses.__getitem__)


def _is(value: Any, text: str) -> bool:
  """Tell whether a value of a field is what a text says."""
  if isinstance(value, int | float) and not isinstance(value, bool):
    try:
      return float(text) == value
    except ValueError:
      return False
  return _text(value).lower() == text.lower()


def _is_number(text: str) -> bool:
  try:
    float(text)
  except ValueError:
    return False
  return True


def _text(value: Any) -> str:
  return 'open' if value is None else str(value)
