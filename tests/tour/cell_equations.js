// Runs the equations of docs/_static on the cases that come in, as JSON.
const fs = require('fs');
require(process.argv[2]);
const {run, runSimple} = globalThis.cellEquations;
const cases = JSON.parse(fs.readFileSync(0, 'utf8'));
const answers = cases.map(({weights, toggles, inputs, simple}) => (
  {cell: run(weights, toggles, inputs), simple: runSimple(simple, inputs)}));
process.stdout.write(JSON.stringify(answers));
