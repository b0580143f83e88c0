{{/*
The StatefulSets of all users. The umbrella chart renders them, because only it knows the trackers and relays of the
release. Arguments: context; network, as of `hub.network`.
*/}}
{{- define "hub.statefulsets" -}}
{{- include "hub.loadSecrets" .context -}}
{{- /* Once for all users, because it takes as long as the rest of the render. */ -}}
{{- $checksum := include "rustory.checksum" (list (trim .context.Values.loadedSecrets.hub.content) (.network.keys | default "")) -}}
{{- range .context.Values.users }}
---
{{ include "hub.statefulset" (dict "context" $.context "network" $.network "user" . "checksum" $checksum) }}
{{- end }}
{{- end -}}

{{- define "hub.statefulset" -}}
{{- $context := .context -}}
{{- $values := .context.Values -}}
{{- $network := .network -}}
{{- $announce := include "hub.announce" . | fromJsonArray -}}
{{- $labels := dict "app.kubernetes.io/component" .user.name -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "rustory.metadata" (dict "context" $context "name" (include "hub.name" .) "labels" $labels) | nindent 2 }}
spec:
  # One process per database: two would use one identity.
  replicas: 1
  serviceName: {{ include "rustory.fullname" $context }}
  # With OrderedReady an upgrade does not replace a pod that is not ready, such as that of a hub with wrong values or a
  # full database, even if the upgrade mends it.
  podManagementPolicy: Parallel
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      {{- include "hub.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "rustory.podLabels" $context | nindent 8 }}
        app.kubernetes.io/component: {{ .user.name }}
      annotations:
        # The hub reads its secret and the swarm key only at the start.
        checksum/keys: {{ .checksum }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "rustory.podSpec" (dict "context" $context "values" $values) | nindent 6 }}
      terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
      containers:
        - name: hub
          image: {{ include "rustory.image" (dict "image" $values.image "context" $context) }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          command: [node, /app/peer.js, hub]
          env:
            # No directory of the root is writable, and there is no config.toml.
            - name: HOME
              value: /tmp
            - name: RUSTORY_USER_ID
              value: {{ include "hub.literal" .user.userId }}
            - name: RUSTORY_DB_PATH
              value: /data/history.db
            - name: RUSTORY_HUB_SECRET_PATH
              value: /run/rustory/secret/secret
            - name: RUSTORY_SWARM_KEY_PATH
              value: /run/rustory/swarm-key/swarm.key
            - name: RUSTORY_OPS_PORT
              value: "9092"
            {{- with $network.trackers }}
            - name: RUSTORY_TRACKERS
              value: {{ join "," . | quote }}
            {{- end }}
            {{- if $network.hasTokens }}
            - name: RUSTORY_TRACKER_TOKEN_PATH
              value: /run/rustory/token/token
            {{- if $network.overHttp }}
            - name: RUSTORY_TRACKER_TOKEN_OVER_HTTP
              value: "true"
            {{- end }}
            {{- end }}
            {{- with $network.relays }}
            - name: RUSTORY_RELAY_ADDR
              value: {{ join "," . | quote }}
            {{- end }}
            {{- with $network.internalRelays }}
            # The peer ids of these relays are known only at run time. The hub lists its circuits with the addresses that they announce.
            - name: RUSTORY_INTERNAL_RELAY_ADDRS
              value: {{ join "," . | quote }}
            {{- end }}
            {{- with $announce }}
            - name: RUSTORY_ANNOUNCE_ADDRS
              value: {{ join "," . | quote }}
            {{- end }}
            {{- with $values.serveTo }}
            - name: RUSTORY_SERVE_TO
              value: {{ . }}
            {{- end }}
            {{- with include "rustory.configEnv" (dict "config" $values.config "defaults" (include "hub.configDefaults" . | fromJson)) | trim }}
            {{- . | nindent 12 }}
            {{- end }}
          ports:
            - name: p2p
              containerPort: 4002
            - name: ops
              containerPort: 9092
          startupProbe:
            httpGet:
              path: /livez
              port: ops
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: {{ div (add $values.startupSeconds 4) 5 }}
          livenessProbe:
            httpGet:
              path: /livez
              port: ops
            periodSeconds: 10
            timeoutSeconds: 5
            # An insert of a large push occupies the process for some seconds.
            failureThreshold: 6
          readinessProbe:
            httpGet:
              path: /readyz
              port: ops
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 3
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          securityContext:
            {{- toYaml $values.securityContext | nindent 12 }}
          volumeMounts:
            - name: data
              mountPath: /data
            - name: tmp
              mountPath: /tmp
            - name: secret
              mountPath: /run/rustory/secret
              readOnly: true
            - name: swarm-key
              mountPath: /run/rustory/swarm-key
              readOnly: true
            {{- if $network.hasTokens }}
            - name: token
              mountPath: /run/rustory/token
              readOnly: true
            {{- end }}
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: 64Mi
        - name: secret
          secret:
            secretName: {{ include "hub.secretName" $context }}
            items:
              - key: {{ include "hub.secretKey" $context }}
                path: secret
            defaultMode: 0440
        - name: swarm-key
          secret:
            secretName: {{ $network.swarmKeySecret }}
            items:
              - key: {{ $network.swarmKeyKey }}
                path: swarm.key
            defaultMode: 0440
        {{- if $network.hasTokens }}
        - name: token
          secret:
            secretName: {{ include "hub.tokensSecret" $context }}
            # Only the token of this user.
            items:
              - key: token-{{ .user.name }}
                path: token
            defaultMode: 0440
        {{- end }}
  persistentVolumeClaimRetentionPolicy:
    whenDeleted: {{ $values.persistence.retention }}
    whenScaled: Retain
  volumeClaimTemplates:
    - metadata:
        name: data
        {{- with $values.persistence.annotations }}
        annotations:
          {{- toYaml . | nindent 10 }}
        {{- end }}
      spec:
        accessModes: {{ toJson $values.persistence.accessModes }}
        {{- with $values.persistence.storageClassName }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ $values.persistence.size }}
{{- end -}}
