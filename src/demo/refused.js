import { Refusal } from './broker.js';
import { code, make } from './elements.js';
import { Closed } from './socket.js';

/** Why a ticket does not open a socket, by what became of it. */
export const reasons = {
  used: 'The ticket had been used.',
  revoked: 'The ticket had been taken back.',
  unknown: 'The ticket had expired: get another.',
  unused:
    'The ticket is still good: pages of this origin are not let in, or this address has tried too often.',
};

/**
 * @param {unknown} error
 * @returns {(string | Node)[]}
 */
export function explained(error) {
  if (error instanceof Refusal) {
    const { status, code: name, message } = error;
    return [code(status === 0 ? name : `${status} ${name}`), ` ${message}`];
  }
  if (error instanceof Closed) {
    return ['The handshake was refused: close ', code(`${error.code} ${error.reason}`.trim()), '. '];
  }
  return [error instanceof Error ? error.message : String(error)];
}

/**
 * All that is to be known of a ticket that was refused the second time, and from whom.
 *
 * @param {string} ticketId
 * @param {Closed} closed
 * @param {import('./broker.js').Fate} fate
 */
export function known(ticketId, closed, { state, session_id, node }) {
  const list = document.createElement('dl');
  list.className = 'known';
  list.append(
    make('dt', 'What a page can see'),
    make('dd', ...seenBy(closed)),
    make('dt', 'What the broker says, asked afterwards'),
    state === 'used' && session_id
      ? make('dd', 'Used, for session ', code(session_id), ...(node ? [' on node ', code(node)] : []), '.')
      : make('dd', reasons[state]),
    make('dt', 'What to look for in its log'),
    make('dd', 'The line with ', code(ticketId), ' and ', code('"reason":"replayed"'), '.'),
  );
  return list;
}

/** @param {Closed} closed */
function seenBy({ code: closeCode, reason }) {
  if (closeCode !== 1006) {
    return [
      'The socket closed with ',
      code(`${closeCode} ${reason}`),
      ', as ',
      code('WS_REJECT=close'),
      ' has it.',
    ];
  }
  return [
    'The socket closed with ',
    code('1006'),
    ' and no reason: browsers keep the answer to a handshake from scripts. Their network panel (F12) shows it: ',
    code('401 invalid_ticket'),
    ', or 429 after too many of these.',
  ];
}
