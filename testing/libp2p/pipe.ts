// Joins two streams of js-libp2p by their events. Bytes are forwarded as they arrive.
import type { Stream } from '@libp2p/interface';
import type { Pipe, PipeListener } from '../../services/relay/connection.ts';
import type { Direction } from '../../services/relay/outcomes.ts';

/** @param windowBytes maximum bytes that a paused stream still receives */
export function joinStreams(
  source: Stream,
  target: Stream,
  windowBytes: number,
  listener: PipeListener,
): Pipe {
  const onClose = (): void => {
    if (source.status !== 'open' && target.status !== 'open') listener.onClosed();
  };
  const directions = {
    to_target: new Forwarding(source, target, 'to_target', listener, onClose),
    to_source: new Forwarding(target, source, 'to_source', listener, onClose),
  };
  return {
    pause: (direction) => directions[direction].setThrottled(true),
    resume: (direction) => directions[direction].setThrottled(false),
    waitingBytes: (direction) => directions[direction].waitingBytes(),
    maxWaitingBytes: (direction) => directions[direction].maxWaitingBytes(windowBytes),
    // Nothing here is large enough to be held.
    holdReading() {},
    releaseReading() {},
    reset() {
      const error = new Error('The circuit was ended.');
      source.abort(error);
      target.abort(error);
    },
  };
}

/** One direction. */
class Forwarding {
  readonly #from: Stream;
  readonly #to: Stream;
  readonly #direction: Direction;
  readonly #listener: PipeListener;
  #isBlocked = false;
  #isThrottled = false;
  #isResuming = false;

  constructor(from: Stream, to: Stream, direction: Direction, listener: PipeListener, onClose: () => void) {
    this.#from = from;
    this.#to = to;
    this.#direction = direction;
    this.#listener = listener;
    from.addEventListener('message', ({ data }) => {
      if (to.status !== 'open' || !listener.onBytes(direction, data.byteLength)) return;
      this.#guard(() => {
        if (!to.send(data)) this.#block();
        this.#pauseIfNeeded();
      });
    });
    // The library's own listener flushes the stream in a microtask that was queued before this one.
    const onDrain = (): void => queueMicrotask(() => this.#guard(() => this.#unblock()));
    to.addEventListener('drain', onDrain);
    to.addEventListener('idle', onDrain);
    this.#forwardEnd(onClose);
  }

  setThrottled(isThrottled: boolean): void {
    this.#isThrottled = isThrottled;
    if (!isThrottled) this.#guard(() => this.#resume());
    else this.#guard(() => this.#pauseIfNeeded());
  }

  waitingBytes(): number {
    return this.#from.readBufferLength + this.#to.writeBufferLength;
  }

  maxWaitingBytes(windowBytes: number): number {
    return Math.max(this.#from.readBufferLength, windowBytes) + this.#to.writeBufferLength;
  }

  // A stream throws when its connection was just lost. An exception in an event handler would end the process.
  #guard(step: () => void): void {
    try {
      step();
    } catch {
      this.#listener.onReset();
    }
  }

  #block(): void {
    if (this.#isBlocked) return;
    this.#isBlocked = true;
    this.#listener.onBlocked(this.#direction);
  }

  // The library's resume() would undo a pause from within it, so pausing waits until resume() has returned.
  #pauseIfNeeded(): void {
    if (!this.#isBlocked && !this.#isThrottled) return;
    if (!this.#isResuming && this.#from.readStatus === 'readable') this.#from.pause();
  }

  #resume(): void {
    if (this.#isBlocked || this.#isThrottled || this.#from.readStatus !== 'paused') return;
    this.#isResuming = true;
    this.#from.resume();
    this.#isResuming = false;
    this.#pauseIfNeeded();
  }

  // Reading resumes only when the other stream has sent all buffered bytes. Otherwise its buffer would grow with each
  // drain.
  #unblock(): void {
    if (!this.#isBlocked || this.#to.writeBufferLength > 0 || this.#to.writableNeedsDrain) return;
    this.#isBlocked = false;
    this.#listener.onUnblocked(this.#direction);
    this.#resume();
  }

  /** Forwards the writer's close, and reports when a stream ends in another way. */
  #forwardEnd(onClose: () => void): void {
    let isClosedByWriter = false;
    const [from, to, listener] = [this.#from, this.#to, this.#listener];
    from.addEventListener('remoteCloseWrite', () => {
      isClosedByWriter = true;
    });
    from.addEventListener('end', () => {
      // Without a close by the writer the connection was lost. The other side must not mistake this for a normal end.
      if (!isClosedByWriter) listener.onReset();
      else if (to.status === 'open') to.close().catch(() => listener.onReset());
    });
    from.addEventListener('close', ({ error }) => {
      if (error === undefined) onClose();
      else listener.onReset();
    });
  }
}
