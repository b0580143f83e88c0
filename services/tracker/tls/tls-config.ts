// The variables of TLS: whether they belong together, and the certificate that they name.
import { ConfigError } from '../../shared/errors.ts';
import type { ListenAddress } from '../../shared/variables.ts';
import { CERT_VARIABLE, type Certificate, KEY_VARIABLE, readCertificate } from './certificate.ts';

/** The values of the variables. Absent: not set, or not valid and already reported. */
export interface TlsValues {
  readonly certPath: string | undefined;
  readonly keyPath: string | undefined;
  readonly listen: ListenAddress | undefined;
  readonly plainListen: ListenAddress | undefined;
}

/**
 * Reads the certificate, if one is configured. Its warnings are logged when it comes into use.
 *
 * @param problems gets a whole sentence for each problem
 */
export function readTls(
  { certPath, keyPath, listen, plainListen }: TlsValues,
  problems: string[],
): Certificate | undefined {
  if (plainListen !== undefined && certPath === undefined)
    problems.push(
      `TRACKER_PLAIN_LISTEN: set without ${CERT_VARIABLE}, so TRACKER_LISTEN has no TLS either; set both, or only TRACKER_LISTEN.`,
    );
  if (plainListen !== undefined && plainListen.port !== 0 && plainListen.port === listen?.port)
    problems.push('TRACKER_PLAIN_LISTEN: it has the port of TRACKER_LISTEN; set another one.');
  if (certPath === undefined && keyPath === undefined) return undefined;
  if (certPath === undefined || keyPath === undefined) {
    const [set, missing] =
      certPath === undefined ? [KEY_VARIABLE, CERT_VARIABLE] : [CERT_VARIABLE, KEY_VARIABLE];
    problems.push(`${set}: set without ${missing}; set both, or neither of them to serve http.`);
    return undefined;
  }
  try {
    return readCertificate({ certPath, keyPath }, Date.now());
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return undefined;
  }
}
