import { byId, make, one } from './elements.js';

/** @typedef {'browser' | 'http' | 'ws' | 'store'} Lane */

const keptIn = document.documentElement.dataset['keptIn'] ?? '';
const lanes = /** @type {const} */ (['browser', 'http', 'ws', 'store']);
const names = { browser: 'Browser', http: 'HTTP tier', ws: 'WebSocket tier', store: keptIn };
const rowsAtMost = 120;

const list = byId('traffic', HTMLOListElement);
const frame = one(document, '.sequence', HTMLElement);

/** Several processes share a store: what one says reaches another through it. */
export const isShared = keptIn === 'Redis';

/** @param {HTMLElement} row */
function add(row) {
  byId('traffic-empty', HTMLElement).hidden = true;
  list.append(row);
  while (list.childElementCount > rowsAtMost) list.firstElementChild?.remove();
  frame.scrollTop = frame.scrollHeight;
}

/**
 * Begins the part of a step.
 *
 * @param {string} title
 */
export function chapter(title) {
  const row = make('li', title);
  row.className = 'chapter';
  add(row);
}

/**
 * Draws an arrow with what it carries.
 *
 * @param {Lane} from
 * @param {Lane} to
 * @param {string} text never with a secret in it
 * @param {'seen' | 'refused' | 'behind'} [kind] `behind`: this page cannot see it, and knows of it because the broker works so
 */
export function arrow(from, to, text, kind = 'seen') {
  const [start, end] = [lanes.indexOf(from), lanes.indexOf(to)];
  const left = Math.min(start, end);
  const route = make('span', `${names[from]} to ${names[to]}: `);
  route.className = 'unseen';
  const label = make('span', route, text);
  label.className = 'label';
  const line = make('span');
  line.className = 'line';
  const row = make('li', label, line);
  row.className = `arrow ${kind} ${start < end ? 'there' : 'back'} ${left < 2 ? 'open' : 'close'}`;
  row.style.setProperty('--left', String(left));
  row.style.setProperty('--span', String(Math.abs(end - start)));
  add(row);
}
