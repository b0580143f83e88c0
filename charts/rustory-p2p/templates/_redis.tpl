{{/*
`true` when the trackers use the Redis of this chart, otherwise empty. The templates `rustory.*` are those of the
subcharts, and a disabled subchart is not loaded: use them only where a subchart is enabled.
*/}}
{{- define "rustory-p2p.hasRedis" -}}
{{- if .Values.tracker.enabled -}}
{{- if eq (include "tracker.redis" .Subcharts.tracker) "bundled" -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- define "rustory-p2p.redisMetadata" -}}
name: {{ include "rustory.redisName" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "rustory-p2p.redisLabels" . | nindent 2 }}
{{- end -}}

{{- define "rustory-p2p.redisLabels" -}}
{{ include "rustory.redisSelectorLabels" . }}
{{ include "rustory.originLabels" . }}
{{- end -}}
