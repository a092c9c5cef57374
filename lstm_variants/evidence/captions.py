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
SEQUENCE = (
  'One new sequence, and what the last layer of {run} does at each of its '
  'steps. Gates from 0 (white) to 1; candidate, c and h white at 0. Units are '
  'ordered by how much their state, before the answer is asked for, tells of '
  'the answer over {sequences} sequences. Below, the first unit alone. Dashed: '
  'marked steps. Of the seeds a solved one is shown, if there is any.'
)
ALIGNED = (
  'Averages over {sequences} sequences around the marked steps, of {run}: the '
  'units whose state tells most of the answer; bands: the middle 80 % of the '
  'sequences.'
)
SATURATION = (
  'How often each gate of a unit is nearly shut (below 0.1) or open (above '
  '0.9), as Karpathy, Johnson and Fei-Fei (2015) draw it, and the distribution '
  'of all values; one run of each model, a solved one if there is any, '
  '{sequences} sequences without their padding.'
)
CONSTANTS = (
  'τ = −1 / mean(ln f): the steps after which the gates alone leave 1/e of a '
  'state (up to {seeds} runs of each model, solved ones first; {sequences} '
  'sequences without their padding). What a '
  'unit keeps by writing it again, through h, does not show.'
)
LENGTHS = (
  'Trained up to T = {trained:,} (shaded), measured on {sequences} new '
  'sequences of each length up to T = {longest:,}: {metric}, median over the '
  'seeds, band over all seeds. Dashed: the best predictor without memory.'
)
SURVIVAL = (
  'Share of runs not yet solved against training sequences (Kaplan-Meier, with '
  'its pointwise 95 % band); ticks: runs that ended unsolved. The log-rank '
  'test, by permutations of the runs, compares each model with {baseline}. '
  'In the table: the share of runs that were solved (Clopper-Pearson); the '
  'mean of the sequences spent on a run that is given up at the budget; the '
  'probability that a run solves the task sooner than one of {baseline} (0.5: '
  'no difference; unsolved runs by Gehan’s rule); the interquartile mean of '
  'the final loss, and its difference to {baseline} over equal seeds, with the '
  'exact sign-flip test and Hedges’ g; how many seeds a side a Welch test '
  'would need to see a difference as large as this in 4 of 5 studies. '
  'Intervals: 95 %. The p values are of single comparisons.'
)
ALONE = ' No run here is of {baseline}: nothing is compared.'
