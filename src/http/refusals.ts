import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BrokerError, type RefusalCode, refusals } from '../errors.ts';
import { answerTo, rawAnswerTo } from '../wire/refusal-answer.ts';
import { RefusalBody } from './refusal-schemas.ts';

/** Says every refusal, ours and the framework's, in the one shape. Nothing of the request is repeated to the caller. */
export function registerRefusals(app: FastifyInstance): void {
  app.addSchema(RefusalBody);
  app.setErrorHandler((error: FastifyError | BrokerError, request, reply) => refuse(error, request, reply));
  app.setNotFoundHandler((request, reply) => refuse(new BrokerError('not_found'), request, reply));
}

export function refuse(error: FastifyError | BrokerError, request: FastifyRequest, reply: FastifyReply) {
  const refusal = error instanceof BrokerError ? error : fromFramework(error);
  if (refusal.code === 'internal_error') request.log.error({ err: error }, 'unexpected error');
  // @fastify/websocket ends the connection of a handshake that it has been told to refuse.
  const { status, headers, body } = answerTo(refusal, { last: request.ws || !reply.raw.shouldKeepAlive });
  return reply.code(status).headers(headers).send(body);
}

/** What Ajv says in a way that RFC 6749 5.2 allows in no description, or that tells nobody anything. */
const inWords = new Map([
  ['required', 'is required'],
  ['pattern', 'is empty, too long, or not of the form that /openapi.yaml gives'],
]);

function fromFramework(error: FastifyError): BrokerError {
  const [fault] = error.validation ?? [];
  if (fault) {
    const isUnknown = fault.keyword === 'additionalProperties';
    const field = String(fault.params['missingProperty'] ?? fault.params['additionalProperty'] ?? '');
    // An unknown field may be a secret in the wrong place. None of ours is so short, and of letters alone.
    const shown = isUnknown && !/^[a-zA-Z_]{1,32}$/.test(field) ? 'a field' : field;
    const path = [fault.instancePath.slice(1).replaceAll('/', '.'), shown].filter(Boolean).join('.');
    const wrong = isUnknown ? 'is not a known field' : (inWords.get(fault.keyword) ?? fault.message);
    return invalid(`${path || error.validationContext} ${wrong}`);
  }
  switch (error.statusCode) {
    case 408:
      return new BrokerError('request_timeout');
    case 413:
      return new BrokerError('payload_too_large');
    case 415:
      return new BrokerError('unsupported_media_type');
    default:
      return (error.statusCode ?? 500) < 500
        ? invalid(refusals.invalid_request.text)
        : new BrokerError('internal_error', { cause: error });
  }
}

function invalid(description: string): BrokerError {
  return new BrokerError('invalid_request', { description });
}

/** Answers what never became a request: broken HTTP, too many headers, a client that stopped in the middle. */
export function refuseClient(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const code: RefusalCode =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'headers_too_large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'request_timeout'
        : 'invalid_request';
  // A peer that ignores the end would keep the connection for ever.
  socket.end(rawAnswerTo(new BrokerError(code)), () => socket.destroy());
}
