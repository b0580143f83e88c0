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

{{/* Smallest `redis.maxMemory` in bytes: what Redis and the connections of the trackers use without a registration. */}}
{{- define "rustory-p2p.redisMemoryFloor" -}}8388608{{- end -}}

{{/* Problems of `redis.maxMemory`, one per line. */}}
{{- define "rustory-p2p.redisMemoryProblems" -}}
{{- $limit := dig "limits" "memory" "" (.Values.redis.resources | default dict) -}}
{{- $limitBytes := include "rustory.bytes" $limit -}}
{{- $maximum := .Values.redis.maxMemory -}}
{{- $maximumBytes := include "rustory.bytes" $maximum -}}
{{- $isUnlimited := eq (int64 $maximumBytes) 0 -}}
{{- /* 0 means no limit to Redis. It needs memory for connections and for fragmentation in addition to its data. */ -}}
{{- if and (ne $limitBytes "") (gt (int64 $limitBytes) 0) (or $isUnlimited (gt (mul 10 (int64 $maximumBytes)) (mul 9 (int64 $limitBytes)))) -}}
{{- printf "redis.maxMemory (%s%s) is more than 90 %% of redis.resources.limits.memory (%v), so Kubernetes kills Redis before it is full. Lower redis.maxMemory or raise redis.resources.limits.memory; the default has a ratio of 2 to 3.\n" $maximum (ternary ", which is no limit" "" $isUnlimited) $limit -}}
{{- else if and (not $isUnlimited) (lt (int64 $maximumBytes) (int64 (include "rustory-p2p.redisMemoryFloor" .))) -}}
{{- printf "redis.maxMemory (%s) is less than the 8 MiB that Redis uses without a registration, so it would refuse all of them. Set it with a unit, for example to 144mb.\n" $maximum -}}
{{- end -}}
{{- end -}}
