"""Show a task: sequences, chance level, rule, what was published."""

from lstm_variants.commands import command
from lstm_variants.commands import show as program

if __name__ == '__main__':
  command.start(program)
