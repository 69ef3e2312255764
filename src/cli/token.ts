import { Command } from 'commander';
import { urlOption } from './broker.ts';
import { trustedCaOption } from './ca-option.ts';
import { examples } from './help.ts';
import { readSecret } from './input.ts';
import { askForTokens } from './login.ts';

export function tokenCommand(): Command {
  return new Command('token')
    .description('log in to a running broker and print a token; the password is read from standard input')
    .argument('<username>')
    .addOption(urlOption())
    .addOption(trustedCaOption())
    .addHelpText(
      'after',
      examples(
        'TOKEN=$(ticket-broker token alice)',
        'pass broker/alice | ticket-broker token alice --url https://broker.example',
      ),
    )
    .action(async (username: string, { url }: { url: string }) => {
      const password = await readSecret(`Password of ${username}: `);
      const { token } = await askForTokens(url, username, password);
      console.log(token);
    });
}
