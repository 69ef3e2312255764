import { actLoggedIn, freshTicket } from './account.js';
import { nodeOf } from './broker.js';
import { byId, one, tell } from './elements.js';
import { Pane } from './pane.js';
import { arrow, chapter, isShared } from './sequence.js';
import { done, isDone, resultOf } from './steps.js';

// One room, the only one that a test token opens where there are other users.
export const room = 'demo';
// Tells this page's own messages from those of others in the room.
const pageId = crypto.randomUUID?.() ?? `${Math.random()}`;
const triesForAnotherNode = 3;
// When a revocation reached the sockets last: it reaches both.
let heardOfIt = Number.NEGATIVE_INFINITY;

/** @param {'A' | 'B'} name */
function createPane(name) {
  return new Pane(byId(`pane-${name.toLowerCase()}`, HTMLElement), room, {
    onMessage({ payload: { from, page, at } }) {
      if (page !== pageId || from === name || typeof at !== 'number') return;
      const ms = Math.max(1, Math.round(performance.now() - at));
      arrow('ws', 'browser', `to socket ${name}, ${ms} ms after it was said`);
    },
    onEnd(code, reason) {
      if (code === 3003 && performance.now() - heardOfIt > 1000) {
        heardOfIt = performance.now();
        arrow('store', 'ws', 'every node follows the feed', 'behind');
      }
      arrow('ws', 'browser', `close ${code} · socket ${name}${reason && ` · ${reason}`}`, 'refused');
    },
  });
}

export const a = createPane('A');
export const b = createPane('B');
export const panes = [a, b];

/**
 * @param {Pane} pane
 * @param {import('./broker.js').Minted} minted
 * @returns {Promise<string>} the session
 */
export async function openPane(pane, minted) {
  const session = await pane.open(minted);
  pane.isAt(session, await nodeOf(minted.ticket));
  whereTheyAre();
  return session;
}

/**
 * Opens a socket, and another in its place while it is on the node where the other pane's is: there may be several.
 *
 * @param {Pane} pane
 */
export async function openElsewhere(pane) {
  const other = pane === a ? b : a;
  for (let tries = 1; ; tries++) {
    await openPane(pane, await freshTicket());
    if (!isShared || pane.node === undefined || pane.node !== other.node || tries === triesForAnotherNode)
      return;
    arrow('browser', 'ws', `close 1000 · socket ${pane === a ? 'A' : 'B'}, to try for another node`);
  }
}

function whereTheyAre() {
  if (!a.node || !b.node) return;
  const where =
    a.node !== b.node
      ? 'Two sockets on two nodes: what one says reaches the other through Redis.'
      : isShared
        ? 'Both on the same node, as the balancer chose, or as there is no other.'
        : 'One process holds both. With Redis behind them, each could be on any of many nodes.';
  tell(resultOf(5), a.node === b.node ? 'plain' : 'good', where);
}

for (const [name, pane] of [
  ['A', a],
  ['B', b],
]) {
  if (!(pane instanceof Pane)) continue;
  const { toggle, form, input } = pane;
  toggle.addEventListener('click', () =>
    actLoggedIn(toggle, 5, async () => {
      if (pane.isOpen) {
        arrow('browser', 'ws', `close 1000 · socket ${name}`);
        pane.close();
        return;
      }
      chapter(`Socket ${name}, with a new ticket`);
      await openElsewhere(pane);
    }),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    return actLoggedIn(one(form, 'button', HTMLButtonElement), 5, () => {
      const text = input.value.trim();
      if (text === '') return;
      if (!isDone(5)) chapter('5 · Talk');
      arrow('browser', 'ws', `socket ${name}: “${text}”`);
      if (isShared) {
        arrow('ws', 'store', 'publish', 'behind');
        arrow('store', 'ws', 'to each node with somebody in the room', 'behind');
      }
      pane.say({ text, from: name, page: pageId, at: performance.now() });
      input.value = '';
      if (a.isOpen && b.isOpen) done(5);
    });
  });
}
