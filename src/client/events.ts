export interface Emitter<Events> {
  /** @returns what takes the listener off again */
  on<Name extends keyof Events & string>(name: Name, listener: (detail: Events[Name]) => void): () => void;
  emit<Name extends keyof Events & string>(name: Name, detail: Events[Name]): void;
}

/** Typed events on the platform's own EventTarget: what one listener throws reaches neither the others nor us. */
export function emitter<Events extends object>(): Emitter<Events> {
  const target = new EventTarget();
  return {
    on(name, listener) {
      const heard = (event: Event) => listener((event as CustomEvent).detail);
      target.addEventListener(name, heard);
      return () => target.removeEventListener(name, heard);
    },
    emit(name, detail) {
      target.dispatchEvent(new CustomEvent(name, { detail }));
    },
  };
}
