{{- define "relay.swarmKeySecret" -}}
{{- .Values.swarmKey.existingSecret | default (printf "%s-swarm-key" (include "rustory.fullname" .)) -}}
{{- end -}}

{{- define "relay.identitySecret" -}}
{{- .Values.identity.existingSecret | default (printf "%s-identity" (include "rustory.fullname" .)) -}}
{{- end -}}

{{- define "relay.swarmKeyKey" -}}
{{- ternary .Values.swarmKey.existingSecretKey "swarm.key" (ne .Values.swarmKey.existingSecret "") -}}
{{- end -}}

{{/* Text of a swarm.key file, from that text or from its 64 hex digits. */}}
{{- define "relay.swarmKeyText" -}}
{{- if regexMatch "^[0-9a-fA-F]{64}$" (trim .) -}}
{{ printf "/key/swarm/psk/1.0.0/\n/base16/\n%s\n" (trim .) }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{/* Variables that `config` may override: all addresses of IPv4 and IPv6, because a cluster may have only one of them. */}}
{{- define "relay.configDefaults" -}}
{{- dict "RELAY_LISTEN" "/ip4/0.0.0.0/tcp/4001,/ip6/::/tcp/4001" "RELAY_OPS_LISTEN" "[::]:9091" | toJson -}}
{{- end -}}

{{/* Address templates of RELAY_ANNOUNCE, one per line. */}}
{{- define "relay.announce" -}}
{{- if .Values.p2p.announce -}}
{{- join "\n" .Values.p2p.announce -}}
{{- else -}}
{{- printf "/dns/{podName}.%s.%s.svc/tcp/4001" (include "rustory.fullname" .) .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{/* Addresses of one relay, one per line. {podIP} and {hostIP} are not replaced, because they are unknown before the pod runs. */}}
{{- define "relay.addresses" -}}
{{- $pod := printf "%s-%d" (include "rustory.fullname" .context) .ordinal -}}
{{- include "relay.announce" .context | replace "{ordinal}" (toString .ordinal) | replace "{podName}" $pod -}}
{{- end -}}

{{/* Addresses of all relays inside the cluster, as JSON. The pods of the release cannot use announced ones: many load balancers do not answer pods. */}}
{{- define "relay.clusterAddresses" -}}
{{- $name := include "rustory.fullname" . -}}
{{- $addresses := list -}}
{{- range $ordinal := until (int .Values.replicaCount) -}}
{{- $addresses = append $addresses (printf "/dns/%s-%d.%s.%s.svc/tcp/4001" $name $ordinal $name $.Release.Namespace) -}}
{{- end -}}
{{- toJson $addresses -}}
{{- end -}}

{{/* Host name of one relay for external-dns: the first DNS name among its addresses. */}}
{{- define "relay.hostname" -}}
{{- $names := list -}}
{{- range splitList "\n" (include "relay.addresses" .) -}}
{{- if regexMatch "^/dns[46]?/" . -}}
{{- $names = append $names (index (splitList "/" .) 2) -}}
{{- end -}}
{{- end -}}
{{- first $names | default "" -}}
{{- end -}}

{{/* Loads the swarm key and the seed; see `rustory.loadSecret`. Renders nothing. */}}
{{- define "relay.loadSecrets" -}}
{{- $key := .Values.swarmKey -}}
{{- $given := ternary (include "relay.swarmKeyText" $key.value) "" (ne $key.value "") -}}
{{- include "rustory.loadSecret" (dict "context" . "id" "swarmKey" "name" (printf "%s-swarm-key" (include "rustory.fullname" .)) "key" "swarm.key" "given" $given "existing" $key.existingSecret "existingKey" $key.existingSecretKey "fresh" (include "relay.swarmKeyText" (include "rustory.random" .)) "value" "swarmKey.value" "existingValue" "swarmKey.existingSecret") -}}
{{- $identity := .Values.identity -}}
{{- include "rustory.loadSecret" (dict "context" . "id" "identity" "name" (printf "%s-identity" (include "rustory.fullname" .)) "key" "seed" "given" $identity.seed "existing" $identity.existingSecret "existingKey" $identity.existingSecretKey "fresh" (include "rustory.random" .) "value" "identity.seed" "existingValue" "identity.existingSecret") -}}
{{- end -}}

{{/* What the relay reads only at the start, as JSON: the swarm key, without differences in its notation, and the seed. */}}
{{- define "relay.keyContents" -}}
{{- include "relay.loadSecrets" . -}}
{{- $key := .Values.loadedSecrets.swarmKey.content | trim | lower | splitList "\n" -}}
{{- $lines := list -}}
{{- range $key -}}{{- $lines = append $lines (trim .) -}}{{- end -}}
{{- list (compact $lines) (trim .Values.loadedSecrets.identity.content) | toJson -}}
{{- end -}}

{{/* Names of all objects of this chart, as JSON, for the check of the umbrella chart that none is there twice. */}}
{{- define "relay.objectNames" -}}
{{- $fullname := include "rustory.fullname" . -}}
{{- $names := list $fullname -}}
{{- range list "swarm-key" "identity" "dashboards" -}}
{{- $names = append $names (printf "%s-%s" $fullname .) -}}
{{- end -}}
{{- range until (int .Values.replicaCount) -}}
{{- $names = append $names (printf "%s-%d" $fullname .) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
