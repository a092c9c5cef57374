"""The pages of the site, as far as they can be judged without building it.

`make docs` builds it, runs its notebooks, and looks at it (tests/site.py).
"""

import ast
import importlib
import importlib.util
import pathlib
import re
import shlex
from typing import Any

import pytest

from docs.building import docstrings, launch
import lstm_variants as lv
from lstm_variants import __main__
from lstm_variants.config import schema
from tests import browser as browser_lib
from tests import site

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / 'docs'
PAGES = sorted(
  str(path.relative_to(DOCS))
  for path in DOCS.rglob('*.md')
  if 'building' not in path.parts
)
NOTEBOOKS = [
  page for page in PAGES if 'kernelspec:' in (DOCS / page).read_text()[:200]
]
# Whose blocks of Python train nothing, and so are run here.
RUN = ('concepts/populations.md', 'concepts/toggles.md', 'recipes.md')


def _blocks(page: str, language: str) -> list[str]:
  text = (DOCS / page).read_text()
  return re.findall(rf'^```{language}\n(.*?)^```', text, re.M | re.S)


def _commands(page: str) -> list[list[str]]:
  """Return the lines of the shell, as words, those of notebooks too."""
  text = '\n'.join((*_blocks(page, 'bash'), *_blocks(page, '')))
  lines = text.replace('\\\n', ' ').splitlines()
  lines += re.findall(r'^!(.*)$', (DOCS / page).read_text(), re.M)
  return [
    shlex.split(line.strip(), comments=True)
    for line in lines
    if re.match(r' *(lstm-variants|python -m experiments\.)', line)
  ]


def _cells(page: str) -> list[str]:
  """Return the code of a notebook's cells."""
  cells = _blocks(page, r'\{code-cell\} ipython3')
  loaded = [re.match(r':load: (\S+)', cell) for cell in cells]
  return [
    ((DOCS / page).parent / load[1]).read_text() if load else cell
    for cell, load in zip(cells, loaded, strict=True)
  ]


def test_every_page_is_in_a_table_of_contents():
  listed = {'index.md'}
  for page in PAGES:
    folder = pathlib.Path(page).parent
    for block in _blocks(page, r'\{toctree\}'):
      names = [line for line in block.splitlines() if line and line[0] != ':']
      listed |= {str(folder / f'{name}.md') for name in names}
  assert listed == set(PAGES)


def test_the_reference_has_every_public_name():
  text = (DOCS / 'reference' / 'api.md').read_text()
  missing = [
    name
    for name in dir(lv)
    if not re.search(rf'(:: (lstm_variants\.)?|`lv\.){name}\b', text)
  ]
  assert not missing


@pytest.mark.parametrize('page', PAGES)
def test_commands_of_a_page_exist_with_their_flags_and_fields(page):
  # Some flags have their names from a constant.
  flags = set(
    re.findall(
      r"'(\w+)'",
      ''.join(
        path.read_text()
        for path in (ROOT / 'lstm_variants' / 'commands').glob('*.py')
      ),
    )
  )
  fields = schema.table()
  for words in _commands(page):
    name = words[1] if words[0] == 'lstm-variants' else words[2].split('.')[1]
    assert name in {*__main__.commands(), 'tour'}, words
    for word in words[2:] if name != 'tour' else ():
      flag = re.match(r'--([\w.]+)', word)
      if flag is None:
        continue
      if flag[1].startswith('config.'):
        field = flag[1].removeprefix('config.')
        assert field in fields or 'lerning_rate' in field, words
      else:
        assert flag[1] in flags | {'help', 'config', 'flagfile'}, words


@pytest.mark.parametrize('page', PAGES)
def test_python_of_a_page_names_what_there_is(page):
  named = {'lv': lv, 'study': lv.Study, 'results': lv.Results}
  for block in (*_blocks(page, 'python'), *_cells(page)):
    tree = ast.parse(re.sub(r'^[!%].*$', '', block, flags=re.M))
    for node in ast.walk(tree):
      if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        thing = named.get(node.value.id)
        assert thing is None or hasattr(thing, node.attr), ast.unparse(node)
      if isinstance(node, ast.ImportFrom) and str(node.module).startswith(
        'lstm_variants'
      ):
        for one in node.names:
          assert _exists(str(node.module), one.name), ast.unparse(node)


def _exists(module: str, name: str) -> bool:
  if hasattr(importlib.import_module(module), name):
    return True
  return importlib.util.find_spec(f'{module}.{name}') is not None


@pytest.mark.parametrize('page', RUN)
def test_python_of_a_page_runs_and_prints_what_it_says(page, capsys):
  scope: dict[str, Any] = {}
  for block in _blocks(page, 'python'):
    exec(compile(block, page, 'exec'), scope)
  said = re.findall(r'^print\(.*\)  # (.*)$', (DOCS / page).read_text(), re.M)
  assert capsys.readouterr().out.splitlines() == said


@pytest.mark.parametrize('page', NOTEBOOKS)
def test_cells_of_a_notebook_are_python_and_need_nothing_from_the_docs(page):
  cells = [re.sub(r'^[!%].*$', '', cell, flags=re.M) for cell in _cells(page)]
  assert len(cells) > 2
  for cell in cells:
    ast.parse(cell)
    assert 'docs/' not in cell


def test_a_notebook_is_opened_in_colab_only_where_the_address_is_known():
  assert launch.colab('', 'gh-pages', 'tutorials/cell') == ''
  assert launch.colab('https://gitlab.com/o/n', 'gh-pages', 'x') == ''
  assert launch.colab('https://github.com/o/n.git', 'gh-pages', 'a/b') == (
    'https://colab.research.google.com/github/o/n/blob/gh-pages/'
    'notebooks/a/b.ipynb'
  )
  known = launch.first_cell('https://github.com/o/n')
  assert (
    "%pip install -q 'lstm-variants[data] @ git+https://github.com/o/n'"
    in (known)
  )
  assert '%pip install' not in re.sub('#.*', '', launch.first_cell(''))


def test_docstrings_become_restructured_text():
  given = [
    'Return `a *b` and `Row`s of',
    '`c,',
    '**d`, x_t.',
    '',
    '    y = x_ *',
    '      z',
    '',
    'Args:',
    '  x_: of it.',
  ]
  assert docstrings.translated(given) == [
    'Return ``a *b`` and ``Row``\\ s of',
    '``c,',
    '**d``, x_t.',
    '',
    '.. code-block:: text',
    '',
    '    y = x_ *',
    '      z',
    '',
    'Args:',
    '  x\\_: of it.',
  ]


def _site(folder: pathlib.Path, body: str, head: str = '') -> pathlib.Path:
  text = f'<!doctype html><html><head>{head}</head><body>{body}</body></html>'
  (folder / 'index.html').write_text(text)
  return folder


def test_a_link_that_leads_nowhere_is_found(tmp_path):
  body = (
    '<p id="there"><a href="#there">1</a><a href="index.html#there">2</a>'
    '<a href="https://example.org/x">3</a><a href="#gone">4</a>'
    '<a href="gone.html">5</a><img src="https://example.org/y.png">'
  )
  assert list(site.broken(_site(tmp_path, body))) == [
    'index.html: #gone has no such anchor',
    'index.html: gone.html is not there',
    'index.html: loads https://example.org/y.png',
  ]


@pytest.mark.skipif(browser_lib.PROGRAM is None, reason=browser_lib.WHY)
def test_what_a_reader_stumbles_over_is_found(tmp_path):
  body = (
    '<p style="color:#999;background:#fff">faint</p>'
    '<div style="width:1000px;height:9px">wide</div>'
    '<article style="overflow:hidden"><p style="width:900px">cut off</p>'
    '<div style="overflow:auto"><p style="width:900px">scrolls</p></div>'
    '</article><button tabindex="-1">no key</button><a href="#">key</a>'
    '<script>console.error("said")</script>'
    '<img src="http://127.0.0.1:9/x.png">'
  )
  page = _site(tmp_path, body) / 'index.html'
  with browser_lib.open_browser(tmp_path / 'profile') as chromium:
    found = '\n'.join(site.faults(chromium, tmp_path, page))
    unreached = list(site.unreached(chromium, page, 1300))
  assert '390 pixels, light: is 1' in found
  assert "390 pixels, dark: is cut off: 'cut off'" in found
  assert found.count('is cut off') == 2
  assert "contrast of 2.85 in 'faint'" in found
  assert 'said' in found and 'asks for http://127.0.0.1:9/x.png' in found
  assert len(unreached) == 1 and 'no key' in unreached[0]
