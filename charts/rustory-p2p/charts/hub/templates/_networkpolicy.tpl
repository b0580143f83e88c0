{{/* NetworkPolicy of all hubs. The umbrella chart renders it, as the StatefulSets. Arguments: context, network. */}}
{{- define "hub.networkPolicy" -}}
{{- $context := .context -}}
{{- $network := .network -}}
{{- $policy := .context.Values.networkPolicy -}}
{{- if $policy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "rustory.metadata" (dict "context" $context) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "rustory.selectorLabels" $context | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- if or (ne $context.Values.service.type "None") $policy.opsFrom $policy.extraIngress }}
  ingress:
    {{- if ne $context.Values.service.type "None" }}
    - ports:
        - port: p2p
      {{- with $policy.p2pFrom }}
      from:
        {{- toYaml . | nindent 8 }}
        {{- include "rustory.testPeer" $context | nindent 8 }}
      {{- end }}
    {{- end }}
    {{- with $policy.opsFrom }}
    - ports:
        - port: ops
      from:
        {{- toYaml . | nindent 8 }}
    {{- end }}
    {{- with $policy.extraIngress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  egress:
    {{- include "rustory.dnsEgress" $context | nindent 4 }}
    {{- if or $policy.anyEgress (not $network.usesTracker) (not $network.usesRelays) }}
    # Trackers and relays outside the release, and devices that can be reached directly, have any address and port.
    - ports:
        - { port: 1, endPort: 65535, protocol: TCP }
    {{- else }}
    - to:
        - podSelector:
            matchLabels:
              app.kubernetes.io/name: tracker
              app.kubernetes.io/instance: {{ $context.Release.Name }}
      ports:
        - port: {{ $network.trackerPort }}
    - to:
        - podSelector:
            matchLabels:
              app.kubernetes.io/name: relay
              app.kubernetes.io/instance: {{ $context.Release.Name }}
      ports:
        - port: 4001
    {{- end }}
    {{- with $policy.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
{{- end -}}
