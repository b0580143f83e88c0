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

{{- define "rustory-p2p.redisConfig" -}}
dir /data
# Redis reads the password only from its configuration, so the command of the container writes this file to a volume in memory.
include /run/redis/password.conf
maxmemory {{ .Values.redis.maxMemory }}
# Above the limit Redis refuses new registrations instead of evicting old ones.
maxmemory-policy noeviction
appendonly {{ ternary "yes" "no" .Values.redis.persistence.enabled }}
save ""
tcp-keepalive 60
{{- end -}}
