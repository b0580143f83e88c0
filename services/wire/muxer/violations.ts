// Why a muxer ends a connection: what the other side has sent is against the specification, or above a limit.

export const MUXER_VIOLATIONS = {
  invalid_frame: { doc: 'A frame that the specification does not know.' },
  frame_too_large: { doc: 'A message above the maximum size.' },
  invalid_stream_id: { doc: 'A new stream with an id of our side, or without an id.' },
  stream_id_reused: { doc: 'A new stream with an id that was used before.' },
  window_exceeded: { doc: 'More data than the window of the stream allows.' },
  window_overflow: { doc: 'A window larger than the specification allows.' },
  data_after_end: { doc: 'Data after the end of a stream.' },
  too_many_new_streams: { doc: 'More new streams per second than the maximum.' },
  too_many_empty_frames: { doc: 'More frames without payload per second than the maximum.' },
  too_many_late_frames: { doc: 'More frames for unknown streams per second than the maximum.' },
  unread_responses: { doc: 'Frames that need responses, while the responses are not read.' },
  went_away: { doc: 'The other side ended the session with an error.' },
} as const satisfies Record<string, { doc: string }>;

export type MuxerViolation = keyof typeof MUXER_VIOLATIONS;

/** The error with which a muxer ends its connection. */
export class MuxerError extends Error {
  override readonly name = 'MuxerError';
  readonly code: MuxerViolation;

  constructor(protocol: string, code: MuxerViolation) {
    super(`The connection was closed by ${protocol}: ${MUXER_VIOLATIONS[code].doc}`);
    this.code = code;
  }
}
