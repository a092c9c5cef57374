"""What is said below the figures."""

SURVIVAL = (
  'Share of runs not yet solved against training sequences (Kaplan-Meier, with '
  'its pointwise 95 % band); ticks: runs that ended unsolved. The log-rank '
  'test, by permutations of the runs or of pairs of equal seeds, compares each '
  'model with {baseline}, up to where an unsolved run of the two was trained '
  'least. '
  'In the table: the share of runs that were solved (Clopper-Pearson); the '
  'mean of the sequences spent on a run that is given up at the budget; the '
  'probability that a run solves the task sooner than one of {baseline} (0.5: '
  'no difference; unsolved runs by Gehan’s rule); the interquartile mean of '
  'the loss after as many sequences as all runs reached, and the ratio of '
  'geometric means to {baseline}, with the t test of its logarithm, paired '
  'where the seeds are; Hedges’ g of the logarithms; how many seeds a side a '
  'Welch test of them would need to see a difference as large as this in 4 of '
  '5 studies. '
  'Intervals: 95 %. The p values are of single comparisons.'
)
ALONE = ' No run here is of {baseline}: nothing is compared.'
