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

{{/*
Bytes of a quantity: of Kubernetes, such as `224Mi`, `0.5G` or a number, or of redis.conf, such as `144mb`, where the units
are powers of 1024.
*/}}
{{- define "rustory-p2p.bytes" -}}
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

{{/* Smallest `redis.maxMemory` in bytes: what Redis and the connections of the trackers use without a registration. */}}
{{- define "rustory-p2p.redisMemoryFloor" -}}8388608{{- end -}}

{{/* Problems of `redis.maxMemory`, one per line. */}}
{{- define "rustory-p2p.redisMemoryProblems" -}}
{{- $limit := dig "limits" "memory" "" (.Values.redis.resources | default dict) -}}
{{- $limitBytes := include "rustory-p2p.bytes" $limit -}}
{{- $maximum := .Values.redis.maxMemory -}}
{{- $maximumBytes := include "rustory-p2p.bytes" $maximum -}}
{{- $isUnlimited := eq (int64 $maximumBytes) 0 -}}
{{- /* 0 means no limit to Redis. It needs memory for connections and for fragmentation in addition to its data. */ -}}
{{- if and (ne $limitBytes "") (gt (int64 $limitBytes) 0) (or $isUnlimited (gt (mul 10 (int64 $maximumBytes)) (mul 9 (int64 $limitBytes)))) -}}
{{- printf "redis.maxMemory (%s%s) is more than 90 %% of redis.resources.limits.memory (%v), so Kubernetes kills Redis before it is full. Lower redis.maxMemory or raise redis.resources.limits.memory; the default has a ratio of 2 to 3.\n" $maximum (ternary ", which is no limit" "" $isUnlimited) $limit -}}
{{- else if and (not $isUnlimited) (lt (int64 $maximumBytes) (int64 (include "rustory-p2p.redisMemoryFloor" .))) -}}
{{- printf "redis.maxMemory (%s) is less than the 8 MiB that Redis uses without a registration, so it would refuse all of them. Set it with a unit, for example to 144mb.\n" $maximum -}}
{{- end -}}
{{- end -}}
