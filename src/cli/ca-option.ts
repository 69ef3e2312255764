import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setDefaultCACertificates } from 'node:tls';
import { InvalidArgumentError, Option } from 'commander';

/** Who vouches for the certificate at `--url`, instead of those that Node trusts. Its value is PEM. */
export function caOption(): Option {
  return new Option('--ca <file>', 'PEM of the authority that signed the certificate at --url').argParser(
    pemIn,
  );
}

/** The same, for every connection of this process: for the commands that talk to nobody but the broker. */
export function trustedCaOption(): Option {
  return caOption().argParser((path) => setDefaultCACertificates([pemIn(path)]));
}

function pemIn(path: string): string {
  const pem = contentOf(path);
  try {
    new X509Certificate(pem);
    return pem;
  } catch {
    throw new InvalidArgumentError('It holds no certificate in PEM.');
  }
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new InvalidArgumentError(`It cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}
