import { randomBytes } from 'node:crypto';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type Scope, scopes } from '../credentials/caller.ts';
import { addServiceKey, listServices, removeServiceKey } from '../credentials/service-keys-edit.ts';
import { examples } from './help.ts';

interface KeysOptions {
  file: string;
}

export function keysCommand(): Command {
  return new Command('keys')
    .description('edit the SERVICE_KEYS_FILE; running brokers notice')
    .addHelpText(
      'after',
      examples(
        'ticket-broker keys add backend --scope tickets:mint revoke --file service-keys > backend.key',
        'ticket-broker keys list --file service-keys',
        'ticket-broker keys remove backend --file service-keys',
      ),
    )
    .addCommand(
      new Command('add')
        .description('add a service, and print its key: once, for only its hash is kept')
        .argument('<name>', 'of the service, for the log')
        .addOption(
          new Option('--scope <scope...>', `what it may do: ${scopes.join(', ')}`)
            .argParser(scopesIn)
            .makeOptionMandatory(),
        )
        .addOption(fileOption())
        .addHelpText(
          'after',
          examples(
            'ticket-broker keys add backend --scope tickets:mint > backend.key',
            'ticket-broker keys add ops --scope revoke sessions:read > ops.key',
            'ticket-broker keys add chat-2027 --scope tickets:redeem   # then remove chat-2026: that rotates a key',
          ),
        )
        .action(async (name: string, { file, scope }: KeysOptions & { scope: Scope[] }) => {
          const key = await addServiceKey(file, name, scope, randomBytes);
          if (key === undefined) {
            throw new Error(`there is a service ${name}: remove it first, or give the new key another name`);
          }
          console.error(`added ${name} (${scope.join(', ')}); its key is not shown again:`);
          console.log(key);
        }),
    )
    .addCommand(
      new Command('list')
        .description('list the services with their scopes')
        .addOption(fileOption())
        .action(async ({ file }: KeysOptions) => {
          for (const service of await listServices(file)) {
            console.log(`${service.name}  ${[...service.scopes].join(',')}`);
          }
        }),
    )
    .addCommand(
      new Command('remove')
        .description('remove a service: its key is refused from then on')
        .argument('<name>')
        .addOption(fileOption())
        .action(async (name: string, { file }: KeysOptions) => {
          if (!(await removeServiceKey(file, name))) throw new Error(`there is no service ${name}`);
          console.log(`removed ${name}`);
        }),
    );
}

function scopesIn(text: string, before: Scope[] = []): Scope[] {
  const named = text.split(',').map((part) => part.trim());
  const unknown = named.find((scope) => !(scopes as readonly string[]).includes(scope));
  if (unknown !== undefined) throw new InvalidArgumentError(`The scopes are ${scopes.join(', ')}.`);
  return [...new Set([...before, ...(named as Scope[])])];
}

function fileOption(): Option {
  return new Option('--file <path>', 'lines of name:hash:scopes')
    .env('SERVICE_KEYS_FILE')
    .makeOptionMandatory();
}
