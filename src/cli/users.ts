import { Command, Option } from 'commander';
import { hashPassword } from '../credentials/passwords.ts';
import { listUsers, removeUser, setUser } from '../credentials/users-edit.ts';
import { examples } from './help.ts';
import { readSecret } from './input.ts';

interface UsersOptions {
  file: string;
}

export function usersCommand(): Command {
  return new Command('users')
    .description('edit the USERS_FILE; running brokers notice')
    .addHelpText(
      'after',
      examples(
        'ticket-broker users add alice --file users',
        'pass broker/alice | ticket-broker users add alice --password-stdin --file users',
        'ticket-broker users remove alice --file users',
      ),
    )
    .addCommand(
      new Command('add')
        .description('add a user, or give one a new password')
        .argument('<username>')
        .option('--password-stdin', 'read the password from standard input (also when it is not a terminal)')
        .addOption(fileOption())
        .action(async (username: string, { file }: UsersOptions) => {
          const password = await readSecret(`New password of ${username}: `);
          if (password === '') throw new Error('the password is empty');
          const existed = await setUser(file, username, await hashPassword(password));
          console.log(`${existed ? 'updated' : 'added'} ${username}`);
        }),
    )
    .addCommand(
      new Command('list')
        .description('list the user names')
        .addOption(fileOption())
        .action(async ({ file }: UsersOptions) => {
          for (const name of await listUsers(file)) console.log(name);
        }),
    )
    .addCommand(
      new Command('remove')
        .description('remove a user')
        .argument('<username>')
        .addOption(fileOption())
        .action(async (username: string, { file }: UsersOptions) => {
          if (!(await removeUser(file, username))) throw new Error(`there is no user ${username}`);
          console.log(`removed ${username}`);
        }),
    );
}

function fileOption(): Option {
  return new Option('--file <path>', 'htpasswd lines').env('USERS_FILE').makeOptionMandatory();
}
