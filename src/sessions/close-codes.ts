/** What the server closes sockets with: RFC 6455 7.4.1, and the IANA registry for 3000 and up. */
export const closeCodes = {
  /** JSON of the wrong shape, or something that the session does not allow. */
  policy: 1008,
  /** The process stops: come back after the delay that the reason names, as JSON. */
  restarting: 1012,
  /** A message that is not JSON. */
  notJson: 1007,
  /** The session is over: get a new ticket. */
  sessionEnded: 3000,
  /** Revoked: do not come back. */
  revoked: 3003,
  /** A socket that was to show a ticket has shown none. */
  noTicketInTime: 3008,
} as const;
