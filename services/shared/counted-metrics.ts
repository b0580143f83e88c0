// Metrics that are counted in plain fields and given to prom-client only when they are scraped. Its own counters build a
// key from their labels at each call, which costs more than all other work of a request that is answered from memory.
import { Counter, type MetricObjectWithValues, type MetricValueWithName, type Registry } from 'prom-client';

/** Counts by the values of one label. */
export interface LabelledCounts<Value extends string> {
  increment(value: Value, by?: number): void;
}

/**
 * Registers a counter with one label. Every series exists from the start, so that a dashboard can distinguish zero from
 * not measured.
 */
export function createLabelledCounts<Value extends string>(
  registry: Registry,
  { name, help, label, values }: { name: string; help: string; label: string; values: readonly Value[] },
): LabelledCounts<Value> {
  const counts = new Map<Value, number>(values.map((value) => [value, 0]));
  const counter = new Counter({
    name,
    help,
    labelNames: [label],
    registers: [],
    collect() {
      this.reset();
      for (const [value, count] of counts) this.inc({ [label]: value }, count);
    },
  });
  registry.registerMetric(counter);
  return {
    increment(value, by = 1) {
      counts.set(value, (counts.get(value) ?? 0) + by);
    },
  };
}

/** The observations of one series of a histogram. */
class Series {
  readonly labels: Readonly<Record<string, string>>;
  /** Observations by the index of their bucket; the last one is above all bounds. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(labels: Readonly<Record<string, string>>, buckets: number) {
    this.labels = labels;
    this.counts = new Float64Array(buckets + 1);
  }
}

/** One series of a histogram. */
export interface ObservedSeries {
  observe(value: number): void;
}

export interface CountedHistogram {
  /** Creates a series. The caller keeps it, because finding it by its labels costs more than observing. */
  series(labels: Readonly<Record<string, string>>): ObservedSeries;
}

/** Registers a histogram. @param buckets upper bounds in ascending order */
export function createCountedHistogram(
  registry: Registry,
  { name, help, buckets }: { name: string; help: string; buckets: readonly number[] },
): CountedHistogram {
  const all: Series[] = [];
  const metric = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    async get() {
      return { name, help, type: 'histogram', aggregator: 'sum', values: all.flatMap(valuesOf) };
    },
    reset() {
      all.length = 0;
    },
  };

  function valuesOf({ labels, counts, sum }: Series): MetricValueWithName<string>[] {
    let count = 0;
    const bucketValues = [...buckets, '+Inf'].map((le, index) => {
      count += counts[index] ?? 0;
      return { labels: { le, ...labels }, value: count, metricName: `${name}_bucket` };
    });
    return [
      ...bucketValues,
      { labels, value: sum, metricName: `${name}_sum` },
      { labels, value: count, metricName: `${name}_count` },
    ];
  }

  // The registry reads the name and calls `get`, and knows no other metrics than those of its library by type.
  registry.registerMetric(metric as unknown as Counter & MetricObjectWithValues<MetricValueWithName<string>>);
  return {
    series(labels) {
      const series = new Series(labels, buckets.length);
      all.push(series);
      return {
        observe(value) {
          let index = 0;
          while (index < buckets.length && value > (buckets[index] as number)) index += 1;
          series.counts[index] = (series.counts[index] ?? 0) + 1;
          series.sum += value;
        },
      };
    },
  };
}
