// Lists of callbacks of connections and streams. Most have none or one, and a list that grows in place has space for 17.

export type Callbacks = ReadonlyArray<() => void>;

/** Shared by all that have no callback. */
export const NO_CALLBACKS: Callbacks = [];

/** A list without space for more. */
export function withCallback(callbacks: Callbacks, callback: () => void): Callbacks {
  return callbacks.length === 0 ? [callback] : callbacks.concat([callback]);
}

export function withoutCallback(callbacks: Callbacks, callback: () => void): Callbacks {
  const rest = callbacks.filter((each) => each !== callback);
  return rest.length === 0 ? NO_CALLBACKS : rest;
}
