{{/*
What all three charts are made of. The file of the umbrella is the original; `npm run docs` copies it into the
subcharts, because each of them can be installed alone.
*/}}

{{/*
Name of a chart's objects. In the umbrella each subchart's begin with the release; alone, a release that is
called like the chart needs no second mention. 50 characters leave room for the hashes and ordinals that
Kubernetes appends within its 63.
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

{{/* The Redis that the umbrella brings along; the tracker finds it by this name. */}}
{{- define "rustory.redisName" -}}
{{- printf "%s-redis" (.Release.Name | trunc 42 | trimSuffix "-") -}}
{{- end -}}

{{/*
Tells given values from others, in an annotation for everybody who may see pods. Where they hold a password, which may be
one that can be guessed, the sum is taken by a function that is slow to try (scrypt).
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

{{/* Labels that say where an object comes from; never part of a selector. */}}
{{- define "rustory.originLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: rustory-p2p
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Labels of pods: none that changes with the chart, or each new version of it would restart all pods. */}}
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

{{/* Name and labels of an object of the chart, with annotations and labels from values. */}}
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
A Secret's value as base64: the given one, else the one that is in the cluster, else a fresh one. Without a
cluster a fresh one would be another at each render, so there the render ends and says what to set.

The list of the namespace's Secrets tells whether a cluster answers: it has a kind even when it has no items and
the namespace does not exist yet, and Helm keeps its releases there, so it may be read by whoever installs.
*/}}
{{- define "rustory.keptSecret" -}}
{{- $namespace := .context.Release.Namespace -}}
{{- $old := get (default dict (lookup "v1" "Secret" $namespace .name).data) .key -}}
{{- if .given -}}
{{- .given | b64enc -}}
{{- else if $old -}}
{{- $old -}}
{{- else if lookup "v1" "Secret" $namespace "" -}}
{{- .fresh | b64enc -}}
{{- else -}}
{{- $at := include "rustory.at" .context -}}
{{- fail (printf "%s%s must name a Secret that you keep, or %s%s be set: no cluster can be asked for the Secret %s here (helm template, GitOps), and a generated one would be another at each render" $at .existing $at .value .name) -}}
{{- end -}}
{{- end -}}

{{/* What stands before a value of this chart, so that messages name it as the user has to write it. */}}
{{- define "rustory.at" -}}
{{- if not .Chart.IsRoot -}}{{ .Chart.Name }}.{{- end -}}
{{- end -}}

{{/* Ends the render with all problems at once. */}}
{{- define "rustory.complain" -}}
{{- if . -}}
{{- fail (printf "the values cannot be used:\n  - %s" (join "\n  - " .)) -}}
{{- end -}}
{{- end -}}

{{/* 32 bytes of the system's randomness, as 64 hex digits. */}}
{{- define "rustory.random" -}}
{{- printf "%x" (randBytes 32 | b64dec) -}}
{{- end -}}

{{/* What every pod has: who it runs as, where it may run, and when it must have stopped. */}}
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

{{/* Constraints by topology key. The selector is put in here, so that it cannot be a wrong one. */}}
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

{{/* Variables of the service that values set by their own names, as docs/environment.md lists them. */}}
{{- define "rustory.configEnv" -}}
{{- range $name, $value := .Values.config }}
- name: {{ $name }}
  # Helm reads numbers as floats, and writes large ones with an exponent.
  value: {{ if kindIs "float64" $value }}{{ printf "%.0f" $value | quote }}{{ else }}{{ $value | quote }}{{ end }}
{{- end }}
{{- end -}}

{{/* Rules of a NetworkPolicy for the names of the cluster's DNS. */}}
{{- define "rustory.dnsEgress" -}}
- to:
    {{- toYaml .Values.networkPolicy.dnsTo | nindent 4 }}
  ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
{{- end -}}

{{/* The pod of `helm test`, which may come to whatever devices may come to. */}}
{{- define "rustory.testPeer" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: grid-test
      app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/*
One alert, as a file of files/alerts holds it. `{{ $…` belongs to Prometheus and stays as it is; all else between
braces is filled in from values.
*/}}
{{- define "rustory.alert" -}}
{{- $text := .text | replace "{{ $" "@@PROMETHEUS@@" -}}
{{- tpl $text .context | replace "@@PROMETHEUS@@" "{{ $" -}}
{{- end -}}

{{/* A PrometheusRule with one group: every file of files/alerts whose alert is not excluded. */}}
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

{{/* A ConfigMap for Grafana's sidecar with every file of files/dashboards. */}}
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

{{/* What a scrape of a monitor looks like. */}}
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

{{/* A PodDisruptionBudget, only where the replicas are more than one: for one it would block every drain of its node. */}}
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
  # A pod that is not ready serves nobody, so it need not be kept.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "rustory.selectorLabels" .context | nindent 6 }}
{{- end -}}
{{- end -}}
