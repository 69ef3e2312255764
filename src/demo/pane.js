import { code, make, one, setReady } from './elements.js';
import { openSocket } from './socket.js';

/**
 * @typedef {import('./broker.js').Minted} Minted
 * @typedef {{ type: string, [field: string]: any }} Message
 */

/**
 * @typedef {object} PaneEvents
 * @property {(message: Message) => void} onMessage somebody said something in the room
 * @property {(code: number, reason: string) => void} onEnd the broker, or the network, has closed it
 */

const historyShown = 5;

/**
 * What others say need not look like what this page says.
 *
 * @param {Message} message
 */
const hasText = ({ payload }) => typeof payload?.text === 'string' && payload.text !== '';

/** One socket, with what it hears. */
export class Pane {
  /**
   * @param {HTMLElement} root
   * @param {string} room
   * @param {PaneEvents} events
   */
  constructor(root, room, events) {
    this.room = room;
    this.events = events;
    this.toggle = one(root, '.toggle', HTMLButtonElement);
    this.form = one(root, 'form', HTMLFormElement);
    this.input = one(root, 'input', HTMLInputElement);
    this.stateShown = one(root, '.state', HTMLElement);
    this.facts = one(root, '.facts', HTMLElement);
    this.messages = one(root, '.messages', HTMLElement);
    /** @type {WebSocket | undefined} */
    this.socket = undefined;
    /** @type {string | undefined} */
    this.node = undefined;
    this.show('closed');
  }

  get isOpen() {
    return this.socket !== undefined;
  }

  /**
   * @param {Minted} minted
   * @returns {Promise<string>} the session that it opened
   * @throws {import('./socket.js').Closed} when it is refused
   */
  async open(minted) {
    this.close();
    this.messages.replaceChildren();
    this.show('connecting');
    try {
      const { socket, session_id, username } = await openSocket(minted, this.room);
      this.socket = socket;
      this.sessionId = session_id;
      this.username = username;
      socket.addEventListener('message', ({ data }) => this.hear(JSON.parse(data)));
      socket.addEventListener('close', ({ code, reason }) => this.ended(socket, code, reason));
      this.show('open');
      socket.send(JSON.stringify({ type: 'join', room: this.room }));
      return session_id;
    } catch (error) {
      this.show('closed');
      throw error;
    }
  }

  close() {
    const { socket } = this;
    this.socket = undefined;
    this.node = undefined;
    socket?.close(1000);
    if (socket) this.note('Closed by this page.');
    this.show('closed');
  }

  /** @returns {Promise<number>} the code with which the socket that is open now ends */
  whenEnded() {
    return new Promise((resolve) => {
      this.socket?.addEventListener('close', ({ code }) => resolve(code), { once: true });
    });
  }

  /**
   * @param {string} sessionId
   * @param {string | undefined} node the process that holds it, where that is known
   */
  isAt(sessionId, node) {
    if (!this.isOpen || sessionId !== this.sessionId) return;
    this.node = node;
    this.show('open');
  }

  /** @param {object} payload */
  say(payload) {
    this.socket?.send(JSON.stringify({ type: 'message', room: this.room, payload }));
  }

  /** @param {Message} message */
  hear(message) {
    const { type, error } = message;
    if (type === 'joined') {
      const said = message['history'].filter(hasText).slice(-historyShown);
      for (const earlier of said) this.showMessage(earlier, 'earlier');
      this.note(`Joined. In the room: ${message['members'].join(', ')}.`);
    } else if (type === 'presence') {
      if (message['user'] !== this.username) this.note(`${message['user']} has ${message['status']}.`);
    } else if (type === 'error' && error === 'unknown_type') {
      this.note('This node runs no chat: its sockets open and close, but nobody hears what is said.');
    } else if (type === 'error') this.note(`${error}: ${message['error_description']}`);
    else if (hasText(message)) {
      this.showMessage(message);
      this.events.onMessage(message);
    }
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code
   * @param {string} reason
   */
  ended(socket, code, reason) {
    if (socket !== this.socket) return;
    this.socket = undefined;
    this.node = undefined;
    this.show('closed', code);
    this.note(`Closed with ${code}${reason && `: ${reason}`}.`);
    this.events.onEnd(code, reason);
  }

  /**
   * @param {'closed' | 'connecting' | 'open'} state
   * @param {number} [closeCode]
   */
  show(state, closeCode) {
    this.stateShown.textContent = closeCode ? `closed · ${closeCode}` : state;
    this.stateShown.dataset['state'] = state;
    this.toggle.textContent = state === 'open' ? 'Disconnect' : 'Connect with a new ticket';
    setReady(one(this.form, 'button', HTMLButtonElement), state === 'open');
    const facts =
      state === 'open'
        ? { node: this.node ?? '…', session: this.sessionId ?? '' }
        : { node: '–', session: '–' };
    this.facts.replaceChildren(
      ...Object.entries(facts).map(([name, value]) => make('div', make('dt', name), make('dd', code(value)))),
    );
  }

  /**
   * @param {Message} message
   * @param {string} [className]
   */
  showMessage({ user, payload, timestamp }, className = 'said') {
    const time = new Date(timestamp * 1000).toLocaleTimeString([], { timeStyle: 'short' });
    const who = make('b', typeof payload.from === 'string' ? `${user}, ${payload.from}` : `${user}`);
    const line = make('p', who, ` ${payload.text} `, make('small', time));
    line.className = className;
    this.add(line);
  }

  /** @param {string} text */
  note(text) {
    const line = make('p', text);
    line.className = 'note';
    this.add(line);
  }

  /** @param {HTMLElement} line */
  add(line) {
    this.messages.append(line);
    this.messages.scrollTop = this.messages.scrollHeight;
  }
}
