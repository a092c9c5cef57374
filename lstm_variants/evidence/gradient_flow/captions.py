"""What is said below the figures."""

FLOW = (
  'Norm of the gradient of the loss by the state after step t, ‖∂L/∂h_t‖ and '
  '‖∂L/∂c_t‖ (c_t as the next step finds it, h_t held), of the first layer: '
  'mean over {sequences} new sequences, median over the seeds, band over all '
  'seeds. A model that loses gradients has small ones at early steps. The loss '
  'is that of training, without what training adds or leaves out at random. A '
  'run of other seeds that diverged is not in it.'
)
SHARES = (
  'Each seed’s curve divided by its sum over all steps (Krueger et al. 2017), '
  'so that models whose losses differ can be compared: one that keeps errors '
  'is flat, at one over the number of steps.'
)
TRUNCATED = (
  ' What a cell keeps from the gradient on purpose is not there either: '
  '{models}.'
)
LAGS = (
  'What a state still does to a later one: the largest singular value of '
  '∂s_(t+k)/∂s_t against the lag k, t being the first step, by all paths, also '
  'those from c through h back to c; of the first layer, geometric mean over '
  '{sequences} sequences, median over the seeds, band over all seeds. Dotted: '
  'the product of the forget gates, of the unit that keeps most, which is '
  'the path through the cell alone.'
)
