import { masked } from './secrets.js';
import { arrow } from './sequence.js';

/** What the broker did not do, in its own words. */
export class Refusal extends Error {
  /**
   * @param {number} status 0: it did not answer
   * @param {string} code
   * @param {string} text
   */
  constructor(status, code, text) {
    super(text);
    this.status = status;
    this.code = code;
  }
}

/**
 * @typedef {object} Minted a ticket, and where it is to be used
 * @property {string} ticket
 * @property {string} ticket_id
 * @property {number} expires_in seconds
 * @property {string} url
 */

/**
 * @typedef {object} Fate what became of a ticket
 * @property {'unused' | 'used' | 'revoked' | 'unknown'} state
 * @property {string} [session_id]
 * @property {string} [node]
 */

const patience = 10_000;

/**
 * Calls the broker, and draws it.
 *
 * @param {string} method
 * @param {string} path
 * @param {object} details
 * @param {string} [details.token]
 * @param {object} [details.body]
 * @param {string} [details.carries] the request in words, without its secrets
 * @param {(answer: any) => string} [details.tells] the answer in words, without its secrets
 * @param {(answer: any) => void} [details.behind] draws what the broker has done meanwhile
 * @param {typeof arrow} [details.draw]
 * @returns {Promise<any>}
 * @throws {Refusal}
 */
async function call(method, path, details) {
  const { token, body, carries = '', tells = () => '', behind = () => {}, draw = arrow } = details;
  draw('browser', 'http', `${method} ${path}${carries && ` · ${carries}`}`);
  const started = performance.now();
  try {
    const response = await fetch(path, {
      method,
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      credentials: 'omit',
      signal: AbortSignal.timeout(patience),
    });
    const answer = response.status === 204 ? {} : await response.json();
    const took = `in ${Math.max(1, Math.round(performance.now() - started))} ms`;
    if (!response.ok) throw new Refusal(response.status, answer.error, answer.error_description);
    behind(answer);
    const told = tells(answer);
    draw('http', 'browser', `${response.status} ${took}${told && ` · ${told}`}`);
    return answer;
  } catch (error) {
    const refusal =
      error instanceof Refusal ? error : new Refusal(0, 'no answer', 'The broker does not answer.');
    draw('http', 'browser', `${refusal.status || ''} ${refusal.code}`.trim(), 'refused');
    throw refusal;
  }
}

/** @returns {Promise<string>} a token of the demo user */
export async function testToken() {
  const { test_token } = await call('GET', '/test-token', {
    tells: (answer) => `test_token: ${masked(answer.test_token)}`,
  });
  return test_token;
}

/**
 * @param {string} username
 * @param {string} password
 * @returns {Promise<string>} a token
 */
export async function logIn(username, password) {
  const { token } = await call('POST', '/api/login', {
    body: { username, password },
    carries: `username, password: ••••`,
    tells: (answer) => `token: ${masked(answer.token)}`,
  });
  return token;
}

/**
 * @param {string} token
 * @returns {Promise<Minted>}
 */
export function mint(token) {
  return call('POST', '/tickets', {
    token,
    carries: `Authorization: Bearer ${masked(token)}`,
    behind: ({ expires_in }) => arrow('http', 'store', `keep its record for ${expires_in} s`, 'behind'),
    tells: ({ ticket }) => `ticket: ${masked(ticket)}`,
  });
}

/**
 * @param {string} ticket
 * @returns {Promise<Fate>}
 */
export function fateOf(ticket) {
  return call('POST', '/demo/ticket', {
    body: { ticket },
    carries: 'what became of it?',
    behind: () => arrow('http', 'store', 'look', 'behind'),
    tells: ({ state, node }) => (node ? `${state}, on ${node}` : state),
  });
}

/**
 * Which node holds the socket that a ticket has opened. The page's own curiosity, so it is not drawn.
 *
 * @param {string} ticket
 * @returns {Promise<string | undefined>}
 */
export async function nodeOf(ticket) {
  // A node lists a session a moment after it has opened.
  for (const pause of [0, 100, 400]) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const answer = call('POST', '/demo/ticket', { body: { ticket }, draw: () => {} });
    const { node } = await answer.catch(() => ({ node: undefined }));
    if (node) return node;
  }
  return undefined;
}

/** @param {string} token */
export function logOutEverywhere(token) {
  return call('DELETE', '/sessions', {
    token,
    carries: `Authorization: Bearer ${masked(token)}`,
    behind: () => arrow('http', 'store', 'add it to the feed of revocations', 'behind'),
  });
}
