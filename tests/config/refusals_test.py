"""What was refused at commit bb05135 is refused still, and nothing else is.

tests/data/refusals.json was made by that commit: of each combination of fields,
rows of their values and of what became of them: true (accepted), the field that
the refusal named, or '' (some other error, which is no promise). `{data}` is a
directory with the files below.
"""

import copy
import functools
import json
import os
import pathlib
import re
from typing import Any

from ml_collections import config_dict
import pytest

from configs import base
from lstm_variants.config import rules
from lstm_variants.launch import local

PATH = pathlib.Path(__file__).parents[1] / 'data' / 'refusals.json'
FILES = {
  'binary.bin': b'\xff\xfe\x00bad',
  'empty.txt': b'',
  'series.csv': b'time,value\n'
  + b''.join(b'%d,%d.5\n' % (i, i * 7 % 11) for i in range(60)),
  'short.txt': b'a b',
  'text.txt': b''.join(
    b'The quick brown fox number %d jumps over the lazy dog.\n' % i
    for i in range(1, 61)
  ),
  'words.csv': b'a,b\n1,x\n2,y\n',
}
# What a line says beside what is wrong: what could be set instead.
HELP = re.compile(
  r'nearest|choices|for example|it has|start from|set |give |leave|needs|must'
)


def _is_refused_since(changes: dict[str, Any]) -> bool:
  """Tell what was accepted without effect, or as another value, before."""
  unread = {
    'sgd': {'optimizer.b1', 'optimizer.b2', 'optimizer.eps'},
    'rmsprop': {'optimizer.b1'},
  }
  optimizer = changes.get('optimizer.name', 'adam')
  biases = {'model.forget_bias', 'model.chrono_t_max'}
  without = changes.get('model.variant') == 'nfg' or (
    changes.get('model.toggles.forget_gate') is False
  )
  # No number, or none in float32.
  shift = changes.get('model.toggles.coupling_shift')
  return (
    bool(unread.get(optimizer, set()) & set(changes))
    or shift is False
    or shift == 1e-50
    or bool(without and biases & set(changes))
    or biases <= set(changes)
  )


@functools.cache
def _defaults() -> dict[str, Any]:
  return base.get_config().to_dict()


def _config(changes: dict[str, Any]) -> config_dict.ConfigDict:
  """Return the default config with changes, which nothing has checked."""
  fields = copy.deepcopy(_defaults())
  for field, value in changes.items():
    *parts, name = field.split('.')
    part = functools.reduce(dict.__getitem__, parts, fields)  # pyrefly: ignore[bad-argument-type]
    if value == {'missing': True}:
      del part[name]
    elif isinstance(value, dict) and set(value) == {'float'}:
      part[name] = float(value['float'])
    else:
      part[name] = value
  return config_dict.ConfigDict(fields)


def _complain(changes: dict[str, Any], before: str | bool) -> str | None:
  """Judge one row; return what is wrong with today's answer, or None."""
  try:
    local.check(_config(changes))
    line = None
  except rules.InputError as error:
    line = str(error)
  except Exception as error:
    return f'raises {error!r}' if before else None
  if before is True:
    accepted = line is None or _is_refused_since(changes)
    return None if accepted else f'was accepted: {line}'
  if line is None:
    return f'is accepted; refused was {before}'
  named = re.match(r'--config\.([\w.]+)=.*?: (?s:.+)', line)
  if not named or '\n' in line:
    return f'is no line about a field: {line}'
  # Of two bad fields either may come first, and any of a part that is missing.
  part = tuple(f'{field}.' for field in changes)
  others = named[1] in changes or named[1].startswith(part)
  if before and named[1] != before and not others:
    return f'names {named[1]}, not {before}: {line}'
  if before == 'task.path' or HELP.search(line):
    return None
  return f'does not help: {line}'


def _of_the_machine_before(name: str, of: Any) -> int:
  """Return what os.sysconf said where the rows were made: 23.5 GiB."""
  known = {'SC_PAGE_SIZE': 4096, 'SC_PHYS_PAGES': 25276502016 // 4096}
  return known.get(name) or of(name)


def test_what_was_refused_is_refused_and_what_was_accepted_is_accepted(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  for name, content in FILES.items():
    (tmp_path / name).write_bytes(content)
  sysconf = functools.partial(_of_the_machine_before, of=os.sysconf)
  monkeypatch.setattr(os, 'sysconf', sysconf)
  wrong, rows = {}, 0
  text = PATH.read_text().replace('{data}', str(tmp_path))
  for names, outcomes in json.loads(text).items():
    for *values, before in outcomes:
      changes = dict(zip(names.split(), values, strict=True))
      complaint = _complain(changes, before)
      rows += 1
      if complaint:
        wrong[json.dumps(changes)] = complaint
  assert rows > 2500
  assert not wrong, f'{len(wrong)} rows, see the first\n' + '\n'.join(
    f'{changes}: {complaint}' for changes, complaint in list(wrong.items())[:20]
  )
