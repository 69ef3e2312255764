import { masked } from './secrets.js';
import { arrow } from './sequence.js';

/** @typedef {import('./broker.js').Minted} Minted */

/** A socket that closed, and all that a page can know of it. */
export class Closed extends Error {
  /**
   * @param {number} code
   * @param {string} reason
   */
  constructor(code, reason) {
    super(reason);
    this.code = code;
    this.reason = reason;
  }
}

const patience = 10_000;

/**
 * Opens a socket with a ticket, as a subprotocol: not in its URL, which others may keep.
 *
 * @param {Minted} minted
 * @param {string} room
 * @returns {Promise<{ socket: WebSocket, session_id: string, username: string }>}
 * @throws {Closed} when it is refused
 */
export function openSocket({ ticket, url }, room) {
  const address = new URL(url);
  address.searchParams.delete('ticket');
  address.searchParams.set('room', room);
  arrow('browser', 'ws', `GET ${address.pathname}${address.search} · ticket.${masked(ticket)}`);
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address, ['chat', `ticket.${ticket}`]);
    const late = setTimeout(() => socket.close(), patience);
    const onClose = (/** @type {CloseEvent} */ { code, reason }) => {
      clearTimeout(late);
      arrow('ws', 'browser', `refused · close ${code}${reason && ` ${reason}`}`, 'refused');
      reject(new Closed(code, reason));
    };
    socket.addEventListener('close', onClose);
    socket.addEventListener(
      'message',
      ({ data }) => {
        clearTimeout(late);
        socket.removeEventListener('close', onClose);
        const { session_id, username } = JSON.parse(data);
        const took = `in ${Math.max(1, Math.round(performance.now() - started))} ms`;
        arrow('ws', 'store', 'take the record out, leave “used”', 'behind');
        arrow('ws', 'browser', `101 ${took} · welcome`);
        resolve({ socket, session_id, username });
      },
      { once: true },
    );
  });
}
