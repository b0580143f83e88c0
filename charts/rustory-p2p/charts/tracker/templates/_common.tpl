{{/*
Named templates of all charts. Named templates are global in a release, so the umbrella chart uses the templates of
its subcharts. Each subchart can be installed alone and needs its own file: this one is the original, and
`npm run docs` copies it to charts/relay.
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
Checksum of values, for a pod annotation: when the values change, Kubernetes replaces the pods. Users with permission
to list pods can read annotations, so values with a password, which may be weak, are hashed with scrypt.
*/}}
{{- define "rustory.checksum" -}}
{{- $values := toJson .values -}}
{{- if .password -}}
{{- derivePassword 1 "maximum" $values "rustory" "checksum" | sha256sum -}}
{{- else -}}
{{- sha256sum $values -}}
{{- end -}}
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
Value of a Secret in base64: `given` if it is set, otherwise the value in the cluster, otherwise the generated `fresh`.
Without a cluster each render would generate a different value, so the render fails and names the values to set.

`lookup` of all Secrets of the namespace shows whether a cluster is connected: the list has a kind even when it is
empty or the namespace does not exist yet. Helm stores releases in Secrets, so every user who can install a release has
permission to list Secrets.
*/}}
{{- define "rustory.persistentSecret" -}}
{{- $namespace := .context.Release.Namespace -}}
{{- $old := get (default dict (lookup "v1" "Secret" $namespace .name).data) .key -}}
{{- if .given -}}
{{- .given | b64enc -}}
{{- else if $old -}}
{{- $old -}}
{{- else if lookup "v1" "Secret" $namespace "" -}}
{{- .fresh | b64enc -}}
{{- else -}}
{{- $prefix := include "rustory.valuePrefix" .context -}}
{{- fail (printf "The Secret %s cannot be generated: helm is not connected to a cluster (helm template, Argo CD), and each render would generate a different value. Set %s%s to the name of a Secret that you manage, or set %s%s." .name $prefix .existing $prefix .value) -}}
{{- end -}}
{{- end -}}

{{/* Prefix of this chart's values in messages: empty, or `tracker.` or `relay.` in the umbrella chart. */}}
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

{{/* Environment variables from `config`; docs/environment.md lists them. */}}
{{- define "rustory.configEnv" -}}
{{- range $name, $value := .Values.config }}
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

{{/* Endpoint of a ServiceMonitor or PodMonitor. */}}
{{- define "rustory.scrape" -}}
- port: ops
  path: /metrics
  {{- with .interval }}
  interval: {{ . }}
  {{- end }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .relabelings }}
  relabelings:
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
