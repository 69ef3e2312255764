import { fateOf, logIn, logOutEverywhere, mint, nodeOf, Refusal, testToken } from './broker.js';
import { byId, code, isReady, make, setReady, tell } from './elements.js';
import { Pane } from './pane.js';
import { claimsOf } from './secrets.js';
import { arrow, chapter, isShared } from './sequence.js';
import { Closed, openSocket } from './socket.js';
import { showTicket, stampTicket } from './ticket-card.js';

// One room, the only one that a test token opens where there are other users.
const room = 'demo';
// Tells this page's own messages from those of others in the room.
const pageId = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;

/** All that the page remembers; gone when it is left. @type {{ token?: string, user?: string, minted?: import('./broker.js').Minted, used?: boolean }} */
const held = {};
let lastStep = 0;

const button = (/** @type {string} */ id) => byId(id, HTMLButtonElement);
const result = (/** @type {number} */ step) => byId(`result-${step}`, HTMLElement);
const connect = button('connect');
const replay = button('replay');

const a = new Pane(byId('pane-a', HTMLElement), 'A', room, paneEvents('A'));
const b = new Pane(byId('pane-b', HTMLElement), 'B', room, paneEvents('B'));
const panes = [a, b];

/** What is to be done next stands out; what has been done is ticked. @param {number} step that has just been done */
function done(step) {
  lastStep = Math.max(lastStep, step);
  for (const [index, section] of document.querySelectorAll('.step').entries()) {
    const own = index + 1;
    if (section instanceof HTMLElement) {
      section.dataset['progress'] = own <= lastStep ? 'done' : own === lastStep + 1 ? 'next' : 'later';
    }
  }
}

/** What can be done now. */
function refresh() {
  const loggedIn = held.token !== undefined;
  setReady(connect, held.minted !== undefined && !held.used);
  connect.dataset['first'] = held.used
    ? 'This ticket has been used: get another, or go on.'
    : 'Get a ticket first.';
  setReady(replay, held.used === true);
  for (const each of [button('get-ticket'), button('revoke'), button('come-back')]) setReady(each, loggedIn);
  for (const pane of panes) setReady(pane.toggle, loggedIn || pane.isOpen);
}

/**
 * Does what a button or a form is for, once at a time, and says what went wrong.
 *
 * @param {HTMLButtonElement} by
 * @param {number} step
 * @param {() => Promise<void>} work
 */
async function act(by, step, work) {
  if (!isReady(by)) return tell(result(step), 'plain', by.dataset['first'] ?? '');
  if (by.ariaBusy === 'true') return;
  by.ariaBusy = 'true';
  try {
    await work();
  } catch (error) {
    tell(result(step), 'bad', ...explained(error));
  } finally {
    by.ariaBusy = 'false';
    refresh();
  }
}

/** @param {unknown} error */
function explained(error) {
  if (error instanceof Refusal) {
    if (error.status === 401 && error.code !== 'invalid_credentials') forgetToken();
    return [code(`${error.status || ''} ${error.code}`.trim()), ` ${error.message}`];
  }
  if (error instanceof Closed)
    return ['The handshake was refused: close ', code(`${error.code}`), error.reason && ` ${error.reason}`];
  return [error instanceof Error ? error.message : String(error)];
}

function forgetToken() {
  delete held.token;
  tell(result(1), 'bad', 'Logged out: log in again.');
}

/** @param {string} token */
function loggedIn(token) {
  const { sub, exp } = claimsOf(token);
  held.token = token;
  held.user = sub;
  const until = new Date(exp * 1000).toLocaleTimeString([], { timeStyle: 'short' });
  tell(result(1), 'good', 'You are ', make('b', sub), `, until ${until}.`);
  done(1);
}

/** A ticket that nobody looks at. */
const freshTicket = () => mint(held.token ?? '');

/**
 * @param {Pane} pane
 * @param {import('./broker.js').Minted} minted
 */
async function openPane(pane, minted) {
  const session = await pane.open(minted);
  pane.isAt(await nodeOf(minted.ticket));
  return session;
}

button('use-test-token').addEventListener('click', ({ currentTarget }) =>
  act(/** @type {HTMLButtonElement} */ (currentTarget), 1, async () => {
    chapter('1 · Log in');
    loggedIn(await testToken());
  }),
);

byId('log-in', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  const password = byId('password', HTMLInputElement);
  return act(button('log-in-button'), 1, async () => {
    chapter('1 · Log in');
    const name = byId('username', HTMLInputElement).value;
    if (!name || !password.value) throw new Refusal(0, 'incomplete', 'A user name and a password, please.');
    loggedIn(await logIn(name, password.value));
    password.value = '';
  });
});

button('get-ticket').addEventListener('click', ({ currentTarget }) =>
  act(/** @type {HTMLButtonElement} */ (currentTarget), 2, async () => {
    chapter('2 · Get a ticket');
    held.minted = await freshTicket();
    held.used = false;
    showTicket(held.minted, held.user ?? '');
    tell(result(2), 'good', `Good for one connection in the next ${held.minted.expires_in} seconds.`);
    for (const step of [3, 4]) result(step).replaceChildren();
    done(2);
  }),
);

connect.addEventListener('click', () =>
  act(connect, 3, async () => {
    const { minted } = held;
    if (!minted) return;
    chapter('3 · Connect');
    try {
      const session = await openPane(a, minted);
      held.used = true;
      stampTicket('used');
      const where = a.node ? [', on node ', code(a.node)] : [];
      tell(result(3), 'good', 'Open. Session ', code(session), ...where, '. It is socket A below.');
      done(3);
    } catch (error) {
      if (!(error instanceof Closed)) throw error;
      const { state } = await fateOf(minted.ticket);
      if (state !== 'unused') stampTicket(state === 'unknown' ? 'expired' : state);
      tell(result(3), 'bad', ...explained(error), '. ', reasons[state]);
    }
  }),
);

const reasons = {
  used: 'The ticket had been used.',
  revoked: 'The ticket had been taken back.',
  unknown: 'The ticket had expired. Get another.',
  unused:
    'The ticket is still good: this page’s origin is not allowed here, or this address has tried too often.',
};

replay.addEventListener('click', () =>
  act(replay, 4, async () => {
    const { minted } = held;
    if (!minted) return;
    chapter('4 · The same ticket again');
    const closed = await openSocket(minted, room).then(
      ({ socket }) => socket.close(),
      (error) => error,
    );
    if (!(closed instanceof Closed))
      throw closed ?? new Error('It opened a second socket, which must not happen.');
    const { state, session_id, node } = await fateOf(minted.ticket);
    tell(result(4), 'good', ...whatIsKnown(minted.ticket_id, closed, state, session_id, node));
    done(4);
  }),
);

/**
 * @param {string} ticketId
 * @param {Closed} closed
 * @param {import('./broker.js').Fate['state']} state
 * @param {string} [session]
 * @param {string} [node]
 */
function whatIsKnown(ticketId, closed, state, session, node) {
  const list = document.createElement('dl');
  list.className = 'known';
  list.append(
    make('dt', 'What a page can see'),
    closed.code === 1006
      ? make(
          'dd',
          'The socket closed with ',
          code('1006'),
          ' and no reason: browsers keep the answer to a handshake from scripts. It was ',
          code('401 invalid_ticket'),
          ', as the console and the network panel of your browser (F12) show.',
        )
      : make(
          'dd',
          'The socket closed with ',
          code(`${closed.code} ${closed.reason}`),
          ', as ',
          code('WS_REJECT=close'),
          ' has it.',
        ),
    make('dt', 'What the broker says, asked afterwards'),
    state === 'used' && session
      ? make(
          'dd',
          'Used, to open the session ',
          code(session),
          ...(node ? [' on node ', code(node)] : []),
          '.',
        )
      : make('dd', reasons[state]),
    make('dt', 'What it wrote in its log'),
    make(
      'dd',
      code(`"ticket_id":"${ticketId}"`),
      ' with ',
      code('"granted":false,"reason":"replayed"'),
      '. No log holds the ticket itself.',
    ),
  );
  const verdict = make(
    'p',
    make('b', 'Refused.'),
    a.isOpen ? ' The socket that the ticket had opened is still open.' : '',
  );
  return [verdict, list];
}

for (const pane of panes) {
  pane.toggle.addEventListener('click', () =>
    act(pane.toggle, 5, async () => {
      if (pane.isOpen) {
        pane.close();
        arrow('browser', 'ws', `close socket ${pane.name}`);
        return;
      }
      chapter(`Socket ${pane.name}, with a fresh ticket`);
      await openPane(pane, await freshTicket());
      whereTheyAre();
    }),
  );

  pane.form.addEventListener('submit', (event) => {
    event.preventDefault();
    const send = /** @type {HTMLButtonElement} */ (pane.form.querySelector('button'));
    return act(send, 5, async () => {
      const text = pane.input.value.trim();
      if (text === '') return;
      if (lastStep < 5) chapter('5 · Talk');
      arrow('browser', 'ws', `socket ${pane.name}: ${text.length} characters`);
      if (isShared) {
        arrow('ws', 'store', 'publish', 'behind');
        arrow('store', 'ws', 'to every node with somebody in the room', 'behind');
      }
      pane.say({ text, from: pane.name, page: pageId, at: performance.now() });
      pane.input.value = '';
      if (a.isOpen && b.isOpen) done(5);
    });
  });
}

function whereTheyAre() {
  if (!a.isOpen || !b.isOpen || !a.node || !b.node) return;
  if (a.node !== b.node) {
    tell(result(5), 'good', 'Two sockets on two nodes: what one says reaches the other through Redis.');
  } else if (isShared) {
    tell(
      result(5),
      'plain',
      'Both on the same node, as the balancer chose. Where there are several, connect one again to land on another.',
    );
  } else {
    tell(
      result(5),
      'plain',
      'One process holds both. With Redis behind them, each could be on any of many nodes.',
    );
  }
}

button('revoke').addEventListener('click', ({ currentTarget }) =>
  act(/** @type {HTMLButtonElement} */ (currentTarget), 6, async () => {
    chapter('6 · Revoke');
    const token = held.token ?? '';
    const ends = panes.filter((pane) => pane.isOpen).map((pane) => pane.whenEnded());
    const started = performance.now();
    await logOutEverywhere(token);
    const codes = await Promise.race([Promise.all(ends), lateAfter(5000)]);
    const took = Math.max(1, Math.round(performance.now() - started));
    // To show that it is refused, not to get a ticket.
    const refused = await mint(token).catch((error) => error);
    if (!(refused instanceof Refusal)) throw new Error('The token is still good, which must not be.');
    forgetToken();
    const closed = ['', 'The socket closed with ', 'Both sockets closed with '][codes.length] ?? '';
    const what = closed ? [closed, code([...new Set(codes)].join()), ` within ${took} ms, and the`] : ['The'];
    tell(result(6), 'good', ...what, ' token is refused: ', code(`${refused.status} ${refused.code}`), '.');
    done(6);
  }),
);

button('come-back').addEventListener('click', ({ currentTarget }) =>
  act(/** @type {HTMLButtonElement} */ (currentTarget), 7, async () => {
    chapter('7 · Come back');
    for (const pane of panes) await openPane(pane, await freshTicket());
    whereTheyAre();
    tell(result(7), 'good', 'Both are back, each with a ticket that it alone has used.');
    done(7);
  }),
);

/**
 * @param {number} ms
 * @returns {Promise<never>}
 */
function lateAfter(ms) {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error('The sockets are still open, which must not be.')), ms);
  });
}

/** @param {string} name */
function paneEvents(name) {
  return {
    onChange: () => queueMicrotask(refresh),
    /** @param {import('./pane.js').Message} message */
    onMessage({ payload: { from, page, at } }) {
      if (page !== pageId || from === name) return;
      const ms = Math.max(1, Math.round(performance.now() - at));
      arrow('ws', 'browser', `to socket ${name}, after ${ms} ms`);
    },
    /**
     * @param {number} closeCode
     * @param {string} reason
     */
    onEnd(closeCode, reason) {
      if (closeCode === 3003) arrow('store', 'ws', 'every node follows the feed', 'behind');
      arrow('ws', 'browser', `close ${closeCode} · socket ${name}${reason && ` · ${reason}`}`, 'refused');
    },
  };
}

done(0);
refresh();
