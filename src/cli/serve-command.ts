import { Command } from 'commander';
import { environmentHelp } from './environment-help.ts';
import { examples } from './help.ts';

export function serveCommand(): Command {
  return (
    new Command('serve')
      .description('run the broker; configured by the environment')
      .addHelpText(
        'after',
        examples(
          'ticket-broker serve',
          'REDIS_URL=redis://redis:6379 JWT_SECRET_FILE=/run/secrets/jwt USERS_FILE=users ticket-broker serve',
        ),
      )
      .addHelpText('after', environmentHelp)
      // Loaded when it is needed: no other command waits for a server that it does not start.
      .action(async () => (await import('./serve.ts')).serve())
  );
}
