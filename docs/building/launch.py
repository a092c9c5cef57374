"""How a notebook is opened elsewhere: what installs the project, and Colab."""

FOLDER = 'notebooks'
# Without an address there is nothing to install from.
_ASK = """\
# Needs the project: %pip install PATH, that of a clone.
import lstm_variants"""
_INSTALL = """\
try:
  import lstm_variants
except ImportError:
  %pip install -q 'lstm-variants[data] @ git+{repository}'"""


def first_cell(repository: str) -> str:
  """Return the code that installs the project where it is missing."""
  return _INSTALL.format(repository=repository) if repository else _ASK


def colab(repository: str, branch: str, docname: str) -> str:
  """Return the address that opens a notebook in Colab, '' where none does."""
  host, _, name = repository.removesuffix('.git').partition('github.com/')
  if host != 'https://' or not name:
    return ''
  return (
    f'https://colab.research.google.com/github/{name}/blob/{branch}/'
    f'{FOLDER}/{docname}.ipynb'
  )
