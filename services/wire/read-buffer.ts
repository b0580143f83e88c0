// The buffer into which every socket of the process reads. Bytes are handed up within the read, so one is enough, and an
// idle connection holds none. In front of the read area there is space: a layer that kept the first part of a message
// copies it there, directly before the new bytes.

/** Space in front of the read area, in bytes: the kept part of a Noise message, with enough for layers above it. */
export const HEADROOM_BYTES = 128 * 1024;

/**
 * Maximum bytes of one read. With 64 KiB, the read size of Node.js, a busy relay needs a fifth more CPU time per byte.
 */
export const READ_AREA_BYTES = 256 * 1024;

/** What the bytes of a read are overwritten with: no valid start of a message of any layer. */
const POISON = 0xdb;

export interface ReadBufferOptions {
  /**
   * Whether the bytes of each read are overwritten afterwards, so that whoever kept a reference to them instead of a copy
   * reads wrong bytes at once. For tests. Default false.
   */
  readonly isPoisoned?: boolean;
}

export class ReadBuffer {
  /** The headroom and the read area. */
  readonly buffer: Buffer = Buffer.allocUnsafeSlow(HEADROOM_BYTES + READ_AREA_BYTES);
  /** Where sockets read into: `buffer` from `HEADROOM_BYTES` on. */
  readonly area: Buffer = this.buffer.subarray(HEADROOM_BYTES);
  readonly isPoisoned: boolean;

  constructor({ isPoisoned = false }: ReadBufferOptions = {}) {
    this.isPoisoned = isPoisoned;
  }

  /** Ends a read: what it handed up is not valid anymore. */
  release(): void {
    if (this.isPoisoned) this.buffer.fill(POISON);
  }
}
