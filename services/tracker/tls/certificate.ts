// The certificate of the tracker and its private key: reads both files, checks that they belong together, and finds
// what makes `rr` 1.x slow or makes it reject the certificate.
import { createPrivateKey, hash, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext, rootCertificates, type SecureVersion } from 'node:tls';
import { ConfigError, describeError } from '../../shared/errors.ts';
import { readSmallFile } from '../../shared/files.ts';

/** Maximum size of each file, in bytes. A long chain has some ten KiB. */
const MAX_FILE_BYTES = 256 * 1024;

/** Maximum certificates in the file. */
const MAX_CERTIFICATES = 10;

/** RSA keys above this size cause a warning, in bits. */
const MAX_RSA_BITS = 2_048;

/**
 * Chains above these limits cause a warning: usually one or two intermediate authorities sign the certificate, and the
 * chain must arrive with the first packets of the handshake.
 */
const LONG_CHAIN_CERTIFICATES = 3;
const LONG_CHAIN_BYTES = 8 * 1024;

/** The oldest version of TLS that the tracker accepts. */
export const MIN_TLS_VERSION: SecureVersion = 'TLSv1.2';

export const CERT_VARIABLE = 'TRACKER_TLS_CERT_FILE';
export const KEY_VARIABLE = 'TRACKER_TLS_KEY_FILE';

/** The paths of both files, in PEM. */
export interface CertificateFiles {
  /** The certificate of the tracker, then those of the intermediate authorities. */
  readonly certPath: string;
  readonly keyPath: string;
}

/** A certificate that can be used, with its key. */
export interface Certificate extends CertificateFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Hash of both files, to detect changes. */
  readonly contentHash: string;
  /** What the log shows at start. */
  readonly summary: {
    /** The host names and addresses of the certificate. */
    readonly names: string;
    /** Such as `EC prime256v1` or `RSA 2048`. */
    readonly keyType: string;
    readonly certificates: number;
    /** Size of all certificates together, as they are sent. */
    readonly chainBytes: number;
    readonly notAfter: string;
  };
  /** Start and end of the time in which all certificates of the chain are valid. */
  readonly notBeforeUnixMs: number;
  readonly notAfterUnixMs: number;
  /** Whole sentences about reasons for which devices reject the certificate or need too long. */
  readonly warnings: readonly string[];
}

/**
 * Reads and checks both files.
 *
 * @param previous returned as it is when the files have not changed
 * @throws ConfigError with all problems; none repeats the key.
 */
export function readCertificate(
  files: CertificateFiles,
  nowUnixMs: number,
  previous?: Certificate,
): Certificate {
  const problems: string[] = [];
  const attempt = <T>(variable: string, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push(`${variable}: ${describeError(error)}.`);
      return undefined;
    }
  };
  const { certPath, keyPath } = files;
  const cert = attempt(CERT_VARIABLE, () => readSmallFile(certPath, MAX_FILE_BYTES));
  const key = attempt(KEY_VARIABLE, () => readSmallFile(keyPath, MAX_FILE_BYTES));
  const contentHash = hash('sha256', Buffer.concat([cert ?? Buffer.of(), Buffer.of(0), key ?? Buffer.of()]));
  if (cert !== undefined && key !== undefined && contentHash === previous?.contentHash) return previous;
  const chain = cert && attempt(CERT_VARIABLE, () => parseChain(certPath, cert));
  const privateKey = key && attempt(KEY_VARIABLE, () => parseKey(keyPath, key));
  if (chain !== undefined && privateKey !== undefined) {
    attempt(KEY_VARIABLE, () => checkPair(files, chain, privateKey));
    if (problems.length === 0)
      attempt(CERT_VARIABLE, () => createSecureContext({ cert, key, minVersion: MIN_TLS_VERSION }));
  }
  const [leaf] = chain ?? [];
  if (problems.length > 0 || !cert || !key || !chain || !leaf || !privateKey) throw new ConfigError(problems);
  const keyType = describeKey(privateKey);
  const notBeforeUnixMs = Math.max(...chain.map(({ validFromDate }) => validFromDate.getTime()));
  const notAfterUnixMs = Math.min(...chain.map(({ validToDate }) => validToDate.getTime()));
  const chainBytes = chain.reduce((sum, { raw }) => sum + raw.length, 0);
  const summary = {
    names: leaf.subjectAltName ?? leaf.subject,
    keyType,
    certificates: chain.length,
    chainBytes,
    notAfter: formatTime(notAfterUnixMs),
  };
  const warnings = [
    ...validityWarnings(notBeforeUnixMs, notAfterUnixMs, nowUnixMs),
    ...speedWarnings(privateKey, keyType, chain.length, chainBytes),
    ...trustWarnings(chain),
  ].map((warning) => `${CERT_VARIABLE}: ${certPath}: ${warning}`);
  return { ...files, cert, key, contentHash, summary, notBeforeUnixMs, notAfterUnixMs, warnings };
}

function parseChain(path: string, pem: Buffer): X509Certificate[] {
  const blocks =
    pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0)
    throw new Error(
      `${path}: The file contains no certificate in PEM. It must contain the certificate of the tracker, then those of the intermediate authorities, each between BEGIN CERTIFICATE and END CERTIFICATE.`,
    );
  if (blocks.length > MAX_CERTIFICATES)
    throw new Error(
      `${path}: The file contains ${blocks.length} certificates; the maximum is ${MAX_CERTIFICATES}. Remove those that do not belong to the chain.`,
    );
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Error(`${path}: Certificate ${index + 1} of the file cannot be read.`, { cause: error });
    }
  });
}

function parseKey(path: string, pem: Buffer): KeyObject {
  const text = pem.toString('latin1');
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text))
    throw new Error(
      `${path}: The file contains no private key in PEM. It must contain the key between BEGIN PRIVATE KEY and END PRIVATE KEY.`,
    );
  if (/ENCRYPTED/.test(text))
    throw new Error(`${path}: The key is encrypted. Store it without a passphrase.`);
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new Error(`${path}: The key cannot be read.`, { cause: error });
  }
}

function checkPair({ certPath, keyPath }: CertificateFiles, chain: X509Certificate[], key: KeyObject): void {
  const [leaf, ...others] = chain;
  if (leaf?.checkPrivateKey(key) === true) return;
  if (others.some((other) => other.checkPrivateKey(key)))
    throw new Error(
      `${keyPath}: The key belongs to a certificate in ${certPath} that is not the first one. Put the certificate of the tracker first.`,
    );
  throw new Error(
    `${keyPath}: The key does not belong to the certificate in ${certPath}. Use the key for which that certificate was issued.`,
  );
}

/** The type of a key and its curve or its size in bits. */
function describeKey({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): string {
  const { namedCurve, modulusLength } = asymmetricKeyDetails;
  return [asymmetricKeyType?.toUpperCase(), namedCurve ?? modulusLength ?? ''].join(' ').trim();
}

function formatTime(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

/** Says that the certificate expired, or is not valid yet. */
export function validityWarnings(
  notBeforeUnixMs: number,
  notAfterUnixMs: number,
  nowUnixMs: number,
): string[] {
  if (nowUnixMs >= notAfterUnixMs)
    return [`The certificate expired on ${formatTime(notAfterUnixMs)}, and devices reject it. Renew it.`];
  if (nowUnixMs < notBeforeUnixMs)
    return [
      `The certificate is not valid before ${formatTime(notBeforeUnixMs)}, and devices reject it. Check the clock.`,
    ];
  return [];
}

function speedWarnings(key: KeyObject, keyType: string, certificates: number, chainBytes: number): string[] {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  const warnings: string[] = [];
  if (bits > MAX_RSA_BITS)
    warnings.push(
      `The key is ${keyType}, which makes every handshake slow, and rr 1.x makes one for each request and allows 0.3 seconds. Use an ECDSA key (P-256).`,
    );
  if (certificates > LONG_CHAIN_CERTIFICATES || chainBytes > LONG_CHAIN_BYTES)
    warnings.push(
      `The chain has ${certificates} certificates with ${chainBytes} bytes, which every handshake sends. Use a shorter chain, without the root.`,
    );
  return warnings;
}

/** Says when `rr` would reject the certificate: it has the roots of the public authorities built in. */
function trustWarnings(chain: readonly X509Certificate[]): string[] {
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1];
    if (issuer !== undefined && !isIssuedBy(certificate, issuer))
      return [
        `Certificate ${index + 2} of the file did not issue certificate ${index + 1}, and devices reject such a chain. Put each certificate after the one that it issued.`,
      ];
  }
  if (chain.some(isFromPublicRoot)) return [];
  return [
    'No public certificate authority issued the certificate, or an intermediate certificate is missing. rr has the public authorities built in and accepts no others.',
  ];
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** The roots that Node has built in, the list of Mozilla, by subject. Parsed at the first use. */
let publicRoots: Map<string, X509Certificate[]> | undefined;

function isFromPublicRoot(certificate: X509Certificate): boolean {
  publicRoots ??= Map.groupBy(
    rootCertificates.map((pem) => new X509Certificate(pem)),
    ({ subject }) => subject,
  );
  const issuers = publicRoots.get(certificate.issuer) ?? [];
  return issuers.some((issuer) => isIssuedBy(certificate, issuer));
}
