"""An extension that sends its own process SIGTERM when training has begun."""

import os
import signal

from lstm_variants import console

_say = console.say


def _say_and_end(text: str) -> None:
  """Say a line; at the first that tells of an update, ask for the end."""
  _say(text)
  if 'update 0/' in text:
    os.kill(os.getpid(), signal.SIGTERM)


console.say = _say_and_end
