// The defaults of the limits that cost memory: they follow from the memory and the file descriptors of the process, so a
// relay refuses nothing that its memory allows. A limit that is set keeps its value, and the others share what is left.
import { type UsableMemory, usableMemory } from '../shared/memory.ts';
import { BASE_BYTES, COST_BYTES, type SizedLimits } from './memory.ts';

/** What a relay may use. */
export interface Resources extends UsableMemory {
  /** `undefined` when their number is unlimited. */
  readonly fileDescriptors: number | undefined;
}

/**
 * For each reservation: two connections, because a device opens others for its syncs; one pending handshake, because all
 * devices return in the same second after a restart; and a quarter of a circuit, because most devices are idle.
 */
const PER_RESERVATION: SizedLimits = {
  reservations: 1,
  connections: 2,
  pendingConnections: 1,
  circuits: 1 / 4,
};

/** Default maximum of circuits that one peer opens. A device syncs with four others at the same time. */
const CIRCUITS_PER_PEER = 64;

/** Share of all circuits that one target may have. A hub is dialed by all devices of its user in the same second. */
const TARGET_SHARE = 3 / 4;

/** Minimum default of circuit requests of one peer per minute. */
const MIN_CIRCUITS_PER_MINUTE = 240;

/** The limits of the circuits of one peer. */
export interface PeerCircuits {
  readonly circuitsPerPeer: number;
  readonly circuitsPerTarget: number;
  readonly circuitsPerMinute: number;
}

/** Share of the memory that is planned. The rest is for the kernel's buffers of sockets and for unsent responses. */
const PLANNED_SHARE = 0.9;

/** The defaults are multiples of this number of reservations. */
const STEP = 64;

/** Minimum default, also with too little memory, about which the relay then warns. */
const MIN_RESERVATIONS = 64;

/** Maximum default: more devices than one CPU can serve. */
const MAX_RESERVATIONS = 16_384;

/** File descriptors for everything else: listeners, probes, scrapes, and files of Node.js. */
const OTHER_FILE_DESCRIPTORS = 256;

export function readResources(): Resources {
  return { ...usableMemory(), fileDescriptors: readFileDescriptors() };
}

/** Node.js has raised the soft limit to the hard limit at its start. */
function readFileDescriptors(): number | undefined {
  // Otherwise the report resolves the names of open connections.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  const limit = Number(report.userLimits?.open_files?.soft);
  return Number.isNaN(limit) ? undefined : limit;
}

/**
 * The limits that are set, and defaults for the others.
 *
 * @param bufferedBytes of all circuits, which need memory too
 */
export function withDefaultLimits(
  given: { readonly [K in keyof SizedLimits]: number | undefined },
  bufferedBytes: number,
  resources: Resources,
): SizedLimits {
  const reservations = given.reservations ?? defaultReservations(given, bufferedBytes, resources);
  const derive = (limit: keyof SizedLimits): number =>
    given[limit] ?? Math.max(1, Math.ceil(reservations * PER_RESERVATION[limit]));
  return {
    reservations,
    connections: derive('connections'),
    pendingConnections: derive('pendingConnections'),
    circuits: derive('circuits'),
  };
}

/** The limits of the circuits of one peer that are set, and defaults for the others. @param circuits maximum of all circuits */
export function withDefaultPeerCircuits(
  given: { readonly [K in keyof PeerCircuits]: number | undefined },
  circuits: number,
): PeerCircuits {
  const circuitsPerPeer = given.circuitsPerPeer ?? CIRCUITS_PER_PEER;
  const ofTarget = Math.max(circuitsPerPeer, Math.floor(circuits * TARGET_SHARE));
  return {
    circuitsPerPeer,
    circuitsPerTarget: given.circuitsPerTarget ?? given.circuitsPerPeer ?? ofTarget,
    circuitsPerMinute: given.circuitsPerMinute ?? Math.max(MIN_CIRCUITS_PER_MINUTE, circuits),
  };
}

function defaultReservations(
  given: { readonly [K in keyof SizedLimits]: number | undefined },
  bufferedBytes: number,
  { memoryBytes, fileDescriptors = Number.POSITIVE_INFINITY }: Resources,
): number {
  let leftBytes = memoryBytes * PLANNED_SHARE - BASE_BYTES - bufferedBytes;
  let eachBytes = 0;
  for (const limit of Object.keys(PER_RESERVATION) as Array<keyof SizedLimits>) {
    const value = given[limit];
    if (value === undefined) eachBytes += PER_RESERVATION[limit] * COST_BYTES[limit];
    else leftBytes -= value * COST_BYTES[limit];
  }
  const { connections, pendingConnections } = PER_RESERVATION;
  const eachSockets = connections + pendingConnections;
  const byFiles = (fileDescriptors - OTHER_FILE_DESCRIPTORS) / eachSockets;
  const fitting = Math.floor(Math.min(leftBytes / eachBytes, byFiles) / STEP) * STEP;
  const reservations = Math.min(MAX_RESERVATIONS, Math.max(MIN_RESERVATIONS, fitting));
  // A reservation belongs to a connection.
  return Math.min(reservations, given.connections ?? reservations);
}

/** A whole sentence when the process may open fewer sockets than the limits permit. */
export function fileDescriptorWarning(
  { connections, pendingConnections }: SizedLimits,
  { fileDescriptors = Number.POSITIVE_INFINITY }: Resources,
): string | undefined {
  const needed = connections + pendingConnections + OTHER_FILE_DESCRIPTORS;
  if (needed <= fileDescriptors) return undefined;
  return `RELAY_MAX_CONNECTIONS=${connections} and RELAY_MAX_PENDING_CONNECTIONS=${pendingConnections} need ${needed} file descriptors, and the process may open ${fileDescriptors}; raise its limit of open files (ulimit -n, LimitNOFILE of systemd) or lower both.`;
}
