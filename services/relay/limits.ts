// The limits of the relay, from the values of its variables.
import type { RelayValues } from './config.ts';
import { type Resources, withDefaultLimits, withDefaultPeerCircuits } from './default-limits.ts';

export function readLimits(values: RelayValues, resources: Resources) {
  const isPerAddress = values.RELAY_ADDRESSES_ARE_REAL;
  const sized = withDefaultLimits(
    {
      reservations: values.RELAY_MAX_RESERVATIONS,
      connections: values.RELAY_MAX_CONNECTIONS,
      pendingConnections: values.RELAY_MAX_PENDING_CONNECTIONS,
      circuits: values.RELAY_MAX_CIRCUITS,
    },
    values.RELAY_BUFFER_BYTES,
    resources,
  );
  const ofPeer = withDefaultPeerCircuits(
    {
      circuitsPerPeer: values.RELAY_MAX_CIRCUITS_PER_PEER,
      circuitsPerTarget: values.RELAY_MAX_CIRCUITS_PER_TARGET,
      circuitsPerMinute: values.RELAY_CIRCUITS_PER_MINUTE,
    },
    sized.circuits,
  );
  return {
    connections: sized.connections,
    connectionsPerPeer: values.RELAY_MAX_CONNECTIONS_PER_PEER,
    /** `undefined` when source addresses are not those of the devices. */
    connectionsPerAddress: isPerAddress ? values.RELAY_MAX_CONNECTIONS_PER_ADDRESS : undefined,
    pendingConnections: sized.pendingConnections,
    handshakeSeconds: values.RELAY_HANDSHAKE_SECONDS,
    /** Of a connection with neither a reservation nor a stream. */
    idleSeconds: values.RELAY_IDLE_SECONDS,
    reservations: sized.reservations,
    /** `undefined` when source addresses are not those of the devices. */
    reservationsPerAddress: isPerAddress ? values.RELAY_MAX_RESERVATIONS_PER_ADDRESS : undefined,
    /** In the response; the relay keeps a reservation as long as its connection is open. */
    reservationSeconds: values.RELAY_RESERVATION_SECONDS,
    /** Of one peer, without refreshes. */
    reservationsPerMinute: values.RELAY_RESERVATIONS_PER_MINUTE,
    circuits: sized.circuits,
    /** As source. */
    circuitsPerPeer: ofPeer.circuitsPerPeer,
    circuitsPerTarget: ofPeer.circuitsPerTarget,
    /** Requests of one peer. */
    circuitsPerMinute: ofPeer.circuitsPerMinute,
    circuitSeconds: values.RELAY_CIRCUIT_SECONDS,
    circuitIdleSeconds: values.RELAY_CIRCUIT_IDLE_SECONDS,
    /** In each direction. */
    circuitBytes: values.RELAY_CIRCUIT_BYTES,
    /** Both directions together; `undefined` means no limit. */
    circuitBytesPerSecond: values.RELAY_CIRCUIT_BYTES_PER_SECOND || undefined,
    /** All circuits that one peer opened; `undefined` means no limit. */
    peerBytesPerSecond: values.RELAY_PEER_BYTES_PER_SECOND || undefined,
    /** Of one circuit and direction. */
    circuitBufferBytes: values.RELAY_CIRCUIT_BUFFER_BYTES,
    /** Of all circuits. */
    bufferedBytes: values.RELAY_BUFFER_BYTES,
  };
}
