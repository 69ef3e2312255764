import type { PasswordLogin } from './password-login.ts';
import { limitedRefusalsOf } from './refusal-schemas.ts';
import { Login, LoginAnswer } from './schemas.ts';
import type { App } from './type-provider.ts';

/** `POST /api/login`: a password for a token, in JSON. */
export function loginRoute(app: App, login: PasswordLogin): void {
  app.post(
    '/api/login',
    {
      schema: {
        operationId: 'login',
        summary: 'Log in with a user name and a password',
        tags: ['tokens'],
        body: Login,
        response: {
          200: LoginAnswer,
          ...limitedRefusalsOf(
            'invalid_credentials',
            'payload_too_large',
            'unsupported_media_type',
            'store_unavailable',
            'overloaded',
          ),
        },
      },
    },
    async (request, reply) => {
      const { username, password } = request.body;
      const { token, expires_in, refresh_token } = await login(request, reply, username, password);
      return { token, expires_in, refresh_token };
    },
  );
}
