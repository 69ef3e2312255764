/**
 * For `ws`: in how many parts a message may come, each of which takes some hundred bytes until it is whole. `MESSAGE_LIMIT` counts
 * whole ones.
 */
export const partLimits = { maxFragments: 128, maxBufferedChunks: 1024 };
