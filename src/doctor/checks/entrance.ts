import { type ConnectionOptions, connect } from 'node:tls';
import { type Door, hostOf, portOf, Unreachable } from '../door.ts';
import { type Finding, fault, notice, ok, skipped, warning } from '../finding.ts';
import { isPublicHost } from '../public-host.ts';

const id = 'url';
const day = 86_400_000;

/** Whether anybody is at home at `--url`. Without an `ok` there is no use in asking more there. */
export async function checkEntrance(door: Door): Promise<Finding> {
  const { origin } = door.url;
  try {
    const { status, headers } = await door.ask('/healthz');
    if (status >= 300 && status < 400) {
      const { location = '' } = headers;
      const there = URL.canParse(location, origin) ? new URL(location, origin).origin : 'somewhere else';
      return fault(id, `${origin} sends visitors to ${there}.`, `Ask there: --url ${there}`);
    }
    if (status >= 500) {
      return fault(id, `${origin} answers ${status}.`, 'See whether the proxy reaches its nodes.');
    }
    return ok(id, `${origin} answers.`);
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    const untrusted = /CERT|ALTNAME|SELF_SIGNED|UNABLE_TO/.test(error.reason);
    return fault(
      id,
      `${origin} cannot be reached: ${error.reason}.`,
      untrusted
        ? 'See `certificate`; if the authority is your own, name it: --ca FILE.'
        : 'See whether it is up, and whether a firewall lets this machine through.',
    );
  }
}

/** Whether what is said at `--url` can be overheard, and how long its certificate lasts. */
export async function checkTls(door: Door, now: () => number, insecure: boolean): Promise<Finding> {
  const { url } = door;
  if (url.protocol === 'http:') {
    if (!isPublicHost(hostOf(url))) return ok('certificate', `${url.host} is no public host; no TLS.`);
    return fault(
      'certificate',
      `${url.origin} is http: passwords, tokens and tickets cross the world in clear.`,
      'End TLS in your proxy, and let clients use https:// and wss:// only.',
    );
  }
  const shown = await certificateOf(door);
  if (typeof shown === 'string') return skipped('certificate', `No certificate was shown: ${shown}.`);
  const left = Math.floor((Date.parse(shown.validTo) - now()) / day);
  if (left < 0) {
    return fault('certificate', `The certificate of ${url.host} has expired.`, 'Renew it.');
  }
  if (shown.distrust !== undefined && insecure) {
    return notice(
      'certificate',
      `The certificate of ${url.host} is not trusted here (${shown.distrust}), and --insecure went on.`,
      'Name its authority instead: --ca FILE.',
    );
  }
  if (shown.distrust !== undefined) {
    return fault(
      'certificate',
      `The certificate of ${url.host} is not trusted here: ${shown.distrust}.`,
      'Clients will refuse it, too, unless they know its authority; if it is your own, name it: --ca FILE.',
    );
  }
  if (left < 14) {
    return warning(
      'certificate',
      `The certificate of ${url.host} expires in ${left} days.`,
      'Renew it, and see why that does not happen by itself.',
    );
  }
  return ok('certificate', `The certificate of ${url.host} is good for ${left} days.`);
}

interface Shown {
  validTo: string;
  /** Why it is not trusted. */
  distrust: string | undefined;
}

/** @returns a text where there was none: why */
function certificateOf({ url, how }: Door): Promise<Shown | string> {
  const host = hostOf(url);
  const options: ConnectionOptions & { localAddress?: string } = {
    ...how,
    host,
    port: portOf(url),
    ...(/[a-z]/i.test(host) && { servername: host }),
    rejectUnauthorized: false,
  };
  const socket = connect(options);
  return new Promise<Shown | string>((resolve) => {
    socket.setTimeout(5000, () => resolve('timeout'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.name));
    socket.on('secureConnect', () => {
      const { authorizationError } = socket;
      resolve({
        validTo: socket.getPeerCertificate().valid_to,
        distrust: socket.authorized
          ? undefined
          : ((authorizationError as NodeJS.ErrnoException).code ?? String(authorizationError)),
      });
    });
  }).finally(() => socket.destroy());
}
