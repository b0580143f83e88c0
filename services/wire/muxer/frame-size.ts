/** Maximum payload of a frame that is sent, in bytes: with the header it fills one Noise message. */
export const MAX_PAYLOAD_BYTES = 65_519 - 12;
