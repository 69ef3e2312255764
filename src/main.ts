#!/usr/bin/env node
import { Command } from 'commander';
import { connectCommand } from './cli/connect.ts';
import { serveCommand } from './cli/serve.ts';
import { ticketCommand } from './cli/ticket.ts';
import { tokenCommand } from './cli/token.ts';
import { usersCommand } from './cli/users.ts';

const program = new Command('ticket-broker')
  .description('Single-use tickets for WebSockets.')
  .showHelpAfterError()
  .addCommand(serveCommand())
  .addCommand(usersCommand())
  .addCommand(tokenCommand())
  .addCommand(ticketCommand())
  .addCommand(connectCommand());

try {
  await program.parseAsync();
} catch (error) {
  console.error(`ticket-broker: ${(error as Error).message}`);
  process.exitCode = 1;
}
