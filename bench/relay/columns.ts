// Columns that several benchmarks of the relay have.
import type { Column, Sample } from '../benchmark.ts';
import { quantile } from '../statistics.ts';

const MIB = 1024 ** 2;
const GB = 1e9;

function perByte(value: (sample: Sample) => number): Column['read'] {
  return (sample) => (sample.bytes === undefined || sample.bytes === 0 ? undefined : value(sample));
}

export const CPU_PER_GB: Column = {
  key: 'cpuPerGb',
  title: 'CPU of the relay',
  unit: 's per GB',
  against: 'rust',
  read: perByte(({ cpuSeconds, bytes = 0 }) => cpuSeconds / (bytes / GB)),
};

export const MB_PER_SECOND: Column = {
  key: 'mbPerSecond',
  title: 'Throughput',
  unit: 'MB/s',
  digits: 0,
  against: 'rust',
  read: perByte(({ seconds, bytes = 0 }) => bytes / 1e6 / seconds),
};

/** @param operation what the CPU time is divided by, such as `sync` */
export function cpuPerOperation(operation: string): Column {
  return {
    key: 'cpuMs',
    title: 'CPU of the relay',
    unit: `ms per ${operation}`,
    against: 'rust',
    read: ({ cpuSeconds, operations }) => (operations === 0 ? undefined : (cpuSeconds * 1000) / operations),
  };
}

/** A quantile of the durations of the operations of one sample. */
export function latency(key: string, title: string, share: number): Column {
  return {
    key,
    title,
    unit: 'ms',
    digits: 1,
    read: ({ latenciesMs = [] }) => (latenciesMs.length === 0 ? undefined : quantile(latenciesMs, share)),
  };
}

export const RSS: Column = {
  key: 'rssMiB',
  title: 'Peak memory',
  unit: 'MiB',
  digits: 0,
  read: ({ rssBytes }) => (rssBytes === undefined ? undefined : rssBytes / MIB),
};

/** A figure that only one benchmark has. */
export function figure(
  key: string,
  title: string,
  unit: string,
  more: Pick<Column, 'digits' | 'against'> = {},
): Column {
  return { key, title, unit, digits: 1, read: ({ figures }) => figures?.[key], ...more };
}
