import { countedAs } from '../address.ts';
import type { TestToken } from '../credentials/test-token.ts';
import type { Decide, Facts } from '../decisions.ts';
import { clientAddress } from './client-address.ts';
import { limit } from './limits.ts';
import { limitedRefusalsOf } from './refusal-schemas.ts';
import { TestTokenAnswer } from './schemas.ts';
import type { App } from './type-provider.ts';

export interface TestTokenRouteOptions {
  testToken: () => Promise<TestToken>;
  decide: Decide;
  /** Tokens per address, a window. */
  loginLimit: number;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** `GET /test-token`: the demo only. A token of the demo user, without a password. */
export function testTokenRoute(app: App, options: TestTokenRouteOptions): void {
  const { testToken, decide, loginLimit, now } = options;
  const perAddress = limit(app, 'test_token_address', loginLimit);

  app.get(
    '/test-token',
    {
      schema: {
        operationId: 'testToken',
        summary: 'A token of the demo user, for whoever asks',
        description: 'Where the demo is on (the variable `DEMO`); 404 elsewhere. Limited as logins are.',
        tags: ['tokens'],
        response: {
          200: TestTokenAnswer,
          ...limitedRefusalsOf('not_found', 'store_unavailable'),
        },
      },
    },
    async (request, reply) => {
      const address = clientAddress(request);
      const facts: Facts = { decision: 'login', ip: address, via: 'test-token' };
      return decide(request.log, facts, async () => {
        await perAddress(request, reply, countedAs(address));
        const issued = await testToken();
        facts.sub = issued.sub;
        return { test_token: issued.token, note: noteOn(issued, now()) };
      });
    },
  );
}

function noteOn({ sub, expires_in, rooms }: TestToken, nowMs: number): string {
  const until = new Date(nowMs + expires_in * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
  const where = rooms ? `, in the room ${rooms.join(', ')} only` : '';
  return `This token is for testing only. It is valid for the user ${sub}${where}, until ${until}.`;
}
