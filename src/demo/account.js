import { mint, Refusal } from './broker.js';
import { make, tell } from './elements.js';
import { explained } from './refused.js';
import { claimsOf } from './secrets.js';
import { act, done, reopen, resultOf } from './steps.js';

/** All that the page remembers of who is logged in: gone when it is left. @type {{ token?: string, user: string }} */
const account = { user: '' };

export const isLoggedIn = () => account.token !== undefined;
export const user = () => account.user;
export const token = () => account.token ?? '';

/** @param {string} token */
export function loggedIn(token) {
  const { sub, exp } = claimsOf(token);
  Object.assign(account, { token, user: sub });
  const until = new Date(exp * 1000).toLocaleTimeString([], { timeStyle: 'short' });
  tell(resultOf(1), 'good', 'You are ', make('b', sub), `, until ${until}.`);
  done(1);
}

export function loggedOut() {
  delete account.token;
  tell(resultOf(1), 'bad', 'Logged out: log in again.');
  reopen(1);
}

/** A ticket for whoever is logged in. */
export const freshTicket = () => mint(token());

/**
 * As `act`, for what needs a token: one that is refused is forgotten.
 *
 * @param {HTMLButtonElement} button
 * @param {number} step
 * @param {() => void | Promise<void>} work
 */
export function actLoggedIn(button, step, work) {
  return act(button, step, work, (error) => {
    if (error instanceof Refusal && error.status === 401) loggedOut();
    return explained(error);
  });
}
