"""What was published of a task."""

from typing import NamedTuple


class Published(NamedTuple):
  """A result from the literature, for the same task and rule.

  Attributes:
    length: T.
    value: the number.
    unit: its unit, as 'sequences to success'.
    source: author, year, table.
    note: model, size, how many trials; where it departs from this task.
  """

  length: int
  value: float
  unit: str
  source: str
  note: str = ''

  def __str__(self) -> str:
    value = f'{self.value:,.0f}' if self.value >= 1000 else f'{self.value:g}'
    source = '; '.join(text for text in (self.source, self.note) if text)
    return f'T = {self.length:,}: {value} {self.unit} ({source})'
