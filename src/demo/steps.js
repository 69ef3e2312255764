import { byId, isReady, tell } from './elements.js';

let last = 0;

/**
 * Where a step says how it went.
 *
 * @param {number} step
 */
export const resultOf = (step) => byId(`result-${step}`, HTMLElement);

/**
 * What is to be done next stands out.
 *
 * @param {number} step that has just been done
 */
export function done(step) {
  last = Math.max(last, step);
  for (const [index, section] of document.querySelectorAll('.step').entries()) {
    const own = index + 1;
    if (!(section instanceof HTMLElement)) continue;
    section.dataset['progress'] = own <= last ? 'done' : own === last + 1 ? 'next' : 'later';
  }
}

/**
 * A step that has to be done again.
 *
 * @param {number} step
 */
export function reopen(step) {
  byId(`step-${step}`, HTMLElement).dataset['progress'] = 'next';
}

/** @param {number} step */
export const isDone = (step) => step <= last;

/**
 * Does what a button is for, once at a time. A button that is not ready says what has to be done first.
 *
 * @param {HTMLButtonElement} button
 * @param {number} step
 * @param {() => void | Promise<void>} work
 * @param {(error: unknown) => (string | Node)[]} explain
 */
export async function act(button, step, work, explain) {
  if (!isReady(button)) return tell(resultOf(step), 'plain', button.dataset['first'] ?? '');
  if (button.ariaBusy === 'true') return;
  button.ariaBusy = 'true';
  try {
    await work();
  } catch (error) {
    tell(resultOf(step), 'bad', ...explain(error));
  } finally {
    button.ariaBusy = 'false';
  }
}
