/**
 * For `ws`: the bytes of a message, and in how many parts it may come, each of which takes some hundred bytes until it is whole.
 * `MESSAGE_LIMIT` counts whole ones.
 */
export const messageLimits = { maxPayload: 64 * 1024, maxFragments: 128, maxBufferedChunks: 1024 };
