{{/* Lines of a device's config.toml for the relays. `rr` supports one relay address, so the other addresses are comments. */}}
{{- define "relay.deviceConfig" -}}
{{- $context := . -}}
{{- range $ordinal := until (int .Values.replicaCount) -}}
{{- $address := include "relay.addresses" (dict "context" $context "ordinal" $ordinal) | splitList "\n" | first -}}
{{- if $ordinal }}# {{ end -}}
relay_addr = "{{ $address | replace "{hostIP}" (printf "THE_NODE_OF_RELAY_%d" $ordinal) | replace "{podIP}" (printf "THE_POD_OF_RELAY_%d" $ordinal) }}/p2p/THE_PEER_ID_OF_RELAY_{{ $ordinal }}"{{ if $ordinal }}  # or this relay{{ end }}
{{ end -}}
swarm_key_path = "~/.config/rustory/swarm.key"
{{- end -}}

{{- define "relay.notes" -}}
{{- $context := . -}}
{{- $name := include "rustory.fullname" . -}}
Peer ids of the relays (they do not change):
{{ range $ordinal := until (int .Values.replicaCount) }}
  kubectl --namespace {{ $context.Release.Namespace }} exec {{ $name }}-{{ $ordinal }} -c relay -- node /app/relay.js peer-id
{{- end }}

Swarm key, for ~/.config/rustory/swarm.key with mode 600. Everyone who has it can join the network; keep it secret:

  kubectl --namespace {{ .Release.Namespace }} get secret {{ include "relay.swarmKeySecret" . }} -o jsonpath='{.data.{{ include "relay.swarmKeyKey" . | replace "." "\\." }}}' | base64 -d
{{- if eq .Values.p2p.expose "ClusterIP" | and (not .Values.p2p.announce) }}

The relays are reachable only inside the cluster. For devices outside the cluster, set {{ include "rustory.valuePrefix" . }}p2p.expose and {{ include "rustory.valuePrefix" . }}p2p.announce.
{{- end }}
{{- if and (eq (toString .Values.config.RELAY_PROXY_PROTOCOL) "true") (ne (toString .Values.config.RELAY_ADDRESSES_ARE_REAL) "true") }}

The relays learn the addresses of devices with the PROXY protocol, but only log them. Set {{ include "rustory.valuePrefix" . }}config.RELAY_ADDRESSES_ARE_REAL to true for limits per address.
{{- end }}
{{- end -}}
