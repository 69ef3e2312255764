import { BrokerError, type RefusalCode, refusals } from '../errors.ts';
import { closeCodes } from '../sessions/close-codes.ts';
import type { Enter, Message } from '../sessions/connection.ts';
import { tokenBucket } from '../sessions/token-bucket.ts';
import { slices } from '../slices.ts';
import type { Backplane, Said } from './backplane.ts';
import { faultOf, isReserved, type Spoken } from './message.ts';
import { type Member, Room } from './room.ts';
import { Tally } from './tally.ts';

/** What the chat refuses, besides what the broker does. */
type ChatRefusal = 'reserved_type' | 'not_joined' | 'too_many_rooms';

export interface ChatOptions {
  backplane: Backplane;
  /** Milliseconds since the epoch. */
  now: () => number;
  randomUUID: () => string;
  log: { error(fields: object, text: string): void };
}

/** Where who names no room is, unless they may not: then it is the first room that they may enter. */
const lobby = 'lobby';
/** Rooms that one socket may be in, and bytes that it may say at once: what is said is kept for a while. */
const mostRooms = 100;
/** Rooms that a subject may have joined on this node, with all its sockets: each takes 0.7 KB of the store. */
const mostRoomsOfSubject = 1000;
/** Rooms that a closed socket leaves at once: a proxy that ends closes thousands of sockets in one moment. */
const leftAtOnce = 10;
const mostBytes = 4096;
/** Messages of a socket that wait for the store at once. */
const mostWaiting = 100;
/** A join is answered with a room's history, many times its own size. */
const joinsPerSecond = 10;

/**
 * The chat that lives behind the gate. A socket hears its own room from the start, that of the handshake or else the lobby, or the first
 * that it may enter; `join` adds other rooms, the history, and who is there. Everything is checked against the record, without a look-up.
 */
export function createChat({ backplane, now, randomUUID, log }: ChatOptions): Enter {
  const rooms = new Map<string, Room>();
  const joinedBy = new Tally();
  const roomOf = (name: string): Room => {
    const known = rooms.get(name);
    if (known) return known;
    const room = new Room(name, { backplane, randomUUID, joinedBy });
    rooms.set(name, room);
    return room;
  };

  const enter = (member: Member, name: string): Room => {
    const room = roomOf(name);
    if (!member.rooms.has(room)) member.rooms.set(room, room.members.add(member));
    return room;
  };

  const join = async (member: Member, name: string) => {
    const { sub } = member.who;
    const tooMany = (text: string) => refuse(member, { type: 'join' }, 'too_many_rooms', text);
    if (member.rooms.size >= mostRooms && !inRoom(member, name)) {
      return tooMany(`A socket may be in ${mostRooms} rooms.`);
    }
    if (!rooms.get(name)?.isJoinedBy(sub) && joinedBy.of(sub) >= mostRoomsOfSubject) {
      return tooMany(`All your sockets here may be in ${mostRoomsOfSubject} rooms together.`);
    }
    if (member.joins.take() > 0) {
      return refuse(
        member,
        { type: 'join' },
        'rate_limited',
        `Join ${joinsPerSecond} rooms a second at most.`,
      );
    }
    const room = enter(member, name);
    room.expect(member);
    const postponed: Said[] = [];
    member.postponed.set(room, postponed);
    let known = new Set<string>();
    let isNew = false;
    try {
      const history = await backplane.history(name);
      isNew = await room.appear(member);
      const members = await backplane.members(name);
      known = new Set(history.map(({ id }) => id));
      const names = [...new Set(members.map(({ username }) => username))];
      const joined = JSON.stringify({ type: 'joined', room: name, members: names });
      // As it is kept: to read 200 KB and write them again for everybody who joins would keep a node busy.
      const texts = history.map(({ text }) => text).join();
      member.connection.send(`${joined.slice(0, -1)},"history":[${texts}]}`);
    } finally {
      member.postponed.delete(room);
      for (const { id, text } of postponed) if (!known.has(id)) member.connection.send(text);
    }
    if (isNew) await room.tellPresence(member.who, 'joined');
  };

  const leave = async (member: Member, room: Room) => {
    member.rooms.get(room)?.();
    member.rooms.delete(room);
    if (room.members.size === 0) {
      rooms.delete(room.name);
      room.close();
    }
    await room.disappear(member);
  };

  const speak = async (member: Member, room: string, message: Spoken) => {
    if (!inRoom(member, room)) return refuse(member, message, 'not_joined', 'Join the room first.');
    const requestId = randomUUID();
    const stamped = { ...message, room, user: member.who.username, timestamp: now() / 1000, requestId };
    const text = jsonOf(stamped);
    if (text === undefined || Buffer.byteLength(text) > mostBytes) {
      return refuse(member, message, 'payload_too_large', `A message may have ${mostBytes} bytes.`);
    }
    await backplane.say(room, { id: requestId, text }, true);
  };

  const take = async (member: Member, message: Message) => {
    const fault = faultOf(message);
    if (fault) return member.connection.close(closeCodes.policy, fault.slice(0, 100));
    const { type, room = member.own } = message as Spoken;
    if (isReserved(type)) return refuse(member, message, 'reserved_type', 'Only the server says this.');
    if (!mayEnter(member, room)) return member.connection.close(closeCodes.policy, 'room_forbidden');
    if (type === 'join') return join(member, room);
    if (type !== 'leave') return speak(member, room, message as Spoken);
    const left = inRoom(member, room);
    if (left) await leave(member, left);
    say(member, { type: 'left', room });
  };

  return (connection) => {
    const { record } = connection.session();
    const { sub, username } = record;
    const member: Member = {
      connection,
      who: { sub, username },
      own:
        connection.peer.room ??
        (record.rooms?.includes(lobby) === false ? record.rooms[0] : undefined) ??
        lobby,
      rooms: new Map(),
      postponed: new Map(),
      joins: tokenBucket(joinsPerSecond, now),
    };
    if (mayEnter(member, member.own)) enter(member, member.own);
    // One thing after the other: a join is over before what was sent after it is looked at.
    let before: Promise<unknown> = Promise.resolve();
    let waiting = 0;
    const next = (step: () => Promise<unknown>) => {
      const taken = waiting++ === 0 ? step() : before.then(step);
      before = taken
        .catch((error: unknown) => {
          if (!(error instanceof BrokerError)) log.error({ err: error }, 'unexpected error');
        })
        .finally(() => waiting--);
    };
    return {
      receive(message) {
        if (waiting >= mostWaiting) return refuse(member, message, 'overloaded', refusals.overloaded.text);
        next(async () => {
          if (!connection.isOpen()) return;
          await take(member, message).catch((error: unknown) => {
            if (error instanceof BrokerError) return refuse(member, message, error.code, error.message);
            refuse(member, message, 'internal_error', refusals.internal_error.text);
            throw error;
          });
        });
      },
      renewed() {
        next(async () => {
          const forbidden = [...member.rooms.keys()].filter(({ name }) => !mayEnter(member, name));
          // Nobody hears what they may not any more, whatever becomes of the store.
          const gone = forbidden.map((room) => leave(member, room));
          for (const { name } of forbidden) say(member, { type: 'left', room: name });
          await Promise.allSettled(gone);
        });
      },
      leave() {
        // Whom the store does not hear of is gone with their lease.
        next(async () => {
          for (const some of slices([...member.rooms.keys()], leftAtOnce)) {
            await Promise.allSettled(some.map((room) => leave(member, room)));
          }
        });
      },
    };
  };
}

/** @returns undefined for what is nested too deep to be said again */
function jsonOf(message: object): string | undefined {
  try {
    return JSON.stringify(message);
  } catch {
    return undefined;
  }
}

function inRoom({ rooms }: Member, name: string): Room | undefined {
  for (const room of rooms.keys()) if (room.name === name) return room;
  return undefined;
}

function mayEnter({ connection }: Member, room: string): boolean {
  const { rooms } = connection.session().record;
  return rooms === undefined || rooms.includes(room);
}

function say({ connection }: Member, message: object): void {
  connection.send(JSON.stringify(message));
}

/** Tells the sender which message it is about, where that carried an `id`. */
function refuse(member: Member, { id }: Message, error: RefusalCode | ChatRefusal, text: string): void {
  const about = typeof id === 'string' || typeof id === 'number' ? { id } : {};
  say(member, { type: 'error', error, error_description: text, ...about });
}
