"""What a user can mend: all that the house refuses, in Python or by command."""


class Error(Exception):
  """Something was refused; the message is the one line that a command prints.

  Attributes:
    exit_status: that a command ends with.
  """

  exit_status = 2

  def __str__(self) -> str:
    return ' '.join(super().__str__().split())
