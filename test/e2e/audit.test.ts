import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import type { AuditLine } from '../../src/audit/line.ts';
import { hashPassword } from '../../src/credentials/passwords.ts';
import { auditLines, readAudit } from '../support/audit.ts';
import {
  type BrokerProcess,
  type Minted,
  password,
  secretsIn,
  sharedStore,
  startBroker,
} from '../support/broker-process.ts';
import { until } from '../support/e2e-until.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';

const keys = serviceKeysFile({
  backend: 'tickets:mint,revoke,sessions:read',
  node: 'tickets:redeem',
});
const bearer = (credential: string) => ({ authorization: `Bearer ${credential}` });
const origin = 'https://app.example';
const uuid = expect.stringMatching(/^[0-9a-f-]{36}$/);

const folder = mkdtempSync(join(tmpdir(), 'audit-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Open {
  socket: WebSocket;
  session_id: string;
  closed: Promise<number>;
}

async function open(at: BrokerProcess, path: string, headers = {}, first?: object): Promise<Open> {
  const socket = new WebSocket(`${at.url.replace('http', 'ws')}${path}`, { headers });
  const closed = once(socket, 'close').then(([code]) => code as number);
  if (first) {
    await once(socket, 'open');
    socket.send(JSON.stringify(first));
  }
  const [message] = await once(socket, 'message');
  return { socket, session_id: JSON.parse(String(message)).session_id, closed };
}

async function refused(at: BrokerProcess, path: string, headers = {}): Promise<void> {
  const socket = new WebSocket(`${at.url.replace('http', 'ws')}${path}`, { headers });
  await once(socket, 'error');
}

async function call(at: BrokerProcess, method: string, path: string, headers = {}, body?: object) {
  const init = { method, headers: { ...headers, ...(body && { 'content-type': 'application/json' }) } };
  const response = await fetch(`${at.url}${path}`, { ...init, ...(body && { body: JSON.stringify(body) }) });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
}

describe('two nodes keep an audit each', () => {
  const files = [join(folder, 'a.log'), join(folder, 'b.log')] as const;
  const usersFile = join(folder, 'users');
  /** All that must never be in it, besides what `secretsIn` knows. */
  const secrets = new Set<string>([keyOf('backend'), keyOf('node'), 'typed-into-the-wrong-field']);
  let a: BrokerProcess;
  let b: BrokerProcess;

  const lines = () => files.flatMap(readAudit);
  const entered = (line: Record<string, unknown>) =>
    expect.poll(lines).toContainEqual(expect.objectContaining(line));
  const writeUsers = async (...names: string[]) => {
    const hash = await hashPassword(password);
    // In one go: whoever is not in a file that is still being written would be removed.
    writeFileSync(`${usersFile}.new`, names.map((name) => `${name}:${hash}\n`).join(''));
    renameSync(`${usersFile}.new`, usersFile);
  };
  const ticketFor = async (sub: string, more: object = {}): Promise<Minted> => {
    const { body } = await call(a, 'POST', '/tickets', bearer(keyOf('backend')), { sub, ...more });
    secrets.add(body.ticket);
    return body;
  };
  const logIn = async (username: string, at = a) => {
    const { body } = await call(at, 'POST', '/api/login', {}, { username, password });
    for (const secret of [body.token, body.refresh_token]) if (secret) secrets.add(secret);
    return body as { token: string; refresh_token: string };
  };
  const listed = async (sub: string, session_id: string) =>
    until(async () => {
      const { body } = await call(b, 'GET', `/sessions?sub=${sub}`, bearer(keyOf('backend')));
      return body.sessions.some((session: { session_id: string }) => session.session_id === session_id);
    }, 'the session is listed');
  const revoke = (body: object, at = b) => call(at, 'POST', '/revocations', bearer(keyOf('backend')), body);

  beforeAll(async () => {
    await writeUsers('alice', 'dora');
    const env = {
      ...sharedStore(inject('redisUrl')),
      USERS_FILE: usersFile,
      SERVICE_KEYS_FILE: keys,
      ATTEMPT_LIMIT: '0',
      WS_ACCEPT: 'ticket,bearer,token,message',
      WS_AUDIENCE: 'chat',
      ALLOWED_ORIGINS: origin,
      ON_REPLAY: 'log',
    };
    [a, b] = await Promise.all([
      startBroker({ ...env, AUDIT_LOG: files[0] }),
      startBroker({ ...env, AUDIT_LOG: files[1] }),
    ]);
    const ready = (at: BrokerProcess) => async () => (await fetch(`${at.url}/readyz`)).ok;
    await Promise.all([a, b].map((at) => until(ready(at), 'the broker is ready')));
  });
  afterAll(() => Promise.all([a?.stop(), b?.stop()]));

  test('of logins, without what was typed where it was wrong', async () => {
    await logIn('alice');
    await call(a, 'POST', '/api/login', {}, { username: 'typed-into-the-wrong-field', password: 'x' });
    await entered({ event: 'login', granted: true, reason: 'ok', sub: 'alice', ip: '127.0.0.1' });
    await entered({ event: 'login', granted: false, reason: 'invalid_credentials' });
  });

  test('of refreshes', async () => {
    const refresh = (token: string) =>
      fetch(`${a.url}/token`, {
        method: 'POST',
        body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }),
      });
    const { refresh_token } = await logIn('alice');
    secrets.add(((await (await refresh(refresh_token)).json()) as { refresh_token: string }).refresh_token);
    await refresh('wsr_nonsense');
    await entered({ event: 'refresh', granted: true, sub: 'alice' });
    await entered({ event: 'refresh', granted: false, reason: 'unknown_refresh_token' });
  });

  test('of mints, by whom and for whom', async () => {
    const { token } = await logIn('alice');
    const { body } = await call(a, 'POST', '/tickets', bearer(token));
    secrets.add(body.ticket);
    const { ticket_id } = await ticketFor('u-1077', { username: 'Bob', aud: 'chat' });
    await call(a, 'POST', '/tickets', bearer('a-key-that-nobody-has'));
    secrets.add('a-key-that-nobody-has');
    await entered({ event: 'mint', granted: true, sub: 'alice', ticket_id: body.ticket_id });
    const byService = {
      event: 'mint',
      sub: 'u-1077',
      username: 'Bob',
      key: 'backend',
      aud: 'chat',
      ticket_id,
    };
    await entered({ ...byService, granted: true });
    await entered({ event: 'mint', granted: false, reason: 'unknown_credential' });
  });

  test('of every way in', async () => {
    const { token } = await logIn('alice');
    const carried = await ticketFor('alice');
    const shown = await ticketFor('alice');
    const bySocket = { event: 'redeem', granted: true, reason: 'ok', sub: 'alice', aud: 'chat' };
    const opened = [
      await open(a, `/ws?ticket=${carried.ticket}&room=lobby`, { origin }),
      await open(a, '/ws', bearer(token)),
      await open(a, `/ws?token=${token}`),
      await open(a, '/ws', {}, { type: 'ticket_authenticate', ticket: shown.ticket }),
    ] as const;
    const [ws, header, query, message] = opened.map(({ session_id }) => session_id);
    const { ticket_id } = carried;
    const exp = expect.any(Number);
    await entered({ ...bySocket, via: 'ws', origin, room: 'lobby', ticket_id, session_id: ws, exp });
    await entered({ ...bySocket, via: 'bearer', session_id: header, exp });
    await entered({ ...bySocket, via: 'token', session_id: query, exp });
    await entered({ ...bySocket, via: 'message', ticket_id: shown.ticket_id, session_id: message, exp });
    for (const { socket, closed } of opened) {
      socket.close(1000, 'a word of the peer');
      await closed;
    }
    await entered({ event: 'session_end', session_id: ws, via: 'ws', code: 1000, ended_by: 'peer' });

    const asked = await ticketFor('alice');
    const body = { ticket: asked.ticket, aud: 'mail', room: 'lobby', origin, ip: '192.0.2.7' };
    const { body: answer } = await call(a, 'POST', '/tickets/redeem', bearer(keyOf('node')), body);
    await entered({
      ...{ event: 'redeem', granted: true, via: 'redeem', key: 'node', ip: '192.0.2.7', aud: 'mail' },
      ...{
        origin,
        room: 'lobby',
        ticket_id: asked.ticket_id,
        session_id: answer.session_id,
        exp: answer.exp,
      },
    });
    const proxied = await ticketFor('alice');
    await call(a, 'GET', `/verify?ticket=${proxied.ticket}&room=den`);
    await entered({
      event: 'redeem',
      granted: true,
      via: 'verify',
      ticket_id: proxied.ticket_id,
      room: 'den',
    });
  });

  test('of refusals, and what they were about', async () => {
    const { ticket, ticket_id } = await ticketFor('alice', { rooms: ['lobby'] });
    await refused(b, `/ws?ticket=${ticket}&room=den`);
    await entered({ event: 'redeem', granted: false, reason: 'room_forbidden', room: 'den', ticket_id });
    const { session_id, socket } = await open(a, `/ws?ticket=${ticket}`);
    await refused(b, `/ws?ticket=${ticket}`);
    await entered({ event: 'redeem', granted: false, reason: 'replayed', ticket_id, session_id });
    socket.close();
    await refused(b, '/ws?ticket=nonsense', { origin: 'https://evil.example' });
    await entered({
      event: 'redeem',
      granted: false,
      reason: 'origin_forbidden',
      origin: 'https://evil.example',
    });
    await refused(b, '/ws', bearer('a-key-that-nobody-has'));
    await entered({ event: 'redeem', granted: false, via: 'bearer', reason: 'unknown_credential' });
    const silent = new WebSocket(`${a.url.replace('http', 'ws')}/ws`);
    await once(silent, 'open');
    silent.send('{"type":"other"}');
    await once(silent, 'close');
    await entered({ event: 'redeem', granted: false, via: 'message', reason: 'no_ticket_in_message' });
  });

  test('of a chat node that tells no address, and of users who would be a service', async () => {
    const { ticket, ticket_id } = await ticketFor('alice');
    await call(a, 'POST', '/tickets/redeem', bearer(keyOf('node')), { ticket });
    await entered({ event: 'redeem', granted: true, via: 'redeem', key: 'node', ip: 'unknown', ticket_id });

    const { token } = await logIn('alice');
    const tried = { granted: false, reason: 'insufficient_scope', sub: 'alice', ip: '127.0.0.1' };
    await call(a, 'POST', '/tickets/redeem', bearer(token), { ticket, ip: '192.0.2.7' });
    await entered({ event: 'redeem', via: 'redeem', ...tried });
    await call(b, 'POST', '/revocations', bearer(token), { sub: 'bob' });
    await entered({ event: 'revoke', by: 'user', ...tried });
  });

  test('with no secret in the wrong place', async () => {
    const { ticket } = await ticketFor('alice', { rooms: [] });
    const { token } = await logIn('alice');
    await refused(a, `/ws?ticket=${ticket}&room=${ticket}`, { origin });
    await refused(a, `/ws?ticket=${ticket}&room=x`, { origin: `${origin}/?ticket=${ticket}` });
    await refused(a, `/ws?ticket=${ticket}&room=${token.slice(0, 100)}`);
    await call(a, 'GET', `/verify?aud=${ticket}&ticket=${ticket}`);
    secrets.add(token.slice(0, 100));
    await entered({ event: 'redeem', via: 'verify', aud: 'chat' });
    await call(a, 'POST', '/tickets/revoke', {}, { ticket });
    await entered({ event: 'revoke', by: 'holder', granted: true, reason: 'used' });
  });

  test('of tickets on open sockets', async () => {
    const first = await ticketFor('alice');
    const { socket, session_id, closed } = await open(a, `/ws?ticket=${first.ticket}&room=lobby`);
    const renew = async (ticket: string) => {
      socket.send(JSON.stringify({ type: 'session.refresh', ticket }));
      return JSON.parse(String((await once(socket, 'message'))[0])).type as string;
    };
    const fresh = await ticketFor('alice');
    const about = { event: 'refresh_session', session_id, sub: 'alice', room: 'lobby', aud: 'chat' };
    expect(await renew(fresh.ticket)).toBe('session.refreshed');
    await entered({ ...about, granted: true, ticket_id: fresh.ticket_id, exp: expect.any(Number) });
    expect(await renew(first.ticket)).toBe('error');
    await entered({ ...about, granted: false, reason: 'replayed', ticket_id: first.ticket_id });
    const foreign = await ticketFor('bob');
    socket.send(JSON.stringify({ type: 'session.refresh', ticket: foreign.ticket }));
    expect(await closed).toBe(1008);
    await entered({ ...about, granted: false, reason: 'another_subject', ticket_id: foreign.ticket_id });
    await entered({
      ...{ event: 'session_end', session_id, ticket_id: fresh.ticket_id, sub: 'alice', ip: '127.0.0.1' },
      ...{ code: 1008, ended_by: 'node', reason: 'another subject', duration: expect.any(Number) },
    });
  });

  test('of revocations, and of the ends that they led to on another node', async () => {
    const { ticket, ticket_id } = await ticketFor('bob');
    const { session_id, closed } = await open(a, `/ws?ticket=${ticket}`);
    await listed('bob', session_id);
    expect((await revoke({ sub: 'bob', reason: 'left the company' })).body.sessions).toBe(1);
    expect(await closed).toBe(3003);
    const revocation = { event: 'revoke', granted: true, by: 'service', key: 'backend', target: 'sub' };
    const issued_before = expect.any(Number);
    await entered({ ...revocation, sub: 'bob', issued_before, because: 'left the company', rid: uuid });
    await entered({ event: 'session_end', session_id });
    const made = lines().filter((line) => line.event === 'revoke' && line.sub === 'bob');
    const end = lines().find((line) => line.event === 'session_end' && line.session_id === session_id);
    expect(end).toMatchObject({ ticket_id, code: 3003, ended_by: 'revocation', reason: 'left the company' });
    expect(made.map((line) => 'rid' in line && line.rid)).toContain(end && 'rid' in end && end.rid);
    await call(b, 'POST', '/revocations', bearer(keyOf('node')), { sub: 'bob' });
    await entered({ event: 'revoke', granted: false, reason: 'insufficient_scope', key: 'node' });
  });

  test('of one session, ended by its user or by a service, and of a ticket that is spent', async () => {
    const { token } = await logIn('alice');
    const opened = async () => {
      const { ticket, ticket_id } = await ticketFor('alice');
      return { ticket_id, ...(await open(a, `/ws?ticket=${ticket}`)) };
    };
    const own = await opened();
    await listed('alice', own.session_id);
    await call(b, 'DELETE', `/sessions/${own.session_id}`, bearer(token));
    expect(await own.closed).toBe(3003);
    const ended = {
      event: 'revoke',
      granted: true,
      target: 'session_id',
      rid: uuid,
      because: 'session ended',
    };
    await entered({ ...ended, by: 'user', sub: 'alice', session_id: own.session_id });

    const spent = await opened();
    await revoke({ ticket_id: spent.ticket_id });
    expect(await spent.closed).toBe(3003);
    const { ticket_id, session_id } = spent;
    await entered({ event: 'revoke', by: 'service', target: 'ticket_id', ticket_id, session_id, rid: uuid });

    const unused = await ticketFor('alice');
    await call(a, 'DELETE', `/tickets/${unused.ticket_id}`, bearer(token));
    const taken = { event: 'revoke', by: 'user', sub: 'alice', target: 'ticket_id', reason: 'revoked' };
    await entered({ ...taken, ticket_id: unused.ticket_id });
    await call(a, 'DELETE', '/sessions', bearer(token));
    await entered({ event: 'revoke', by: 'user', sub: 'alice', target: 'sub', rid: uuid });
  });

  test('of what the broker revokes on its own', async () => {
    await logIn('dora');
    await writeUsers('alice');
    const about = { event: 'revoke', granted: true, by: 'broker', target: 'sub', sub: 'dora', rid: uuid };
    await entered({ ...about, because: 'user removed', sessions: 0 });
  });

  test('that jq can ask who was let in where, and who ended it', async () => {
    const { ticket, ticket_id } = await ticketFor('carol', { username: 'Carol' });
    const { session_id, closed } = await open(b, `/ws?ticket=${ticket}&room=lobby`);
    await listed('carol', session_id);
    await revoke({ session_id, reason: 'spam' }, a);
    await closed;
    await entered({ event: 'session_end', session_id });
    const [, program = ''] =
      /```sh\njq -s '\n(.*?)' audit-\*\.log\n```/s.exec(readFileSync('docs/audit.md', 'utf8')) ?? [];
    const told = execFileSync('jq', ['-s', '-c', program, ...files], { encoding: 'utf8' });
    const stays = told
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    const { node } = lines().find(
      (line) => 'ticket_id' in line && line.ticket_id === ticket_id && line.event === 'redeem',
    ) as AuditLine;
    expect(stays.find((stay) => stay.session_id === session_id)).toEqual({
      ...{ sub: 'carol', node, room: 'lobby', ip: '127.0.0.1', via: 'ws', ticket_id, session_id },
      ...{ minted_from: '127.0.0.1', since: expect.any(String), until: expect.any(String) },
      ...{ ended_by: 'revocation', code: 3003, revoked_by: 'backend', because: 'spam' },
    });
    expect(stays.filter(({ ended_by }) => ended_by === 'peer').length).toBeGreaterThan(0);
  });

  test('that begins anew on SIGHUP', async () => {
    const moved = `${files[0]}.1`;
    renameSync(files[0], moved);
    process.kill(a.pid, 'SIGHUP');
    await until(() => existsSync(files[0]), 'the file is there again');
    await logIn('alice');
    await expect.poll(() => readAudit(files[0]).at(-1)).toMatchObject({ event: 'login', sub: 'alice' });
    writeFileSync(files[0], readFileSync(moved, 'utf8') + readFileSync(files[0], 'utf8'));
  });

  test('in which a node that stops says so, and nowhere is a secret', async () => {
    const { ticket } = await ticketFor('erin');
    const { session_id, closed } = await open(b, `/ws?ticket=${ticket}`);
    await Promise.all([a.stop(), b.stop()]);
    expect(await closed).toBe(1012);
    await entered({ event: 'session_end', session_id, sub: 'erin', code: 1012, ended_by: 'node' });

    for (const file of files) {
      const text = readFileSync(file, 'utf8');
      expect(secretsIn(text)).toEqual([]);
      expect([...secrets].filter((secret) => text.includes(secret))).toEqual([]);
      expect(text).not.toMatch(/wsr_|a word of the peer|[?&]ticket=/);
    }
    expect(secrets.size).toBeGreaterThan(20);
    expect(new Set(lines().map(({ event }) => event)).size).toBe(7);
  });
});

describe('AUDIT_LOG', () => {
  const logIn = (at: BrokerProcess) => call(at, 'POST', '/api/login', {}, { username: 'alice', password });

  test.each(['stdout', 'stderr'])('%s is where the lines go', async (where) => {
    await using broker = await startBroker({ AUDIT_LOG: where });
    await logIn(broker);
    const audit = () =>
      broker
        .output()
        .split('\n')
        .filter((line) => line.includes('"event"'));
    await until(() => audit().length > 0, 'the audit is printed');
    expect(auditLines(audit().join('\n'))).toMatchObject([{ event: 'login', sub: 'alice', granted: true }]);
  });

  test('on a full disk is said once and counted, and the broker goes on', async () => {
    await using broker = await startBroker({ AUDIT_LOG: '/dev/full', SERVICE_KEYS_FILE: keys });
    for (let time = 0; time < 3; time++) expect((await logIn(broker)).status).toBe(200);
    await until(() => broker.output().includes('AUDIT_LOG CANNOT BE WRITTEN'), 'the log says so');
    const metrics = async () =>
      (await fetch(`${broker.url}/metrics`, { headers: bearer(keyOf('backend')) })).text();
    // A line is written, or lost, after the answer that it tells of.
    await expect.poll(metrics).toMatch(/^ticket_broker_audit_lost_total 3$/m);
    expect(broker.output().split('AUDIT_LOG CANNOT BE WRITTEN').length).toBe(2);
  });

  test('that cannot be opened ends the start, and is not repeated', async () => {
    const where = join(folder, 'nowhere', 'audit.log');
    const USERS_FILE = join(folder, 'nowhere', 'users');
    const failure = await startBroker({ AUDIT_LOG: where, USERS_FILE }).then(
      () => expect.fail('it started'),
      (error: Error) => error.message,
    );
    expect(failure).toContain('ticket-broker: AUDIT_LOG cannot be opened (ENOENT)');
    expect(failure).toContain('USERS_FILE cannot be read (ENOENT)');
    expect(failure).not.toContain(where);
  });

  test('tells of a session that reached its deadline, and of one that broke off', async () => {
    const file = join(folder, 'deadline.log');
    await using broker = await startBroker({ AUDIT_LOG: file, SESSION_TTL: '2' });
    const over = await open(broker, `/ws?ticket=${(await broker.mint()).ticket}`);
    const broken = await open(broker, `/ws?ticket=${(await broker.mint()).ticket}`);
    broken.socket.terminate();
    expect(await over.closed).toBe(3000);
    const ends = () => readAudit(file).filter(({ event }) => event === 'session_end');
    await until(() => ends().length === 2, 'both have ended');
    const end = { code: 3000, ended_by: 'deadline', reason: 'session ended' };
    expect(ends()).toContainEqual(expect.objectContaining({ session_id: over.session_id, ...end }));
    const cut = { session_id: broken.session_id, code: 1006, ended_by: 'peer' };
    expect(ends()).toContainEqual(expect.objectContaining(cut));
  });
});
