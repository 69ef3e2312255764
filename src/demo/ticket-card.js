import { byId, one } from './elements.js';
import { masked } from './secrets.js';

/** @typedef {import('./broker.js').Minted} Minted */

const card = byId('ticket', HTMLElement);
const ring = one(card, '.left', SVGElement);
const left = byId('ticket-left', HTMLElement);
const stamp = byId('ticket-stamp', HTMLElement);

/** @type {ReturnType<typeof setInterval> | undefined} */
let ticking;

/**
 * Shows a ticket, and how long it is still good for.
 *
 * @param {Minted} minted
 * @param {string} user
 * @param {() => void} onExpired
 */
export function showTicket({ ticket, ticket_id, expires_in }, user, onExpired) {
  const end = performance.now() + expires_in * 1000;
  byId('ticket-masked', HTMLElement).textContent = masked(ticket);
  byId('ticket-for', HTMLElement).textContent = user;
  byId('ticket-id', HTMLElement).textContent = ticket_id;
  card.hidden = false;
  card.dataset['state'] = 'good';
  stamp.textContent = '';
  const tick = () => {
    const seconds = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    left.textContent = `${seconds}`;
    // A second ahead, since the ring takes one to get there.
    ring.style.setProperty('stroke-dashoffset', String(100 - (100 * Math.max(0, seconds - 1)) / expires_in));
    if (seconds > 0) return;
    stampTicket('expired');
    onExpired();
  };
  clearInterval(ticking);
  ring.style.setProperty('stroke-dashoffset', '0');
  ticking = setInterval(tick, 250);
  left.textContent = `${expires_in}`;
}

/** @param {'used' | 'expired' | 'revoked'} what became of it */
export function stampTicket(what) {
  clearInterval(ticking);
  card.dataset['state'] = what;
  stamp.textContent = what;
}
