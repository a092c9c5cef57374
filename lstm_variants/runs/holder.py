"""Who has a file: a process, told from every other, and whether it lives.

A process is its host, its number and when it began, the boot of its system and
the space of its numbers (a container has its own), and a token that is drawn
for each file that it has.
"""

import contextlib
import datetime
import enum
import functools
import os
import pathlib
import re
import secrets
import socket
from typing import NamedTuple

TOKEN = re.compile('[0-9a-f]{16}')


class Life(enum.Enum):
  """Whether a process lives."""

  LIVES = 'lives'
  ENDED = 'ended'
  # It may live elsewhere, or where its number is hidden.
  UNKNOWN = 'unknown'


class Holder(NamedTuple):
  """Who has a file.

  Attributes:
    host: its name.
    process: its number.
    since: when it got the file, as ISO 8601.
    boot: of the system, '' where the system does not tell.
    space: of the numbers of processes: a container has its own.
    start: when the process began, in the system's own unit.
    token: of this file; '' in a lock of an earlier version.
    renewed: how often it was.
  """

  host: str
  process: int
  since: str
  boot: str = ''
  space: str = ''
  start: str = ''
  token: str = ''
  renewed: int = 0

  def __str__(self) -> str:
    return f'process {self.process} on {self.host}, since {self.since}'

  def line(self) -> bytes:
    """Return what is written: three words, as earlier versions read them."""
    facts = (self.since, self.boot, self.space, self.start, self.token)
    return (
      f'{self.host} {self.process} {",".join(facts)},{self.renewed:010}\n'
    ).encode()


def describe() -> Holder:
  """Return this process as who has a new file."""
  now = datetime.datetime.now(datetime.UTC).isoformat('T', 'seconds')
  process = os.getpid()
  boot, space, start = _place(process)
  return Holder(
    *(socket.gethostname(), process, now, boot, space),
    *(start, secrets.token_hex(8)),
  )


@functools.lru_cache(maxsize=4)
def _place(process: int) -> tuple[str, str, str]:
  """Return boot, space and start of this process."""
  boot = space = ''
  with contextlib.suppress(OSError):
    system = pathlib.Path('/proc/sys/kernel/random/boot_id')
    boot = system.read_text().strip()
    space = os.readlink('/proc/self/ns/pid')
  return boot, space, _start(process) or ''


def parse(content: bytes) -> Holder | None:
  """Return who has a file by its line, also one of earlier versions."""
  words = content.decode(errors='replace').split()
  if len(words) != 3 or not words[1].isdecimal():
    return None
  host, process, facts = words
  since, *rest = facts.split(',')
  if len(rest) != 5:
    return Holder(host, int(process), since)
  boot, space, start, token, count = rest
  if not TOKEN.fullmatch(token) or not count.isdecimal():
    return None
  return Holder(
    host, int(process), since, boot, space, start, token, int(count)
  )


def is_here(who: Holder) -> bool:
  """Tell whether a process is, or was, of this very boot of this system."""
  here = describe()
  if who.boot and here.boot:
    return who.boot == here.boot
  return who.host == here.host


def life(who: Holder) -> Life:
  """Tell whether a process lives, by its number and its start."""
  if not is_here(who):
    return Life.UNKNOWN
  here = describe()
  if who.boot and here.boot:
    start = _start(who.process) if who.space == here.space else None
    if start is None:
      return Life.UNKNOWN
    return Life.LIVES if start == who.start else Life.ENDED
  return Life.LIVES if _exists(who.process) else Life.ENDED


def _start(process: int) -> str | None:
  """Return when a process began; '' of one that ended, None of a hidden one."""
  try:
    text = pathlib.Path(f'/proc/{process}/stat').read_text(errors='replace')
  except (FileNotFoundError, ProcessLookupError):
    return None if _exists(process) else ''
  except OSError:
    return None
  # Behind the name, which may have spaces; the state comes first.
  state, *facts = text.rpartition(')')[2].split()
  return '' if state in 'ZX' else facts[18]


def _exists(process: int) -> bool:
  """Tell whether a process has this number, be it another user's."""
  try:
    os.kill(process, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:
    pass
  return True
