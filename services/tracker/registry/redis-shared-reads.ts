// Reads that several callers share: callers that ask for the same thing while it is being read get the result of the next
// read, which begins after they asked. So at most one read of each listing is running, and no caller gets one that began
// before its request.

/** The reads of one thing. */
interface Reads<T> {
  /** The read that begins when the running one has ended. */
  next: Promise<T> | undefined;
}

export interface SharedReads<T> {
  /** @param key equal for reads with the same result */
  read(key: string, start: () => Promise<T>): Promise<T>;
}

export function createSharedReads<T>(): SharedReads<T> {
  const running = new Map<string, { readonly reads: Reads<T>; readonly result: Promise<T> }>();

  function begin(key: string, start: () => Promise<T>): Promise<T> {
    const reads: Reads<T> = { next: undefined };
    const result = start();
    const entry = { reads, result };
    running.set(key, entry);
    const end = (): void => {
      if (running.get(key) === entry && reads.next === undefined) running.delete(key);
    };
    result.then(end, end);
    return result;
  }

  return {
    read(key, start) {
      const current = running.get(key);
      if (current === undefined) return begin(key, start);
      const { reads, result } = current;
      reads.next ??= result.then(
        () => begin(key, start),
        () => begin(key, start),
      );
      return reads.next;
    },
  };
}
