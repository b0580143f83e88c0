{{/*
Name of the objects of one hub: the name of the chart's objects and the name of the user. Kubernetes appends eleven
characters to the name of a StatefulSet, for a label of at most 63, so a longer name is truncated and made unique.
Arguments: context, user.
*/}}
{{- define "hub.name" -}}
{{- $name := printf "%s-%s" (include "rustory.fullname" .context) .user.name -}}
{{- if le (len $name) 52 -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-%s" ($name | trunc 43 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- end -}}

{{/* Labels that select one hub among those of all users. Arguments: context, user. */}}
{{- define "hub.selectorLabels" -}}
{{ include "rustory.selectorLabels" .context }}
app.kubernetes.io/component: {{ .user.name }}
{{- end -}}

{{- define "hub.secretName" -}}
{{- .Values.existingSecret | default (include "rustory.fullname" .) -}}
{{- end -}}

{{- define "hub.secretKey" -}}
{{- ternary .Values.existingSecretKey "secret" (ne .Values.existingSecret "") -}}
{{- end -}}

{{/* Name of the Secret with the tokens of the hubs, also when the chart generates it. */}}
{{- define "hub.tokensSecret" -}}
{{- .Values.tokens.existingSecret | default (printf "%s-tokens" (include "rustory.fullname" .)) -}}
{{- end -}}

{{/*
The network that the values name, as JSON. The umbrella chart uses its own trackers and relays for what is empty.
`internalRelays` are addresses without peer ids, and `isGenerated` is whether the chart generates the tokens.
*/}}
{{- define "hub.network" -}}
{{- $network := .Values.network -}}
{{- dict
  "trackers" $network.trackers
  "overHttp" $network.trackerTokenOverHttp
  "relays" $network.relays
  "internalRelays" list
  "swarmKeySecret" $network.swarmKeySecret
  "swarmKeyKey" $network.swarmKeySecretKey
  "hasTokens" (ne .Values.tokens.existingSecret "")
  "isGenerated" false
  "usesTracker" false
  "usesRelays" false
| toJson -}}
{{- end -}}

{{/* Public addresses of one hub, as JSON. Arguments: context, user. */}}
{{- define "hub.announce" -}}
{{- $addresses := list -}}
{{- range .user.announce | default .context.Values.announce -}}
{{- $addresses = append $addresses (. | replace "{name}" $.user.name | replace "{nodePort}" ($.user.nodePort | default "{nodePort}" | toString) | replace "{loadBalancerIP}" ($.user.loadBalancerIP | default "{loadBalancerIP}")) -}}
{{- end -}}
{{- toJson $addresses -}}
{{- end -}}

{{/* Text of an environment variable. Kubernetes replaces $(NAME), and a double dollar sign by a single one. */}}
{{- define "hub.literal" -}}
{{- . | replace "$" "$$" | toJson -}}
{{- end -}}

{{/* Variables that `config` may override. Arguments: context, user, network. */}}
{{- define "hub.configDefaults" -}}
{{- $defaults := dict "RUSTORY_LISTEN" "/ip4/0.0.0.0/tcp/4002,/ip6/::/tcp/4002" "RUSTORY_OPS_HOST" "::" -}}
{{- /* The rest is for the write-ahead log and the file system. */ -}}
{{- with include "rustory.bytes" .context.Values.persistence.size -}}
{{- $_ := set $defaults "RUSTORY_MAX_DATABASE_BYTES" (printf "%d" (div (mul (int64 .) 8) 10)) -}}
{{- end -}}
{{- toJson $defaults -}}
{{- end -}}

{{/* Loads the secret of the hubs; see `rustory.loadSecret`. Renders nothing. */}}
{{- define "hub.loadSecrets" -}}
{{- include "rustory.loadSecret" (dict "context" . "id" "hub" "name" (include "rustory.fullname" .) "key" "secret" "given" .Values.secret "existing" .Values.existingSecret "existingKey" .Values.existingSecretKey "fresh" (include "rustory.random" .) "value" "secret" "existingValue" "existingSecret") -}}
{{- end -}}

{{/* Names of all objects of this chart, as JSON, for the check of the umbrella chart that none is there twice. */}}
{{- define "hub.objectNames" -}}
{{- $fullname := include "rustory.fullname" . -}}
{{- $names := list $fullname (printf "%s-tokens" $fullname) (printf "%s-dashboards" $fullname) -}}
{{- range .Values.users -}}
{{- $names = append $names (include "hub.name" (dict "context" $ "user" .)) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
