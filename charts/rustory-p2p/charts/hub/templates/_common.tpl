{{/* Copied from charts/tracker/templates/_common.tpl by `npm run docs`; do not edit. */}}

{{/*
Named templates of all charts. Named templates are global in a release, so the umbrella chart uses the templates of
its subcharts. Each subchart can be installed alone and needs its own file: this one is the original, and
`npm run docs` copies it to charts/relay and charts/hub.
*/}}

{{/*
Name of a chart's objects: release and chart, or only the release when a chart is installed alone and the release
name contains its name. Kubernetes appends hashes and ordinals to names, and limits names to 63 characters, so names
are truncated to 50.
*/}}
{{- define "rustory.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if and .Chart.IsRoot (contains .Chart.Name .Release.Name) -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 42 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end -}}

{{/* Name of the Redis that the umbrella chart installs. The tracker connects to this name. */}}
{{- define "rustory.redisName" -}}
{{- printf "%s-redis" (.Release.Name | trunc 42 | trimSuffix "-") -}}
{{- end -}}

{{/*
Checksum of the texts that a process reads only at the start, for a pod annotation: when one of them changes, Kubernetes
replaces the pods. It depends on the contents and not on where they come from: a Secret that was generated at the
install has the same checksum at each upgrade, and as a value. Users with permission to list pods can read annotations,
and a text may be a weak password, so the checksum uses scrypt.
*/}}
{{- define "rustory.checksum" -}}
{{- derivePassword 1 "maximum" (toJson .) "rustory" "checksum" | sha256sum -}}
{{- end -}}

{{- define "rustory.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rustory.redisSelectorLabels" -}}
app.kubernetes.io/name: redis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of the origin of an object. They change with each version and must not be part of a selector. */}}
{{- define "rustory.originLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: rustory-p2p
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Labels of pods. None of them changes with the chart version, because that would restart all pods. */}}
{{- define "rustory.podLabels" -}}
{{ include "rustory.selectorLabels" . }}
app.kubernetes.io/part-of: rustory-p2p
{{- with .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "rustory.labels" -}}
{{ include "rustory.selectorLabels" . }}
{{ include "rustory.originLabels" . }}
{{- end -}}

{{/* Metadata of an object. `name`, `namespace`, `labels` and `annotations` are optional. */}}
{{- define "rustory.metadata" -}}
name: {{ .name | default (include "rustory.fullname" .context) }}
namespace: {{ .namespace | default .context.Release.Namespace }}
labels:
  {{- include "rustory.labels" .context | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "rustory.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .context.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "rustory.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "rustory.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/*
Loads a Secret that the chart generates when neither the values nor the cluster have it, and stores the result in
`.context.Values.loadedSecrets`, so that all templates of one render see the same generated value. Renders nothing.

Arguments: `context`; `id` of the result; `name` and `key` of the Secret; `given`, the value from the chart values;
`existing` and `existingKey`, a Secret that the operator manages; `fresh`, a generated value; `value` and
`existingValue`, the names of the chart values for messages.

The result has `content`, the decoded text (empty if it is not known), and `source`:
- `existing`: the operator manages the Secret, and the chart creates none.
- `given`: the Secret is an object of the release.
- `adopted`: as `given`, for a Secret of an older release that Helm would delete as soon as the release does not have it.
- `live`: an earlier install or upgrade generated it. It is not an object of the release, so that no rollback changes it.
- `fresh`: a hook creates it before the install or upgrade.
- `missing`: helm is not connected to a cluster, and each render would generate a different value.
- `incomplete`: the Secret in the cluster does not have the key.

`lookup` of all Secrets of the namespace shows whether a cluster is connected: the list has a kind even when it is
empty or the namespace does not exist yet. Helm stores releases in Secrets, so every user who can install a release has
permission to list Secrets.
*/}}
{{- define "rustory.loadSecret" -}}
{{- $results := .context.Values.loadedSecrets | default dict -}}
{{- if not (hasKey $results .id) -}}
{{- $namespace := .context.Release.Namespace -}}
{{- $live := lookup "v1" "Secret" $namespace (.existing | default .name) | default dict -}}
{{- $content := get ($live.data | default dict) (ternary .existingKey .key (ne .existing "")) | default "" | b64dec -}}
{{- $annotations := dig "metadata" "annotations" (dict) $live | default dict -}}
{{- $source := "missing" -}}
{{- if .existing -}}
{{- $source = "existing" -}}
{{- else if .given -}}
{{- $source = "given" -}}
{{- $content = .given -}}
{{- else if $content -}}
{{- $isOfRelease := eq (get $annotations "meta.helm.sh/release-name") .context.Release.Name -}}
{{- $isKept := eq (get $annotations "helm.sh/resource-policy") "keep" -}}
{{- $source = ternary "adopted" "live" (and $isOfRelease (not $isKept)) -}}
{{- else if $live -}}
{{- $source = "incomplete" -}}
{{- else if lookup "v1" "Secret" $namespace "" -}}
{{- $source = "fresh" -}}
{{- $content = .fresh -}}
{{- end -}}
{{- $result := dict "source" $source "content" $content "name" .name "key" .key "value" .value "existingValue" .existingValue -}}
{{- $_ := set $results .id $result -}}
{{- $_ := set .context.Values "loadedSecrets" $results -}}
{{- end -}}
{{- end -}}

{{/*
A loaded Secret as an object: of the release, as a hook, or none. `loaded` is the result of `rustory.loadSecret`,
`labels` are those of the object.

A hook is not part of the manifest of the release, so no rollback and no uninstall changes the Secret. It is rendered only
when the Secret does not exist, and its delete policy is not the default `before-hook-creation`, which would delete an
existing Secret. The annotations of Helm let a later release own the Secret when its value becomes a chart value.
*/}}
{{- define "rustory.secretObject" -}}
{{- if has .loaded.source (list "given" "adopted" "fresh") -}}
{{- $context := .context -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .loaded.name }}
  namespace: {{ $context.Release.Namespace }}
  labels:
    {{- .labels | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
    {{- if eq .loaded.source "fresh" }}
    helm.sh/hook: pre-install,pre-upgrade
    # Only a Secret that this hook has just created, and whose creation failed.
    helm.sh/hook-delete-policy: hook-failed
    meta.helm.sh/release-name: {{ $context.Release.Name }}
    meta.helm.sh/release-namespace: {{ $context.Release.Namespace }}
    {{- end }}
type: Opaque
data:
  {{ .loaded.key }}: {{ .loaded.content | b64enc }}
{{- end -}}
{{- end -}}

{{/* Problems with the loaded Secrets of a chart, one per line. `context` is the chart, `prefix` that of its values. */}}
{{- define "rustory.secretProblems" -}}
{{- $problems := list -}}
{{- range $_, $loaded := .context.Values.loadedSecrets -}}
{{- $set := printf "Set %s%s to the name of a Secret that you manage, or set %s%s." $.prefix $loaded.existingValue $.prefix $loaded.value -}}
{{- if eq $loaded.source "missing" -}}
{{- $problems = append $problems (printf "The Secret %s cannot be generated: helm is not connected to a cluster (helm template, Argo CD), and each render would generate a different value. %s" $loaded.name $set) -}}
{{- else if eq $loaded.source "incomplete" -}}
{{- $problems = append $problems (printf "The Secret %s does not have the key %s. Add the key, or delete the Secret if a new value may be generated." $loaded.name $loaded.key) -}}
{{- end -}}
{{- end -}}
{{- join "\n" $problems -}}
{{- end -}}

{{/* Prefix of this chart's values in messages: empty, or such as `tracker.` in the umbrella chart. */}}
{{- define "rustory.valuePrefix" -}}
{{- if not .Chart.IsRoot -}}{{ .Chart.Name }}.{{- end -}}
{{- end -}}

{{/* Fails the render with all problems at once. Each problem is a sentence. */}}
{{- define "rustory.failOnProblems" -}}
{{- if . -}}
{{- fail (printf "The values are invalid:\n  - %s" (join "\n  - " .)) -}}
{{- end -}}
{{- end -}}

{{/* 32 random bytes as 64 hex digits. */}}
{{- define "rustory.random" -}}
{{- printf "%x" (randBytes 32 | b64dec) -}}
{{- end -}}

{{/* Fields that the specifications of all pods share: security context, image pull Secrets, scheduling. */}}
{{- define "rustory.podSpec" -}}
{{- with .values.serviceAccount -}}
serviceAccountName: {{ include "rustory.serviceAccountName" $.context }}
{{ end -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml .values.podSecurityContext | nindent 2 }}
{{- with concat (.context.Values.global.imagePullSecrets | default list) (.values.imagePullSecrets | default list) }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Topology spread constraints. The template adds the label selector, so values cannot set a wrong one. */}}
{{- define "rustory.topologySpread" -}}
{{- $context := . -}}
{{- range $key, $constraint := .Values.topologySpread }}
- topologyKey: {{ $key }}
  {{- toYaml $constraint | nindent 2 }}
  labelSelector:
    matchLabels:
      {{- include "rustory.selectorLabels" $context | nindent 6 }}
{{- end }}
{{- end -}}

{{/* Environment variables from `config`, which docs/environment.md lists, and `defaults` of the chart. */}}
{{- define "rustory.configEnv" -}}
{{- range $name, $value := merge (deepCopy .config) .defaults }}
- name: {{ $name }}
  # Helm parses numbers as floats and would print large numbers with an exponent.
  value: {{ if kindIs "float64" $value }}{{ printf "%.0f" $value | quote }}{{ else }}{{ $value | quote }}{{ end }}
{{- end }}
{{- end -}}

{{/* Rule of a NetworkPolicy that allows requests to the DNS of the cluster. */}}
{{- define "rustory.dnsEgress" -}}
- to:
    {{- toYaml .Values.networkPolicy.dnsTo | nindent 4 }}
  ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
{{- end -}}

{{/* Peer of a NetworkPolicy for the pod of `helm test`. It may connect to the ports that devices connect to. */}}
{{- define "rustory.testPeer" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: network-test
      app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Peer of a NetworkPolicy for the hubs of the release, which use its trackers and relays. */}}
{{- define "rustory.hubPeer" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: hub
      app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/*
One alert from a file of files/alerts. `{{ $…` is a template of Prometheus and is not rendered; Helm renders all
other templates.
*/}}
{{- define "rustory.alert" -}}
{{- $text := .text | replace "{{ $" "@@PROMETHEUS@@" -}}
{{- tpl $text .context | replace "@@PROMETHEUS@@" "{{ $" -}}
{{- end -}}

{{/* PrometheusRule with one group: all alerts of files/alerts that are not excluded. */}}
{{- define "rustory.prometheusRule" -}}
{{- if .Values.prometheusRule.enabled -}}
{{- $rule := .Values.prometheusRule -}}
{{- $rules := list -}}
{{- range $path, $_ := .Files.Glob "files/alerts/*.yaml" -}}
{{- $alert := include "rustory.alert" (dict "text" ($.Files.Get $path) "context" $) | fromYaml -}}
{{- if not (has $alert.alert $rule.excludeRules) -}}
{{- $runbook := dict "runbook_url" (printf "%s/%s.md" (trimSuffix "/" $rule.runbookUrl) $alert.alert) -}}
{{- $_ := set $alert "annotations" (merge ($alert.annotations | default dict) $runbook) -}}
{{- $_ := set $alert "labels" (merge (deepCopy $rule.ruleLabels) ($alert.labels | default dict)) -}}
{{- $rules = append $rules $alert -}}
{{- end -}}
{{- end -}}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  {{- include "rustory.metadata" (dict "context" . "namespace" $rule.namespace "labels" $rule.labels) | nindent 2 }}
spec:
  groups:
    - name: {{ include "rustory.fullname" . }}
      rules:
        {{- toYaml $rules | nindent 8 }}
{{- end -}}
{{- end -}}

{{/* ConfigMap with all files of files/dashboards, for the sidecar of Grafana. */}}
{{- define "rustory.dashboards" -}}
{{- if .Values.dashboards.enabled -}}
{{- $dashboards := .Values.dashboards -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "rustory.metadata" (dict "context" . "name" (printf "%s-dashboards" (include "rustory.fullname" .)) "namespace" $dashboards.namespace "labels" $dashboards.labels "annotations" $dashboards.annotations) | nindent 2 }}
data:
  {{- (.Files.Glob "files/dashboards/*.json").AsConfig | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Endpoint of a ServiceMonitor or PodMonitor. Arguments: context, monitor. */}}
{{- define "rustory.scrape" -}}
{{- $monitor := .monitor -}}
- port: ops
  path: /metrics
  {{- with $monitor.interval }}
  interval: {{ . }}
  {{- end }}
  {{- with $monitor.scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with $monitor.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  relabelings:
    # Alerts and dashboards select it, because a namespace may contain several releases.
    - action: replace
      targetLabel: release
      replacement: {{ .context.Release.Name }}
    {{- with $monitor.relabelings }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* PodDisruptionBudget for more than one replica. For a single replica it would block each drain of its node. */}}
{{- define "rustory.pdb" -}}
{{- $pdb := .context.Values.pdb -}}
{{- if and $pdb.enabled (gt (int .replicas) 1) -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "rustory.metadata" . | nindent 2 }}
spec:
  {{- if ne (toString $pdb.minAvailable) "" }}
  minAvailable: {{ $pdb.minAvailable }}
  {{- else if ne (toString $pdb.maxUnavailable) "" }}
  maxUnavailable: {{ $pdb.maxUnavailable }}
  {{- else }}
  maxUnavailable: 1
  {{- end }}
  # A pod that is not ready serves no requests, so it may be evicted.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "rustory.selectorLabels" .context | nindent 6 }}
{{- end -}}
{{- end -}}

{{/*
Problems of a PodDisruptionBudget that never allows an eviction, one per line: the drain of a node would wait for ever.
Kubernetes rounds percentages up. Arguments as for `rustory.pdb`.
*/}}
{{- define "rustory.pdbProblems" -}}
{{- $prefix := include "rustory.valuePrefix" .context -}}
{{- $pdb := .context.Values.pdb -}}
{{- $pods := int .replicas -}}
{{- if and $pdb.enabled (gt $pods 1) -}}
{{- $minimum := toString $pdb.minAvailable -}}
{{- $percent := trimSuffix "%" $minimum | int -}}
{{- $isAll := ge $percent $pods -}}
{{- if hasSuffix "%" $minimum -}}
{{- $isAll = gt (mul $percent $pods) (mul 100 (sub $pods 1)) -}}
{{- end -}}
{{- if and (ne $minimum "") $isAll -}}
{{- printf "%spdb.minAvailable (%s) is all of the %d pods, which blocks each drain of a node. Set it to at most %d.\n" $prefix $minimum $pods (sub $pods 1) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The families of the addresses of a Service. */}}
{{- define "rustory.ipFamilies" -}}
{{- with .ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end -}}

{{/*
Bytes of a quantity: of Kubernetes, such as `224Mi`, `0.5G` or a number, or of redis.conf, such as `144mb`, where the units
are powers of 1024.
*/}}
{{- define "rustory.bytes" -}}
{{- $text := toString . -}}
{{- if kindIs "float64" . -}}{{- $text = printf "%.0f" . -}}{{- end -}}
{{- $number := regexFind "^[0-9]*[.]?[0-9]*([eE][0-9]+)?" $text -}}
{{- $units := dict "" 1 "m" 0.001 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "kb" 1024 "mb" 1048576 "gb" 1073741824 -}}
{{- $unit := trimPrefix $number $text -}}
{{- /* A unit that the table does not have is not judged. */ -}}
{{- if hasKey $units $unit -}}
{{- printf "%.0f" (mulf (float64 $number) (get $units $unit)) -}}
{{- end -}}
{{- end -}}
