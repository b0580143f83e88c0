// When collected bytes are sent: what was written during a read, at the end of it; other bytes in one microtask that all
// connections share. So many small messages for one connection are one packet.

/** Something with bytes to send. */
export interface Flushable {
  /** Sends what was collected. It throws no error and calls no layer. */
  flush(): void;
}

export class FlushQueue {
  readonly #waiting: Flushable[] = [];
  /** Reads that are under way: bytes of a socket may contain those of a circuit, which is read too. */
  #depth = 0;
  #isScheduled = false;
  readonly #onMicrotask = (): void => {
    this.#isScheduled = false;
    this.flush();
  };

  /** Adds a connection, once until it is flushed. */
  add(flushable: Flushable): void {
    this.#waiting.push(flushable);
    if (this.#depth > 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(this.#onMicrotask);
  }

  /** A read begins, or something else in which much is written. `end` must follow. */
  begin(): void {
    this.#depth += 1;
  }

  end(): void {
    this.#depth -= 1;
    if (this.#depth === 0 && this.#waiting.length > 0) this.flush();
  }

  /** Sends what all connections have collected. */
  flush(): void {
    const waiting = this.#waiting;
    for (let index = 0; index < waiting.length; index += 1) waiting[index]?.flush();
    waiting.length = 0;
  }
}
