import { createElement, StrictMode, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { createTicketSocket, type Status, type TicketSocketOptions } from '../../src/client/client.ts';
import {
  type TicketWebSocket,
  type UseTicketWebSocketOptions,
  useTicketWebSocket,
} from '../../src/client/react.ts';

/** A component that uses the hook, inside a page. */
export interface Mounted {
  /** What the hook returned last. */
  current?: TicketWebSocket<{ type?: string }>;
  /** How often it has been rendered and mounted. */
  renders: number;
  mounts: number;
  render(url: string | undefined, options: UseTicketWebSocketOptions): void;
  unmount(): void;
}

/** A socket without React, inside a page. */
export interface Opened {
  statuses: Status[];
  welcomes: number;
}

/** What this script leaves in the page that runs it. */
export interface ClientPage {
  mounted: Mounted;
  opened: Opened;
  mount(url: string | undefined, options: UseTicketWebSocketOptions): void;
  open(options: TicketSocketOptions): void;
}

const page = globalThis as unknown as ClientPage & {
  document: { createElement(name: 'div'): Element };
};

page.mount = (url, options) => {
  const root = createRoot(page.document.createElement('div'));
  const mounted: Mounted = {
    renders: 0,
    mounts: 0,
    render(url, options) {
      root.render(createElement(StrictMode, null, createElement(Chat, { url, options })));
    },
    unmount: () => root.unmount(),
  };
  function Chat(props: { url: string | undefined; options: UseTicketWebSocketOptions }) {
    mounted.current = useTicketWebSocket(props.url, props.options);
    mounted.renders++;
    useEffect(() => {
      mounted.mounts++;
    }, []);
    return null;
  }
  page.mounted = mounted;
  mounted.render(url, options);
};

page.open = (options) => {
  const opened: Opened = { statuses: [], welcomes: 0 };
  const socket = createTicketSocket(options);
  socket.on('status', (status) => opened.statuses.push(status));
  socket.on('welcome', () => opened.welcomes++);
  page.opened = opened;
};
