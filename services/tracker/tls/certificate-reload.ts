// Keeps the certificate of the tracker up to date: reads its files again while the tracker runs, so that a renewal
// requires no restart.
import { describeError } from '../../shared/errors.ts';
import type { Component } from '../../shared/lifecycle.ts';
import type { Logger } from '../../shared/log.ts';
import type { CertificateSource } from '../../shared/tls.ts';
import { type Certificate, readCertificate, validityWarnings } from './certificate.ts';

/**
 * Interval at which the files are read again, in milliseconds. A kubelet updates a mounted Secret about once a minute.
 */
const RELOAD_INTERVAL_MS = 1_000;

/**
 * Reads that must fail in a row before a warning is logged. Two files are never replaced at the same instant, so one
 * read may see the new certificate with the old key, or a file that is not written completely.
 */
const WARN_AFTER_FAILURES = 2;

export interface ReloadedCertificate extends Component, CertificateSource {
  /** The certificate according to the last successful read. */
  current(): Certificate;
}

export interface ReloadOptions {
  readonly log: Logger;
  /** Clock for the validity of the certificate. */
  readonly nowUnixMs: () => number;
  readonly reloadIntervalMs?: number;
}

/** When the files cannot be used, the last certificate stays in use. */
export function createReloadedCertificate(
  initial: Certificate,
  { log, nowUnixMs, reloadIntervalMs = RELOAD_INTERVAL_MS }: ReloadOptions,
): ReloadedCertificate {
  const listeners: Array<() => void> = [];
  let certificate = initial;
  let timer: NodeJS.Timeout | undefined;
  let failures = 0;
  let reportedProblem: string | undefined;
  /** The certificate whose end was logged. */
  let reportedEnd: Certificate | undefined;

  function reload(): void {
    let next: Certificate;
    try {
      next = readCertificate(certificate, nowUnixMs(), certificate);
    } catch (error) {
      failures += 1;
      const problem = describeError(error);
      if (failures < WARN_AFTER_FAILURES || problem === reportedProblem) return;
      reportedProblem = problem;
      log.warn({ error: problem }, 'certificate not read again; the last one stays in use');
      return;
    }
    failures = 0;
    reportedProblem = undefined;
    if (next === certificate) return;
    certificate = next;
    for (const listener of listeners) listener();
    log.info(next.summary, 'certificate read again');
    reportWarnings();
  }

  function reportWarnings(): void {
    for (const warning of certificate.warnings) log.warn({ warning }, 'configuration');
    if (isInvalid()) reportedEnd = certificate;
  }

  function isInvalid(): boolean {
    const { notBeforeUnixMs, notAfterUnixMs } = certificate;
    return validityWarnings(notBeforeUnixMs, notAfterUnixMs, nowUnixMs()).length > 0;
  }

  function reportEnd(): void {
    const { certPath: path, notBeforeUnixMs, notAfterUnixMs } = certificate;
    if (reportedEnd === certificate) return;
    for (const warning of validityWarnings(notBeforeUnixMs, notAfterUnixMs, nowUnixMs())) {
      reportedEnd = certificate;
      log.warn({ path, warning }, 'certificate not valid');
    }
  }

  return {
    name: 'certificate',
    async start() {
      log.info(certificate.summary, 'certificate');
      reportWarnings();
      timer = setInterval(() => {
        reload();
        reportEnd();
      }, reloadIntervalMs);
    },
    async stop() {
      clearInterval(timer);
    },
    current: () => certificate,
    onChange: (listener) => void listeners.push(listener),
  };
}
