{{/*
The Deployment of the trackers. The umbrella chart renders it, because it depends on the hubs of the release: their tokens,
and whether devices are listed as a star. Arguments: context; star; hubTokensSecret, the name of a Secret, or empty.
*/}}
{{- define "tracker.deployment" -}}
{{- $star := .star -}}
{{- $hubTokensSecret := .hubTokensSecret -}}
{{- with .context -}}
{{- $context := . -}}
{{- $redis := include "tracker.redis" . -}}
{{- $passwordSecret := include "tracker.redisPasswordSecret" . -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "rustory.metadata" (dict "context" .) | nindent 2 }}
spec:
  {{- /* With an autoscaler, the number of pods that it has set. Without a number Kubernetes would scale to one. */}}
  {{- with include "tracker.deployedReplicas" . }}
  replicas: {{ . }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "rustory.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "rustory.podLabels" . | nindent 8 }}
      annotations:
        # The tracker reads the certificate authority only at the start, and uses a connected Redis until its connection
        # ends, even if the URL leads to another one. It reloads tokens, and logins at each new connection.
        checksum/redis: {{ include "rustory.checksum" (include "tracker.redisContents" . | fromJsonArray) }}
        {{- with .Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "rustory.podSpec" (dict "context" . "values" .Values) | nindent 6 }}
      {{- with include "rustory.topologySpread" . | trim }}
      topologySpreadConstraints:
        {{- . | nindent 8 }}
      {{- end }}
      # preStop sleep, drain deadline, and 10 seconds for the exit of the process.
      terminationGracePeriodSeconds: {{ add .Values.preStopSleepSeconds .Values.drainSeconds 10 }}
      containers:
        - name: tracker
          image: {{ include "rustory.image" (dict "image" .Values.image "context" .) }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          command: [node, /app/tracker.js]
          env:
            - name: TRACKER_DRAIN_SECONDS
              value: {{ .Values.drainSeconds | quote }}
            {{- if .Values.auth.enabled }}
            - name: TRACKER_TOKENS_FILE
              value: /run/rustory/tokens
            {{- else }}
            - name: TRACKER_ALLOW_UNAUTHENTICATED
              value: "true"
            {{- end }}
            {{- if include "tracker.servesTls" . }}
            - name: TRACKER_TLS_CERT_FILE
              value: /run/rustory/tls/tls.crt
            - name: TRACKER_TLS_KEY_FILE
              value: /run/rustory/tls/tls.key
            - name: TRACKER_PLAIN_LISTEN
              value: {{ include "tracker.plainListen" . | quote }}
            {{- end }}
            {{- if eq $redis "bundled" }}
            - name: TRACKER_REDIS_URL
              value: redis://{{ include "rustory.redisName" . }}:6379
            {{- else if eq $redis "external" }}
            - name: TRACKER_REDIS_URL_FILE
              value: /run/rustory/redis-url/url
            {{- end }}
            {{- if $passwordSecret }}
            - name: TRACKER_REDIS_PASSWORD_FILE
              value: /run/rustory/redis-password/password
            {{- end }}
            {{- with .Values.externalRedis.sentinels }}
            {{- if .username }}
            - name: TRACKER_REDIS_SENTINEL_USERNAME
              value: {{ .username | quote }}
            {{- end }}
            {{- if .passwordKey }}
            - name: TRACKER_REDIS_SENTINEL_PASSWORD_FILE
              value: /run/rustory/redis-sentinels/password
            {{- end }}
            {{- if ne (toString .tls) "" }}
            - name: TRACKER_REDIS_SENTINEL_TLS
              value: {{ .tls | quote }}
            {{- end }}
            {{- end }}
            {{- if .Values.externalRedis.caConfigMap }}
            - name: NODE_EXTRA_CA_CERTS
              value: /run/rustory/redis-ca/ca.crt
            {{- end }}
            {{- with include "rustory.configEnv" (dict "config" .Values.config "defaults" (include "tracker.configDefaults" (dict "context" . "star" $star) | fromJson)) | trim }}
            {{- . | nindent 12 }}
            {{- end }}
          ports:
            - name: http
              containerPort: 8850
            - name: ops
              containerPort: 9090
            {{- if include "tracker.servesTls" . }}
            - name: plain
              containerPort: 8851
            {{- end }}
          startupProbe:
            httpGet:
              path: /livez
              port: ops
            periodSeconds: 1
            failureThreshold: 60
          livenessProbe:
            httpGet:
              path: /livez
              port: ops
            periodSeconds: 10
            timeoutSeconds: 5
          readinessProbe:
            httpGet:
              path: /readyz
              port: ops
            periodSeconds: {{ .Values.readinessProbe.periodSeconds }}
            timeoutSeconds: 2
            failureThreshold: {{ .Values.readinessProbe.failureThreshold }}
          {{- if .Values.preStopSleepSeconds }}
          lifecycle:
            preStop:
              sleep:
                seconds: {{ .Values.preStopSleepSeconds }}
          {{- end }}
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
          securityContext:
            {{- toYaml .Values.securityContext | nindent 12 }}
          volumeMounts:
            {{- if .Values.auth.enabled }}
            - name: tokens
              mountPath: /run/rustory/tokens
              readOnly: true
            {{- end }}
            {{- if include "tracker.servesTls" . }}
            - name: tls
              mountPath: /run/rustory/tls
              readOnly: true
            {{- end }}
            {{- if eq $redis "external" }}
            - name: redis-url
              mountPath: /run/rustory/redis-url
              readOnly: true
            {{- end }}
            {{- if $passwordSecret }}
            - name: redis-password
              mountPath: /run/rustory/redis-password
              readOnly: true
            {{- end }}
            {{- if .Values.externalRedis.sentinels.passwordKey }}
            - name: redis-sentinels
              mountPath: /run/rustory/redis-sentinels
              readOnly: true
            {{- end }}
            {{- if .Values.externalRedis.caConfigMap }}
            - name: redis-ca
              mountPath: /run/rustory/redis-ca
              readOnly: true
            {{- end }}
      volumes:
        {{- if .Values.auth.enabled }}
        - name: tokens
          {{- if $hubTokensSecret }}
          projected:
            sources:
              - secret:
                  name: {{ include "tracker.tokensSecret" . }}
              # The trackers read changes of the tokens of hubs without a restart, and start without them.
              - secret:
                  name: {{ $hubTokensSecret }}
                  optional: true
                  items:
                    - key: tokens
                      path: tokens-of-hubs
            defaultMode: 0440
          {{- else }}
          secret:
            secretName: {{ include "tracker.tokensSecret" . }}
            defaultMode: 0440
          {{- end }}
        {{- end }}
        {{- if include "tracker.servesTls" . }}
        - name: tls
          secret:
            secretName: {{ include "tracker.tlsSecret" . }}
            items:
              - key: tls.crt
                path: tls.crt
              - key: tls.key
                path: tls.key
            defaultMode: 0440
        {{- end }}
        {{- if eq $redis "external" }}
        - name: redis-url
          secret:
            {{- if .Values.externalRedis.url }}
            secretName: {{ include "tracker.redisUrlSecret" . }}
            {{- else }}
            secretName: {{ .Values.externalRedis.existingSecret }}
            items:
              - key: {{ .Values.externalRedis.urlKey }}
                path: url
            {{- end }}
            defaultMode: 0440
        {{- end }}
        {{- if $passwordSecret }}
        - name: redis-password
          secret:
            secretName: {{ $passwordSecret }}
            items:
              - key: {{ include "tracker.redisPasswordKey" . }}
                path: password
            defaultMode: 0440
        {{- end }}
        {{- if .Values.externalRedis.sentinels.passwordKey }}
        - name: redis-sentinels
          secret:
            secretName: {{ .Values.externalRedis.existingSecret }}
            items:
              - key: {{ .Values.externalRedis.sentinels.passwordKey }}
                path: password
            defaultMode: 0440
        {{- end }}
        {{- if .Values.externalRedis.caConfigMap }}
        - name: redis-ca
          configMap:
            name: {{ .Values.externalRedis.caConfigMap }}
        {{- end }}
{{- end -}}
{{- end -}}
