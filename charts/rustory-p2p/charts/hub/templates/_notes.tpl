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

After a snapshot of the volume was put back, give the hub a new identity: otherwise devices do not send again what they
have sent since the snapshot. docs/hub.md tells more.
{{ with first .Values.users }}
  kubectl --namespace {{ $namespace }} exec {{ include "hub.name" (dict "context" $context "user" .) }}-0 -c hub -- node /app/peer.js hub new-identity
{{- end }}
{{- end -}}
