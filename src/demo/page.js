import { actLoggedIn, freshTicket, isLoggedIn, loggedIn, loggedOut, token, user } from './account.js';
import { fateOf, logIn, logOutEverywhere, mint, Refusal, testToken } from './broker.js';
import { byId, code, make, setReady, tell } from './elements.js';
import { explained, known, reasons } from './refused.js';
import { chapter } from './sequence.js';
import { Closed, openSocket } from './socket.js';
import { act, done, resultOf } from './steps.js';
import { a, openElsewhere, openPane, panes, room } from './talk.js';
import { showTicket, stampTicket } from './ticket-card.js';

const button = (/** @type {string} */ id) => byId(id, HTMLButtonElement);
const useTestToken = button('use-test-token');
const getTicket = button('get-ticket');
const connect = button('connect');
const replay = button('replay');
const revoke = button('revoke');
const comeBack = button('come-back');

/** The ticket on the card, and whether it has opened its socket. @type {{ minted: import('./broker.js').Minted, used: boolean } | undefined} */
let card;

useTestToken.addEventListener('click', () =>
  act(
    useTestToken,
    1,
    async () => {
      chapter('1 · Log in');
      loggedIn(await testToken());
    },
    explained,
  ),
);

byId('log-in', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  const username = byId('username', HTMLInputElement);
  const password = byId('password', HTMLInputElement);
  const logInWith = async () => {
    if (!username.value || !password.value) throw new Error('A user name and a password, please.');
    chapter('1 · Log in');
    loggedIn(await logIn(username.value, password.value));
    password.value = '';
  };
  return act(button('log-in-button'), 1, logInWith, explained);
});

getTicket.addEventListener('click', () =>
  actLoggedIn(getTicket, 2, async () => {
    chapter('2 · Get a ticket');
    const minted = await freshTicket();
    card = { minted, used: false };
    showTicket(minted, user(), () => tell(resultOf(2), 'bad', 'It has expired, unused: get another.'));
    tell(resultOf(2), 'good', `Good for one connection, for ${minted.expires_in} seconds.`);
    for (const step of [3, 4]) resultOf(step).replaceChildren();
    done(2);
  }),
);

connect.addEventListener('click', () =>
  actLoggedIn(connect, 3, async () => {
    if (!card) return;
    const { minted } = card;
    chapter('3 · Connect');
    try {
      const session = await openPane(a, minted);
      card.used = true;
      stampTicket('used');
      resultOf(2).replaceChildren();
      const where = a.node ? [', on node ', code(a.node)] : [];
      tell(resultOf(3), 'good', 'Open: session ', code(session), ...where, '. It is socket A below.');
      done(3);
    } catch (error) {
      if (!(error instanceof Closed)) throw error;
      const { state } = await fateOf(minted.ticket);
      if (state !== 'unused') stampTicket(state === 'unknown' ? 'expired' : state);
      tell(resultOf(3), 'bad', ...explained(error), reasons[state]);
    }
  }),
);

replay.addEventListener('click', () =>
  actLoggedIn(replay, 4, async () => {
    if (!card) return;
    const { ticket, ticket_id } = card.minted;
    chapter('4 · The same ticket again');
    const refused = await openSocket(card.minted, room).catch((error) => error);
    if (!(refused instanceof Closed)) throw new Error('It has opened a second socket, which must not be.');
    const still = a.isOpen ? ' The socket that it opened the first time is still open.' : '';
    tell(
      resultOf(4),
      'good',
      make('p', make('b', 'Refused.'), still),
      known(ticket_id, refused, await fateOf(ticket)),
    );
    done(4);
  }),
);

revoke.addEventListener('click', () =>
  actLoggedIn(revoke, 6, async () => {
    chapter('6 · Revoke');
    const ends = panes.filter((pane) => pane.isOpen).map((pane) => pane.whenEnded());
    const started = performance.now();
    await logOutEverywhere(token());
    const codes = await Promise.race([Promise.all(ends), lateAfter(5000)]);
    const took = Math.max(1, Math.round(performance.now() - started));
    // To show that it is refused, not to get a ticket.
    const refused = await mint(token()).catch((error) => error);
    if (!(refused instanceof Refusal)) throw new Error('The token is still good, which must not be.');
    if (refused.status !== 401) throw refused;
    const closed = ['', 'The socket closed with ', 'Both sockets closed with '][codes.length] ?? '';
    const ended = closed
      ? [closed, code([...new Set(codes)].join()), ` within ${took} ms, and the`]
      : ['The'];
    tell(
      resultOf(6),
      'good',
      ...ended,
      ' token is refused: ',
      code(`${refused.status} ${refused.code}`),
      '.',
    );
    done(6);
    loggedOut();
  }),
);

comeBack.addEventListener('click', () =>
  actLoggedIn(comeBack, 7, async () => {
    chapter('7 · Come back');
    for (const pane of panes) await openElsewhere(pane);
    tell(resultOf(7), 'good', 'Both are back, each with a ticket that nobody had used.');
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

/** What can be done now. */
function showWhatIsReady() {
  setReady(connect, card !== undefined && !card.used);
  connect.dataset['first'] = card
    ? 'This ticket is used: try it again below, or get another.'
    : 'Get a ticket first.';
  setReady(replay, card?.used === true);
  for (const needsToken of [getTicket, revoke, comeBack]) setReady(needsToken, isLoggedIn());
  for (const pane of panes) setReady(pane.toggle, isLoggedIn() || pane.isOpen);
}

// Whatever has happened shows in the page, and nothing else changes what can be done.
new MutationObserver(showWhatIsReady).observe(document.body, {
  subtree: true,
  childList: true,
  attributeFilter: ['aria-busy'],
});
done(0);
showWhatIsReady();
