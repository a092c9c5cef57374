"""Files of the repository that a page names have a page of their own.

A link to a file, as `[the scan](../lstm_variants/cells/gradient.py)`, and a
name in code, as `cells/gates.py` or `config/fields.py:Field`, lead there: to
the line of what is named. On a code host the links lead to the files.
"""

import ast
import html
import importlib
import inspect
import pathlib
import re
from typing import Any

from docutils import nodes
from pygments import formatters, highlight, lexers
from sphinx import addnodes, application
from sphinx.transforms import SphinxTransform

ROOT = pathlib.Path(__file__).parents[2]
PLACES = ROOT, ROOT / 'lstm_variants', ROOT / 'docs'
_NAMED = re.compile(r'([\w-]+(?:/[\w-]+)+\.py)(?::([\w.]+))?')
_LEXERS = {'.py': lexers.PythonLexer, '.js': lexers.JavascriptLexer}
# What a page of ours is, where a link leads to what is no page of `docs/`.
_PAGES = {'CONTRIBUTING.md': 'contributing', 'examples': 'examples'}


class LinkCode(SphinxTransform):
  """Let links to files, and names of files, lead to their pages."""

  default_priority = 500

  def apply(self, **kwargs: Any) -> None:
    """Change the nodes of one page."""
    for node in list(self.document.findall(addnodes.download_reference)):
      path = pathlib.Path(self.env.docname).parent / node['reftarget']
      file = _repository_file(self.env.srcdir, node['reftarget'], path)
      if file is not None:
        node.replace_self(self._reference(file, '', node.children))
    for node in list(self.document.findall(nodes.literal)):
      named = _NAMED.fullmatch(node.astext())
      file = named and find(named[1])
      if file and not isinstance(node.parent, nodes.reference):
        node.replace_self(
          self._reference(file, (named and named[2]) or '', [node.deepcopy()])
        )

  def _reference(self, file: str, name: str, children: Any) -> nodes.reference:
    _files(self.env).setdefault(self.env.docname, set()).add(file)
    builder = self.app.builder
    uri = builder.get_relative_uri(self.env.docname, page(file))
    line = line_of(file, name)
    uri += f'#L-{line}' if line else ''
    return nodes.reference('', '', *children, refuri=uri, internal=True)


def _repository_file(
  srcdir: Any, target: str, relative: pathlib.Path
) -> str | None:
  """Return a linked file from the root, if it is code of the repository."""
  path = pathlib.Path(srcdir, target.lstrip('/'))
  if not path.is_file():
    path = pathlib.Path(srcdir, relative)
  path = path.resolve()
  if path.suffix in _LEXERS and path.is_relative_to(ROOT):
    return str(path.relative_to(ROOT))
  return None


def find(name: str) -> str | None:
  """Return the path from the root of a file that a page names, or None."""
  for place in PLACES:
    if (place / name).is_file():
      return str((place / name).relative_to(ROOT))
  return None


def page(file: str) -> str:
  """Return the name of the page of a file."""
  return f'source/{file.replace(".", "_")}'


def line_of(file: str, name: str) -> int | None:
  """Return where a function, class or `Class.method` of a file begins."""
  if not name:
    return None
  body: Any = ast.parse((ROOT / file).read_text()).body
  line = None
  for part in name.split('.'):
    for node in body:
      if getattr(node, 'name', None) == part:
        body, line = node.body, node.lineno
        break
    else:
      return None
  return line


def source(module: str, name: str) -> tuple[str, int] | None:
  """Return the file and the line in which a public name is defined."""
  thing: Any = importlib.import_module(module)
  try:
    for part in name.split('.'):
      thing = getattr(thing, part)
    thing = inspect.unwrap(getattr(thing, 'fget', None) or thing)
    path = pathlib.Path(inspect.getsourcefile(thing) or '')
    line = inspect.getsourcelines(thing)[1]
  except (AttributeError, TypeError, OSError):
    return None
  if not path.is_relative_to(ROOT):
    return None
  return str(path.relative_to(ROOT)), line


def _link_signatures(app: application.Sphinx, doctree: nodes.document) -> None:
  """Let each public name lead to its code."""
  for signature in doctree.findall(addnodes.desc_signature):
    place = source(signature['module'], signature['fullname'])
    if place is not None:
      file, line = place
      _files(app.env).setdefault(app.env.docname, set()).add(file)
      uri = app.builder.get_relative_uri(app.env.docname, page(file))
      words = nodes.inline('', '[source]', classes=['viewcode-link'])
      link = nodes.reference('', '', words, refuri=f'{uri}#L-{line}')
      signature += link


def _files(env: Any) -> dict[str, set[str]]:
  """Return page -> the files that it leads to."""
  if not hasattr(env, 'lstm_variants_files'):
    env.lstm_variants_files = {}
  return env.lstm_variants_files


def _pages(app: application.Sphinx):
  """Yield the pages of all files that are named."""
  formatter = formatters.HtmlFormatter(lineanchors='L', linenos='inline')
  for file in sorted(set().union(*_files(app.env).values())):
    text = (ROOT / file).read_text()
    lexer = _LEXERS[pathlib.Path(file).suffix]()
    title = html.escape(file)
    body = f'<h1>{title}</h1>\n{highlight(text, lexer, formatter)}'
    yield page(file), {'title': title, 'body': body}, 'page.html'


def _rewrite(app: application.Sphinx, docname: str, content: list[str]) -> None:
  """Let a link to what is outside of `docs/` lead to the page of it."""

  def replaced(match: re.Match[str]) -> str:
    target = _PAGES.get(match[2])
    return f']({match[1]}{target}.md)' if target else match[0]

  content[0] = re.sub(
    r'\]\(((?:\.\./)*)\.\./([\w.]+)/?\)', replaced, content[0]
  )


def setup(app: application.Sphinx) -> dict[str, bool]:
  """Register the links and the pages of files."""
  app.connect('source-read', _rewrite)
  app.add_transform(LinkCode)
  app.connect('doctree-read', _link_signatures)
  app.connect('html-collect-pages', _pages)
  return {'parallel_read_safe': False, 'parallel_write_safe': True}
