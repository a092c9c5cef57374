"""What is said below the figures."""

LENGTHS = (
  'Trained up to T = {trained:,} (shaded), measured on {sequences} new '
  'sequences of each length up to T = {longest:,}: {metric}, median over the '
  'seeds, band over all seeds. Dashed: the best predictor without memory.'
)
