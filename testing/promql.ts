// Finds the metrics, labels and label values that a PromQL expression reads and that no service exposes.
import { parser } from '@prometheus-io/lezer-promql';
import { metricsOf } from './series.ts';

type Node = NonNullable<ReturnType<typeof parser.parse>['topNode']['firstChild']>;

/** Labels that Prometheus adds to all series of a target. */
const TARGET_LABELS = new Set(['job', 'namespace', 'release', 'pod', 'instance']);
/** Series that Prometheus creates. */
const SERIES_OF_PROMETHEUS = new Set(['up']);

interface Selector {
  readonly metric: string;
  readonly matchers: ReadonlyArray<{
    readonly label: string;
    readonly equals: boolean;
    readonly value: string;
  }>;
}

/** @throws Error when the expression is not PromQL. */
function read(expression: string): { selectors: Selector[]; grouping: string[] } {
  const text = (node: Node | null): string => (node === null ? '' : expression.slice(node.from, node.to));
  const selectors: Selector[] = [];
  const grouping: string[] = [];
  const visit = (node: Node): void => {
    if (node.type.isError)
      throw new Error(
        `The expression is not PromQL at "${expression.slice(node.from, node.from + 40)}": ${expression}`,
      );
    if (node.name === 'GroupingLabels') grouping.push(...node.getChildren('LabelName').map(text));
    if (node.name === 'VectorSelector') {
      const matchers = (node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []).map(
        (matcher) => ({
          label: text(matcher.getChild('LabelName')),
          equals: text(matcher.getChild('MatchOp')) === '=',
          value: text(matcher.getChild('StringLiteral')).slice(1, -1),
        }),
      );
      selectors.push({ metric: text(node.getChild('Identifier')), matchers });
    }
    for (let child = node.firstChild; child !== null; child = child.nextSibling) visit(child);
  };
  visit(parser.parse(expression).topNode);
  return { selectors, grouping };
}

/** Metrics, labels and label values of the expression that no service exposes. */
export async function missingOf(expression: string): Promise<string[]> {
  const known = await metricsOf();
  const { selectors, grouping } = read(expression);
  const missing: string[] = [];
  const labels = new Set(TARGET_LABELS);
  for (const { metric, matchers } of selectors) {
    const series = known.get(metric);
    if (series === undefined && !SERIES_OF_PROMETHEUS.has(metric)) missing.push(metric);
    for (const name of series?.keys() ?? []) labels.add(name);
    for (const { label, equals, value } of matchers) {
      if (TARGET_LABELS.has(label)) continue;
      const values = series?.get(label);
      // The label values of an `…_info` metric depend on this machine. All others exist from the start.
      const isKnown =
        values !== undefined &&
        (label === 'le'
          ? matchesLimit(values, value)
          : !equals || metric.endsWith('_info') || values.has(value));
      if (!isKnown) missing.push(`${metric}{${label}="${value}"}`);
    }
    for (const required of ['job', 'namespace', 'release'])
      if (!matchers.some(({ label }) => label === required))
        missing.push(`matcher for ${required} of ${metric}`);
  }
  for (const label of grouping) if (!labels.has(label)) missing.push(`label ${label}`);
  return missing;
}

/** Whether a matcher matches the limit of a bucket in Prometheus 2, and in 3, which stores the limit `5` as `5.0`. */
function matchesLimit(limits: ReadonlySet<string>, pattern: string): boolean {
  const whole = new RegExp(`^(?:${pattern})$`);
  return [...limits].some((limit) => whole.test(limit) && (limit.includes('.') || whole.test(`${limit}.0`)));
}
