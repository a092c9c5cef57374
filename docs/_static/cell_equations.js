// One LSTM unit, its derivatives, and a simple RNN of one unit beside it: the
// equations of lstm_variants/cells/lstm.py, which a test holds these against.
{
  const GATES = ['i', 'f', 'o'];
  const sigmoid = z => 1 / (1 + Math.exp(-z));
  const dot = (one, two) => one.reduce((sum, x, n) => sum + x * two[n], 0);
  const scale = (factor, row) => row.map(x => factor * x);
  const add = (...rows) => rows[0].map(
    (_, n) => rows.reduce((sum, row) => sum + row[n], 0));

  // z and its derivative by the state before: c, h and the gates i, f, o.
  const before = (weights, seen, recurrence, state, input) => {
    const {x = 0, m = 0, r = 0, b = 0, p = 0, gates = [0, 0, 0]} = weights;
    const back = recurrence ? gates : [0, 0, 0];
    const row = [seen ? p : 0, r, ...back];
    const last = [state.c, state.h, ...GATES.map(gate => state[gate])];
    return {z: x * input.x + m * input.m + b + dot(row, last), row};
  };

  // A gate σ(z) with its derivative; 1 where it is off.
  const open = (on, {z, row}) => {
    const value = on ? sigmoid(z) : 1;
    return {value, row: scale(value * (1 - value), row)};
  };

  // One step. `weights` has i, f, o, g, each with x and m by the two inputs, r
  // by h, b, p by c, and `gates` by the last i, f, o. `toggles` has the names of
  // lv.Toggles. Returned `by` is the derivative of each of c, h, i, f, o by the
  // state before, `within` that by the new c, of which h and o are made.
  const step = (weights, toggles, state, input) => {
    const look = (name, seen) => before(
      weights[name], seen, toggles.gate_recurrence, state, input);
    const write = look('i', toggles.peephole_i);
    const forget = look('f', toggles.peephole_f);
    const show = look('o', false);
    const shifted = {...write, z: write.z + (toggles.coupling_shift || 0)};
    const i = open(toggles.input_gate, shifted);
    const f = open(toggles.forget_gate, toggles.coupled
      ? {z: -write.z, row: scale(-1, write.row)} : forget);
    const made = look('g', false);
    const g = toggles.input_activation ? Math.tanh(made.z) : made.z;
    const gRow = scale(toggles.input_activation ? 1 - g * g : 1, made.row);
    const c = f.value * state.c + i.value * g;
    const cRow = add([f.value, 0, 0, 0, 0], scale(state.c, f.row),
      scale(i.value, gRow), scale(g, i.row));
    const p = toggles.peephole_o ? weights.o.p || 0 : 0;
    const o = open(toggles.output_gate,
      {z: show.z + p * c, row: add(show.row, scale(p, cRow))});
    const shown = toggles.output_activation ? Math.tanh(c) : c;
    const slope = toggles.output_activation ? 1 - shown * shown : 1;
    const hRow = add(scale(shown, o.row), scale(o.value * slope, cRow));
    const oByC = toggles.output_gate ? p * o.value * (1 - o.value) : 0;
    const within = [1, o.value * slope + shown * oByC, 0, 0, oByC];
    return {i: i.value, f: f.value, o: o.value, g, c, h: o.value * shown,
      by: [cRow, hRow, i.row, f.row, o.row], within};
  };

  // All steps from a state of zeros, and of each step s:
  //   total     dc_T/dc_s by all ways, through h and the gates too
  //   straight  f_{s+1} ⋯ f_T, the way along the cell state alone
  //   left      i_s g_s f_{s+1} ⋯ f_T, what step s put in and is left of it
  const run = (weights, toggles, inputs) => {
    const steps = [];
    let state = {c: 0, h: 0, i: 0, f: 0, o: 0};
    for (const input of inputs) {
      state = step(weights, toggles, state, input);
      steps.push(state);
    }
    let ways = [1, 0, 0, 0, 0];
    let straight = 1;
    for (const one of [...steps].reverse()) {
      const total = dot(ways, one.within);
      Object.assign(one, {total, straight, left: one.i * one.g * straight});
      straight *= one.f;
      ways = add(...ways.map((way, n) => scale(way, one.by[n])));
    }
    return steps;
  };

  // h' = tanh(x W + h R + b), and of each step s `total` = ∂h_T/∂h_s.
  const runSimple = ({x = 0, m = 0, r = 0, b = 0}, inputs) => {
    let h = 0;
    const steps = inputs.map(input => {
      h = Math.tanh(x * input.x + m * input.m + r * h + b);
      return {h};
    });
    let total = 1;
    for (const one of [...steps].reverse()) {
      one.total = total;
      total *= r * (1 - one.h * one.h);
    }
    return steps;
  };

  globalThis.cellEquations = {run, runSimple};
}
