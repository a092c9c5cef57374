"""How Sphinx makes the site of `docs/`: `make docs`.

The pages are those that a code host shows. What the site has beyond them, and
what Sphinx lacks, is in `docs/building`, a file an idea. Nothing here asks the
network, and no page that is made does.
"""

import logging
import os
import pathlib
import sys
import tomllib

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
# For the notebooks: a kernel that says nothing of itself, the commands and the
# package of this environment, and lines that a page has room for.
os.environ['JUPYTER_PATH'] = str(ROOT / 'docs' / 'building' / 'jupyter')
_BIN = str(pathlib.Path(sys.executable).parent)
os.environ['PATH'] = os.pathsep.join((_BIN, os.environ['PATH']))
os.environ['PYTHONPATH'] = str(ROOT)
os.environ['COLUMNS'] = '90'
# It would say which notebook is run.
logging.getLogger('traitlets').setLevel(logging.WARNING)

_PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']

project = 'lstm_variants'
author = 'The lstm_variants authors'
release = version = _PROJECT['version']

# Where the project can be cloned from, as 'https://github.com/OWNER/NAME'. The
# one place that knows it: notebooks install from there, and where it is on
# GitHub they open in Colab, from the branch on which the site is published.
repository = _PROJECT.get('urls', {}).get('Repository', '')
site_branch = 'gh-pages'

extensions = [
  'myst_nb',
  'sphinx.ext.autodoc',
  'sphinx.ext.githubpages',
  'sphinx.ext.napoleon',
  'docs.building.code_links',
  'docs.building.dark_figures',
  'docs.building.docstrings',
  'docs.building.mathml',
  'docs.building.notebooks',
  'docs.building.tables',
]
exclude_patterns = ['building', 'figures', 'tour', '_static']

myst_enable_extensions = ['attrs_inline', 'colon_fence', 'dollarmath']
myst_heading_anchors = 4

nb_execution_mode = 'force'
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 240
nb_merge_streams = True

napoleon_use_ivar = True
napoleon_attr_annotations = False
autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
autodoc_member_order = 'bysource'
python_maximum_signature_line_length = 72

html_theme = 'furo'
html_math_renderer = 'mathml'
html_title = 'lstm_variants'
html_show_copyright = False
smartquotes = False  # it would make one dash of --help
# The report's tables sort and filter by the same scripts.
_SCRIPTS = ROOT / 'lstm_variants' / 'report' / 'assets'
html_static_path = [
  '_static',
  str(_SCRIPTS / 'sort.js'),
  str(_SCRIPTS / 'filter.js'),
]
html_css_files = ['site.css']
html_js_files = [
  (name, {'defer': ''}) for name in ('sort.js', 'filter.js', 'keys.js')
]
html_show_sourcelink = False
html_copy_source = False
# The paper of figures on a dark page, and inks that can be read on both.
html_theme_options = {
  'light_css_variables': {
    'color-foreground-muted': '#5d636b',
    'color-link': '#0b5bb5',
    'color-brand-primary': '#0b5bb5',
    'color-brand-content': '#0b5bb5',
    'color-link--visited': '#6b3fa0',
  },
  'dark_css_variables': {
    'color-background-primary': '#14171b',
    'color-background-secondary': '#1a1e23',
    'color-foreground-muted': '#9aa4af',
    'color-link': '#6db3f2',
    'color-brand-primary': '#6db3f2',
    'color-brand-content': '#6db3f2',
    'color-link--visited': '#c0a3e5',
  },
}
pygments_style = 'a11y-high-contrast-light'
pygments_dark_style = 'a11y-high-contrast-dark'
