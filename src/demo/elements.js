/**
 * The element of the page that has this id.
 *
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function byId(id, kind) {
  return one(document, `#${id}`, kind);
}

/**
 * @template {Element} T
 * @param {ParentNode} within
 * @param {string} selector
 * @param {new () => T} kind
 * @returns {T}
 */
export function one(within, selector, kind) {
  const found = within.querySelector(selector);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${selector}`);
}

/**
 * A new element, with text, never markup, in it.
 *
 * @param {string} tag
 * @param {...(string | Node)} content
 */
export function make(tag, ...content) {
  const element = document.createElement(tag);
  element.append(...content);
  return element;
}

/** @param {string} text */
export const code = (text) => make('code', text);

/**
 * Says how a step went, for eyes and screen readers alike.
 *
 * @param {HTMLElement} result
 * @param {'good' | 'bad' | 'plain'} kind
 * @param {...(string | Node)} content
 */
export function tell(result, kind, ...content) {
  result.dataset['kind'] = kind;
  result.replaceChildren(
    ...(content.some((node) => node instanceof HTMLElement && node.matches('p, dl'))
      ? content
      : [make('p', ...content)]),
  );
}

/**
 * Lets a button act, or say what has to be done first: it stays where the keyboard can reach it.
 *
 * @param {HTMLButtonElement} button
 * @param {boolean} ready
 */
export function setReady(button, ready) {
  button.setAttribute('aria-disabled', String(!ready));
}

/** @param {HTMLButtonElement} button */
export const isReady = (button) => button.getAttribute('aria-disabled') !== 'true';
