"""A screen: as much of a terminal as a panel of progress needs."""

import re

_TOKEN = re.compile(
  r'\x1b\[(?P<numbers>[\d;?]*)(?P<command>[A-Za-z])|(?P<character>.)', re.DOTALL
)


class Screen:
  """Lines of a terminal of some width, as what is written to it leaves them.

  Attributes:
    columns: its width.
    lines: what can be read on it, without blanks at the ends.
    wrapped: the lines that were wider than it.
    cursor: whether it is shown.
    drawn: how often its last lines were erased.
  """

  def __init__(self, columns: int):
    self.columns = columns
    self.wrapped: list[str] = []
    self.cursor, self.drawn = True, 0
    self._cells: list[list[str]] = [[]]
    self._row = self._column = 0

  @property
  def lines(self) -> list[str]:
    """The lines, without those that are empty at the end."""
    lines = [''.join(cells).rstrip() for cells in self._cells]
    while lines and not lines[-1]:
      lines.pop()
    return lines

  def write(self, text: str) -> None:
    """Take what a program writes."""
    for token in _TOKEN.finditer(text):
      if token['command']:
        self._obey(token['command'], token['numbers'])
      else:
        self._put(token['character'])

  def _obey(self, command: str, numbers: str) -> None:
    if command == 'A':  # up
      self._row -= int(numbers or 1)
      self.drawn += 1
      assert self._row >= 0
    elif command == 'K':  # erase the line
      assert numbers == '2'
      self._cells[self._row] = []
    elif command in 'hl':
      assert numbers == '?25'
      self.cursor = command == 'h'
    else:
      assert command == 'm', (command, numbers)  # a colour

  def _put(self, character: str) -> None:
    if character == '\n':
      self._row += 1
      if self._row == len(self._cells):
        self._cells.append([])
      self._column = 0  # as the line discipline of a terminal does
    elif character == '\r':
      self._column = 0
    else:
      cells = self._cells[self._row]
      cells.extend(' ' * (self._column + 1 - len(cells)))
      cells[self._column] = character
      self._column += 1
      if self._column > self.columns:
        self.wrapped.append(''.join(cells))
