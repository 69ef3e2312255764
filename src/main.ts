#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { endWithReader } from './cli/broken-pipe.ts';
import { connectCommand } from './cli/connect.ts';
import { doctorCommand } from './cli/doctor.ts';
import { keysCommand } from './cli/keys.ts';
import { printable } from './cli/printable.ts';
import { revokeCommand } from './cli/revoke.ts';
import { serveCommand } from './cli/serve-command.ts';
import { sessionsCommand } from './cli/sessions.ts';
import { ticketCommand } from './cli/ticket.ts';
import { tokenCommand } from './cli/token.ts';
import { usersCommand } from './cli/users.ts';
import { version } from './version.ts';

const program = new Command('ticket-broker')
  .description('Single-use tickets for WebSockets.')
  .version(version)
  .addHelpText('after', '\nExit status: 0 done, 1 refused or failed, 2 not understood.')
  .addCommand(serveCommand())
  .addCommand(usersCommand())
  .addCommand(keysCommand())
  .addCommand(tokenCommand())
  .addCommand(ticketCommand())
  .addCommand(connectCommand())
  .addCommand(revokeCommand())
  .addCommand(sessionsCommand())
  .addCommand(doctorCommand());

/** What commander does not hand down to commands that are added. */
function alike(command: Command): void {
  command.exitOverride().showHelpAfterError('(--help tells how it is used)');
  command.commands.forEach(alike);
}

// A broker goes on. Its log is written past process.stdout, whose mere use would make a pipe there non-blocking.
if (process.argv.slice(2).join() !== 'serve') endWithReader();
try {
  alike(program);
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    // Some of them tell what others have said.
    const lines = (error as Error).message.split('\n');
    console.error(`ticket-broker: ${lines.map(printable).join('\n')}`);
    process.exitCode = 1;
  }
}
