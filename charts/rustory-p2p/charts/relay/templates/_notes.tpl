{{/* The lines of a device's config.toml that are about the relays. `rr` knows one; the peer takes a list too. */}}
{{- define "relay.deviceConfig" -}}
{{- $context := . -}}
{{- range $ordinal := until (int .Values.replicaCount) -}}
{{- $address := include "relay.addresses" (dict "context" $context "ordinal" $ordinal) | splitList "\n" | first -}}
{{- if $ordinal }}# {{ end -}}
relay_addr = "{{ $address | replace "{hostIP}" (printf "THE_NODE_OF_RELAY_%d" $ordinal) | replace "{podIP}" (printf "THE_POD_OF_RELAY_%d" $ordinal) }}/p2p/THE_PEER_ID_OF_RELAY_{{ $ordinal }}"{{ if $ordinal }}  # or this one{{ end }}
{{ end -}}
swarm_key_path = "~/.config/rustory/swarm.key"
{{- end -}}

{{- define "relay.notes" -}}
{{- $context := . -}}
{{- $name := include "rustory.fullname" . -}}
THE PEER IDS of the relays, which stay the same:
{{ range $ordinal := until (int .Values.replicaCount) }}
  kubectl --namespace {{ $context.Release.Namespace }} exec {{ $name }}-{{ $ordinal }} -c relay -- node /app/relay.js peer-id
{{- end }}

THE SWARM KEY, for ~/.config/rustory/swarm.key with mode 600. Whoever has it can join; keep it secret:

  kubectl --namespace {{ .Release.Namespace }} get secret {{ include "relay.swarmKeySecret" . }} -o jsonpath='{.data.{{ include "relay.swarmKeyKey" . | replace "." "\\." }}}' | base64 -d
{{- if eq .Values.p2p.expose "ClusterIP" | and (not .Values.p2p.announce) }}

The relays are reached by names inside the cluster. For devices outside, set {{ include "rustory.at" . }}p2p.expose and {{ include "rustory.at" . }}p2p.announce.
{{- end }}
{{- end -}}
