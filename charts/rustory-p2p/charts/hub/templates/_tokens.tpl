{{/*
Loads the generated tokens of the hubs into `.Values.loadedTokens`, with the `source` as of `rustory.loadSecret`, and the
`data` of the Secret: the token of each hub, and `tokens`, the lines for the trackers. Renders nothing.

An upgrade keeps the token of a user and generates those of new users. The token of a removed user stays in the Secret, for
a rollback to a revision that has this hub, but the trackers do not read it any more.
*/}}
{{- define "hub.loadTokens" -}}
{{- if not .Values.loadedTokens -}}
{{- $live := lookup "v1" "Secret" .Release.Namespace (include "hub.tokensSecret" .) | default dict -}}
{{- $old := $live.data | default dict -}}
{{- $data := omit $old "tokens" -}}
{{- $lines := list -}}
{{- range .Values.users -}}
{{- $key := printf "token-%s" .name -}}
{{- $token := get $old $key | default "" | b64dec | trim | default (include "rustory.random" $) -}}
{{- $_ := set $data $key (b64enc $token) -}}
{{- $lines = append $lines (printf "%s user=%s hub\n" $token (urlquery .userId | replace "+" "%20")) -}}
{{- end -}}
{{- $_ := set $data "tokens" (join "" $lines | b64enc) -}}
{{- $source := "fresh" -}}
{{- if eq (toJson $data) (toJson $old) -}}
{{- $source = "live" -}}
{{- else if not (lookup "v1" "Secret" .Release.Namespace "") -}}
{{- $source = "missing" -}}
{{- end -}}
{{- $_ := set .Values "loadedTokens" (dict "source" $source "data" $data) -}}
{{- end -}}
{{- end -}}

{{/*
The Secret with the generated tokens: a hook that replaces the Secret when the list of users or an id has changed, and
none otherwise. It is not an object of the release, as all generated Secrets: see `rustory.secretObject`.
*/}}
{{- define "hub.tokensObject" -}}
{{- include "hub.loadTokens" . -}}
{{- if eq .Values.loadedTokens.source "fresh" -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ include "hub.tokensSecret" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "rustory.labels" . | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-delete-policy: before-hook-creation
type: Opaque
data:
  {{- toYaml .Values.loadedTokens.data | nindent 2 }}
{{- end -}}
{{- end -}}
