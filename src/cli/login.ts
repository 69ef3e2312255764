import type { Token } from '../client/client.ts';
import { callBroker, postJson, Refused } from './broker.ts';

/** `POST /api/login`. @throws Error saying what the broker said */
export function askForTokens(url: string, username: string, password: string) {
  return postJson<{ token: string; refresh_token: string }>(
    url,
    '/api/login',
    { username, password },
    ({ token, refresh_token }) => typeof token === 'string' && typeof refresh_token === 'string',
  );
}

/**
 * Logs in. The token that it comes to is renewed, with the refresh token of the login, whenever another one is asked for.
 *
 * @throws Error saying what the broker said
 */
export async function logIn(url: string, username: string, password: string): Promise<Token> {
  let { token, refresh_token } = await askForTokens(url, username, password);

  return async (occasion) => {
    if (occasion === 'connect') return token;
    try {
      const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token });
      const renewed = await callBroker<{ access_token: string; refresh_token: string }>(
        url,
        '/token',
        { method: 'POST', body },
        (answer) => typeof answer.access_token === 'string' && typeof answer.refresh_token === 'string',
      );
      token = renewed.access_token;
      refresh_token = renewed.refresh_token;
      return token;
    } catch (error) {
      // Anything but a refusal may be better the next time.
      if (error instanceof Refused && error.status === 401) return undefined;
      throw error;
    }
  };
}
