{{- define "hub.notes" -}}
{{- $context := . -}}
{{- $namespace := .Release.Namespace -}}
Hubs, each with the merged history of one user, which its devices push to and pull from at any time:
{{ range .Values.users }}
  {{ include "hub.name" (dict "context" $context "user" .) }}-0  for the devices with user_id = {{ .userId | toRawJson }}
{{- end }}

WARNING: the volume of a hub stores shell history in plain text, secrets typed in commands included. Everyone who can
read the volume, its snapshots or backups, or exec into the pod can read it. docs/security.md tells more.

Back up a hub while it runs, and restore it:
{{ with first .Values.users }}{{ $pod := printf "%s-0" (include "hub.name" (dict "context" $context "user" .)) }}
  kubectl --namespace {{ $namespace }} exec {{ $pod }} -c hub -- node /app/peer.js backup - > history.db
  kubectl --namespace {{ $namespace }} exec -i {{ $pod }} -c hub -- node /app/peer.js restore - < history.db
{{- end }}

Never put a snapshot of the volume back without "rustory-peer hub new-identity": devices would not send again what they
have sent since the snapshot. docs/hub.md tells more.
{{- end -}}
