{{/* Minimum number of pods. */}}
{{- define "tracker.replicas" -}}
{{- if .Values.autoscaling.enabled -}}{{ .Values.autoscaling.minReplicas }}{{- else -}}{{ .Values.replicaCount }}{{- end -}}
{{- end -}}

{{/* Where registrations are stored: `external`, `bundled`, or empty for the memory of the process. */}}
{{- define "tracker.redis" -}}
{{- if or .Values.externalRedis.url .Values.externalRedis.existingSecret -}}external
{{- else if .Values.bundledRedis.enabled -}}bundled
{{- end -}}
{{- end -}}

{{- define "tracker.tokensSecret" -}}
{{- .Values.auth.existingSecret | default (printf "%s-tokens" (include "rustory.fullname" .)) -}}
{{- end -}}

{{/* Key in the Secret of tokens that the notes print and `helm test` reads. */}}
{{- define "tracker.tokenKey" -}}
{{- ternary .Values.auth.existingSecretKey "token" (ne .Values.auth.existingSecret "") -}}
{{- end -}}

{{- define "tracker.redisUrlSecret" -}}
{{- printf "%s-redis-url" (include "rustory.fullname" .) -}}
{{- end -}}

{{/* Name of the Secret with the password of Redis. Empty when the URL contains it. */}}
{{- define "tracker.redisPasswordSecret" -}}
{{- if eq (include "tracker.redis" .) "bundled" -}}
{{- .Values.bundledRedis.existingSecret | default (include "rustory.redisName" .) -}}
{{- else if .Values.externalRedis.passwordKey -}}
{{- .Values.externalRedis.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "tracker.redisPasswordKey" -}}
{{- ternary .Values.bundledRedis.existingSecretKey .Values.externalRedis.passwordKey (eq (include "tracker.redis" .) "bundled") -}}
{{- end -}}

{{/* URL of the tracker for devices. */}}
{{- define "tracker.url" -}}
{{- if and .Values.ingress.enabled .Values.ingress.host -}}
{{- printf "%s://%s%s" (ternary "https" "http" .Values.ingress.tls.enabled) .Values.ingress.host (trimSuffix "/" .Values.ingress.path) -}}
{{- else -}}
{{- include "tracker.clusterUrl" . -}}
{{- end -}}
{{- end -}}

{{- define "tracker.clusterUrl" -}}
{{- printf "http://%s.%s.svc:%v" (include "rustory.fullname" .) .Release.Namespace .Values.service.port -}}
{{- end -}}
