/** What no node may pass on: a client answers the first one with a fresh ticket, which is in the second one. */
export const betweenClientAndNode: readonly string[] = [
  '{"type":"session.expiring","expires_in":2}',
  `{"type":"session.refresh","ticket":"wst_${'A'.repeat(43)}"}`,
  '{ "type" : "\\u0073ession.refreshed" }',
  '{"type":"message","type":"welcome","sub":"mallory"}',
];
