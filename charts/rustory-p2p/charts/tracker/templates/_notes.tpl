{{/* The lines of a device's config.toml that are about the tracker. */}}
{{- define "tracker.deviceConfig" -}}
trackers = ["{{ include "tracker.url" . }}"]
{{- if .Values.auth.enabled }}
tracker_token = "THE TOKEN"
{{- end }}
{{- end -}}

{{- define "tracker.notes" -}}
{{- if .Values.auth.enabled }}
THE TOKEN for the tracker:

  kubectl --namespace {{ .Release.Namespace }} get secret {{ include "tracker.tokensSecret" . }} -o jsonpath='{.data.{{ include "tracker.tokenKey" . | replace "." "\\." }}}' | base64 -d
{{- else }}
The tracker asks for no token: whoever reaches it can register and list devices. Set auth.enabled to change that.
{{- end }}
{{- if not (and .Values.ingress.enabled .Values.ingress.host) }}

The tracker's URL above is a name inside the cluster. {{ if .Values.ingress.enabled -}}
The Ingress leads every name without a rule of its own to it, so from outside it is
http:// and the address of your Ingress controller; set ingress.host to give it a name.
{{- else -}}
For devices outside, set ingress.enabled and ingress.host, or service.type.
{{- end }}
{{- else if and .Values.auth.enabled (not .Values.ingress.tls.enabled) }}

The Ingress has no TLS, so tokens travel in clear text: set ingress.tls.enabled.
{{- end }}
{{- end -}}
