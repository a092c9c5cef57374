"""Each tutorial as a notebook to download.

The build has run it; what it printed is on the page alone. In front of its
first cell stands one that installs the project, from `repository` of
docs/conf.py; where that is on GitHub, the page also leads to Colab, which opens
the file from the branch of the site.
"""

import pathlib
from typing import Any

import nbformat
from sphinx import application

from docs.building import launch


def _is_notebook(app: application.Sphinx, docname: str) -> bool:
  return 'kernelspec' in app.env.metadata.get(docname, {})


def _links(
  app: application.Sphinx, page: str, template: str, context: Any, tree: Any
) -> None:
  """Write below the title how to get the notebook."""
  if not _is_notebook(app, page):
    return
  address = context['pathto'](f'{launch.FOLDER}/{page}.ipynb', 1)
  links = [f'<a href="{address}" download>download it</a>']
  colab = launch.colab(app.config.repository, app.config.site_branch, page)
  if colab:
    links.append(f'<a href="{colab}">open it in Colab</a>')
  text = f'<p class="notebook">This page is a notebook: {" or ".join(links)}.'
  context['body'] = context['body'].replace('</h1>', f'</h1>\n{text}</p>', 1)


def _write(app: application.Sphinx, exception: Exception | None) -> None:
  """Write the notebooks that were run, each with its first cell."""
  if exception is not None:
    return
  executed = pathlib.Path(app.outdir).parent / 'jupyter_execute'
  for docname in app.env.found_docs:
    if not _is_notebook(app, docname):
      continue
    notebook: Any = nbformat.read(executed / f'{docname}.ipynb', 4)
    cell = nbformat.v4.new_code_cell(launch.first_cell(app.config.repository))
    notebook.cells.insert(0, cell)
    path = pathlib.Path(app.outdir, launch.FOLDER, f'{docname}.ipynb')
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def setup(app: application.Sphinx) -> dict[str, bool]:
  """Register the settings, the links and the files."""
  app.add_config_value('repository', '', 'html')
  app.add_config_value('site_branch', '', 'html')
  app.connect('html-page-context', _links)
  app.connect('build-finished', _write)
  return {'parallel_read_safe': True, 'parallel_write_safe': True}
