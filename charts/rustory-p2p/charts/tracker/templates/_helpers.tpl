{{/* Minimum number of pods. */}}
{{- define "tracker.replicas" -}}
{{- if .Values.autoscaling.enabled -}}{{ .Values.autoscaling.minReplicas }}{{- else -}}{{ .Values.replicaCount }}{{- end -}}
{{- end -}}

{{/*
`spec.replicas` of the Deployment. With an autoscaler: the number in the cluster, within its bounds, or its minimum for a
new Deployment. Empty without a connection to a cluster, because a fixed number would be a permanent difference there.
*/}}
{{- define "tracker.deployedReplicas" -}}
{{- $auto := .Values.autoscaling -}}
{{- if not $auto.enabled -}}
{{- .Values.replicaCount -}}
{{- else -}}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace (include "rustory.fullname" .) -}}
{{- if $live -}}
{{- max (int $auto.minReplicas) (min (int $auto.maxReplicas) (int (dig "spec" "replicas" 0 $live))) -}}
{{- else if lookup "v1" "Secret" .Release.Namespace "" -}}
{{- $auto.minReplicas -}}
{{- end -}}
{{- end -}}
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

{{/* Whether the tracker serves TLS itself. Empty: no. */}}
{{- define "tracker.servesTls" -}}
{{- if or .Values.tls.existingSecret .Values.tls.issuer -}}true{{- end -}}
{{- end -}}

{{/* Secret with the certificate of the tracker, when it serves TLS itself. */}}
{{- define "tracker.tlsSecret" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "rustory.fullname" .)) -}}
{{- end -}}

{{/* Whether the Ingress terminates TLS. Empty: no. */}}
{{- define "tracker.ingressTls" -}}
{{- if and .Values.ingress.enabled (or .Values.ingress.tls.enabled .Values.ingress.tls.issuer) -}}true{{- end -}}
{{- end -}}

{{/* Secret with the certificate of the Ingress. Empty: the default certificate of the controller. */}}
{{- define "tracker.ingressTlsSecret" -}}
{{- if .Values.ingress.tls.secretName -}}
{{- .Values.ingress.tls.secretName -}}
{{- else if .Values.ingress.tls.issuer -}}
{{- printf "%s-ingress-tls" (include "rustory.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Kind of the issuer of cert-manager in a value: `NAME`, `ClusterIssuer/NAME` or `Issuer/NAME`. */}}
{{- define "tracker.issuerKind" -}}
{{- if contains "/" . -}}{{ splitList "/" . | first }}{{- else -}}ClusterIssuer{{- end -}}
{{- end -}}

{{- define "tracker.issuerName" -}}
{{- splitList "/" . | last -}}
{{- end -}}

{{/* Name of the Service of the port without TLS, when the tracker serves TLS itself. */}}
{{- define "tracker.plainService" -}}
{{- printf "%s-plain" (include "rustory.fullname" .) -}}
{{- end -}}

{{/* Address and port without TLS: the host of `config.TRACKER_LISTEN`, because a cluster may have only IPv6. */}}
{{- define "tracker.plainListen" -}}
{{- .Values.config.TRACKER_LISTEN | default "[::]:8850" | trimSuffix ":8850" -}}:8851
{{- end -}}

{{/*
Variables that `config` may override: all addresses of IPv4 and IPv6, because a cluster may have only one of them, and
the path of the Ingress, which most controllers do not remove from requests. Arguments: context; star, as of
`tracker.deployment`.
*/}}
{{- define "tracker.configDefaults" -}}
{{- $defaults := dict "TRACKER_LISTEN" "[::]:8850" "TRACKER_OPS_LISTEN" "[::]:9090" -}}
{{- with include "tracker.ingressPrefix" .context -}}
{{- $_ := set $defaults "TRACKER_PATH_PREFIX" . -}}
{{- end -}}
{{- if .star -}}
{{- $_ := set $defaults "TRACKER_STAR" "true" -}}
{{- end -}}
{{- toJson $defaults -}}
{{- end -}}

{{/*
Path prefix of the Ingress, without a slash at its end. Of a path that is a regular expression, such as
`/rustory(/|$)(.*)`, only the literal part before the first operator.
*/}}
{{- define "tracker.ingressPrefix" -}}
{{- if .Values.ingress.enabled -}}
{{- regexFind "^[-A-Za-z0-9_~./]*" .Values.ingress.path | trimSuffix "." | trimSuffix "/" -}}
{{- end -}}
{{- end -}}

{{/* URL of the tracker for devices. */}}
{{- define "tracker.url" -}}
{{- if include "tracker.servesTls" . -}}
{{- $host := first .Values.tls.hosts | default (printf "%s.%s.svc" (include "rustory.fullname" .) .Release.Namespace) -}}
{{- printf "https://%s%s" $host (ternary "" (printf ":%v" .Values.service.port) (eq (int .Values.service.port) 443)) -}}
{{- else if and .Values.ingress.enabled .Values.ingress.host -}}
{{- printf "%s://%s%s" (ternary "https" "http" (ne (include "tracker.ingressTls" .) "")) .Values.ingress.host (include "tracker.ingressPrefix" .) -}}
{{- else -}}
{{- include "tracker.clusterUrl" . -}}
{{- end -}}
{{- end -}}

{{/* URL of the tracker for the pods of the release, without TLS. */}}
{{- define "tracker.clusterUrl" -}}
{{- $service := ternary (include "tracker.plainService" .) (include "rustory.fullname" .) (ne (include "tracker.servesTls" .) "") -}}
{{- printf "http://%s.%s.svc:%v" $service .Release.Namespace .Values.service.port -}}
{{- end -}}

{{/* Rule of the NetworkPolicy for the port without TLS: only the pods of the release. */}}
{{- define "tracker.plainIngress" -}}
{{- if include "tracker.servesTls" . -}}
- ports:
    - port: plain
  from:
    - podSelector:
        matchLabels:
          app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- end -}}

{{/* Loads the tokens and the password of the bundled Redis; see `rustory.loadSecret`. Renders nothing. */}}
{{- define "tracker.loadSecrets" -}}
{{- $auth := .Values.auth -}}
{{- if $auth.enabled -}}
{{- include "rustory.loadSecret" (dict "context" . "id" "tokens" "name" (printf "%s-tokens" (include "rustory.fullname" .)) "key" "token" "given" (join "\n" $auth.tokens) "existing" $auth.existingSecret "existingKey" $auth.existingSecretKey "fresh" (include "rustory.random" .) "value" "auth.tokens" "existingValue" "auth.existingSecret") -}}
{{- end -}}
{{- if eq (include "tracker.redis" .) "bundled" -}}
{{- $redis := .Values.bundledRedis -}}
{{- include "rustory.loadSecret" (dict "context" . "id" "redis" "name" (include "rustory.redisName" .) "key" "password" "given" $redis.password "existing" $redis.existingSecret "existingKey" $redis.existingSecretKey "fresh" (include "rustory.random" .) "value" "bundledRedis.password" "existingValue" "bundledRedis.existingSecret") -}}
{{- end -}}
{{- end -}}

{{/* What the tracker uses for Redis, as JSON: the URL, the passwords and the certificate authority. */}}
{{- define "tracker.redisContents" -}}
{{- include "tracker.loadSecrets" . -}}
{{- $contents := list -}}
{{- if eq (include "tracker.redis" .) "bundled" -}}
{{- $contents = append $contents (trim .Values.loadedSecrets.redis.content) -}}
{{- else if eq (include "tracker.redis" .) "external" -}}
{{- $redis := .Values.externalRedis -}}
{{- $live := dict -}}
{{- with $redis.existingSecret -}}
{{- $live = dig "data" (dict) (lookup "v1" "Secret" $.Release.Namespace .) | default dict -}}
{{- end -}}
{{- $url := $redis.url | default (get $live $redis.urlKey | default "" | b64dec) -}}
{{- $password := ternary (get $live $redis.passwordKey | default "" | b64dec) "" (ne $redis.passwordKey "") -}}
{{- $authority := "" -}}
{{- with $redis.caConfigMap -}}
{{- $authority = dig "data" "ca.crt" "" (lookup "v1" "ConfigMap" $.Release.Namespace .) -}}
{{- end -}}
{{- $contents = list (trim $url) (trim $password) (trim $authority) -}}
{{- with $redis.sentinels.passwordKey -}}
{{- $contents = append $contents (get $live . | default "" | b64dec | trim) -}}
{{- end -}}
{{- end -}}
{{- toJson $contents -}}
{{- end -}}

{{/* Names of all objects of this chart, as JSON, for the check of the umbrella chart that none is there twice. */}}
{{- define "tracker.objectNames" -}}
{{- $names := list (include "rustory.fullname" .) -}}
{{- range list "ops" "plain" "tokens" "redis-url" "tls" "ingress-tls" "dashboards" -}}
{{- $names = append $names (printf "%s-%s" (first $names) .) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
