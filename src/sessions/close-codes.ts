/** What the server closes sockets with: RFC 6455 7.4.1, and the IANA registry for 3000 and up. */
export const closeCodes = {
  /** The peer is silent, or the process stops: come back. */
  restarting: 1012,
  /** A message that is not JSON. */
  notJson: 1007,
  /** The session is over: get a new ticket. */
  sessionEnded: 3000,
} as const;
