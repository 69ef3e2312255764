/** What begins as a ticket, a refresh token, a service key or a JWT does, and so may be one in the wrong place. */
export const mayBeSecret = /wst_|wsr_|wsk_|eyJ/;

/** Part of a pattern: what has the form of one, all of it or so much that nobody means anything else. */
export const secretForm =
  'ws[tk]_[A-Za-z0-9_-]{43}|wsr_[A-Za-z0-9_-]{22}\\.|eyJ[A-Za-z0-9_-]{1,128}\\.[A-Za-z0-9_-]{1,128}\\.';
