// Runs a page's script on the tables of standard input, as far as a script that
// sorts tables needs a document; clicks each heading twice; prints what came of
// it. A call that a browser would not know here ends the program.
//
//     node click.js SCRIPT.js < TABLES.json
//
// TABLES: [{heads: [text], rows: [[what a cell is sorted by]]}]. Printed: of each
// table, of each heading, of each click: [aria-sort of every heading, rows].
'use strict';
const fs = require('fs');
const vm = require('vm');

class Element {
  constructor(text) {
    this.children = [];
    this.attributes = new Map();
    this.listeners = [];
    this.text = text;
  }
  get firstChild() { return this.children[0] ?? null; }
  remove(child) { this.children = this.children.filter(c => c !== child); }
  append(...nodes) {
    for (const node of nodes) {
      node.parent?.remove(node);
      node.parent = this;
      this.children.push(node);
    }
  }
  prepend(node) {
    this.append(node);
    this.children.unshift(this.children.pop());
  }
  getAttribute(name) { return this.attributes.get(name) ?? null; }
  setAttribute(name, value) { this.attributes.set(name, String(value)); }
  removeAttribute(name) { this.attributes.delete(name); }
  addEventListener(kind, listener) {
    if (kind === 'click') this.listeners.push(listener);
  }
}

function makeCell(sort) {
  return Object.assign(new Element(), {dataset: {sort}});
}

function makeTable({heads, rows}) {
  const body = new Element();
  Object.defineProperty(body, 'rows', {get: () => body.children});
  body.append(
    ...rows.map(row => Object.assign(new Element(), {cells: row.map(makeCell)})));
  const cells = heads.map(text => {
    const cell = new Element();
    cell.append(new Element(text));
    return cell;
  });
  return {tHead: {rows: [{cells}]}, tBodies: [body]};
}

function clickEach(table) {
  const [body] = table.tBodies, heads = table.tHead.rows[0].cells;
  return heads.map(head => [1, 2].map(() => {
    for (const listener of head.firstChild.listeners) listener();
    return [
      heads.map(other => other.getAttribute('aria-sort')),
      body.rows.map(row => row.cells.map(cell => cell.dataset.sort)),
    ];
  }));
}

const tables = JSON.parse(fs.readFileSync(0, 'utf8')).map(makeTable);
const document = {
  querySelectorAll: selector => selector === 'table.sorted' ? tables : [],
  createElement: name => Object.assign(new Element(), {name}),
};
vm.runInNewContext(fs.readFileSync(process.argv[2], 'utf8'), {document});
process.stdout.write(JSON.stringify(tables.map(clickEach)));
