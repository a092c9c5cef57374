"""The packages of a wheel: ours alone, with the built-in configs inside.

All else is in pyproject.toml. In a clone the configs are `configs/`, files to
copy; there `lstm_variants/config/builtin.py` finds them beside the package.
"""

import setuptools

CONFIGS = 'lstm_variants.configs'
ours = setuptools.find_packages(include=['lstm_variants', 'lstm_variants.*'])
theirs = [f'{CONFIGS}.{name}' for name in setuptools.find_packages('configs')]
setuptools.setup(
  packages=[*ours, CONFIGS, *theirs], package_dir={CONFIGS: 'configs'}
)
