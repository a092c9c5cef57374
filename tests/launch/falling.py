"""An extension in which a process falls where its environment says.

FALL=9@16       it sends itself signal 9 at the evaluation after update 16
FALL=import     it cannot be imported
"""

import os
import time
from typing import Any

from lstm_variants.training import interrupt, progress

_FALL = os.environ.get('FALL', '')
_show = progress.Progress.show


def _show_and_fall(shown: progress.Progress, report: Any) -> None:
  """Show an evaluation; send the signal at the one that is meant."""
  _show(shown, report)
  number, _, update = _FALL.partition('@')
  if report.update == int(update):
    os.kill(os.getpid(), int(number))
    while not interrupt.requested():  # another thread is told of it
      time.sleep(0.01)


if _FALL == 'import':
  raise ImportError('falls')
if _FALL:
  progress.Progress.show = _show_and_fall  # pyrefly: ignore[bad-assignment]
