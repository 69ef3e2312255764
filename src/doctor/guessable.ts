/** Of six letters or more: random text holds none of them. */
const typed =
  /secret|change|example|password|passwort|insecure|default|123456|abcdef|qwerty|placeholder|develop|tutorial|ticket|please|random/i;

/** Whether a secret looks like one of the world's examples, or has fewer bits of variety in it. */
export function isGuessable(secret: string, leastBits = 96): boolean {
  const counts = new Map<string, number>();
  for (const character of secret) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= count * Math.log2(count / secret.length);
  return typed.test(secret) || bits < leastBits;
}
