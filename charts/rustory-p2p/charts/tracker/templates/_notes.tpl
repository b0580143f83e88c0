{{/* The lines of a device's config.toml that are about the tracker. */}}
{{- define "tracker.deviceConfig" -}}
trackers = ["{{ include "tracker.url" . }}"]
{{- if .Values.auth.enabled }}
tracker_token = "THE TOKEN"
{{- end }}
{{- end -}}

{{- define "tracker.notes" -}}
{{- $at := include "rustory.at" . -}}
{{- if .Values.auth.enabled }}
THE TOKEN for the tracker:

  kubectl --namespace {{ .Release.Namespace }} get secret {{ include "tracker.tokensSecret" . }} -o jsonpath='{.data.{{ include "tracker.tokenKey" . | replace "." "\\." }}}' | base64 -d
{{- else }}
The tracker asks for no token: whoever reaches it can register and list devices. {{ $at }}auth.enabled changes that.
{{- end }}
{{- if and .Values.ingress.enabled .Values.ingress.host }}
{{- if and .Values.auth.enabled (not .Values.ingress.tls.enabled) }}

The Ingress has no TLS, so tokens travel in clear text: set {{ $at }}ingress.tls.enabled.
{{- end }}
{{- else }}

The tracker's URL above is a name inside the cluster.
{{- if ne .Values.service.type "ClusterIP" }} For devices outside, its Service has an address:

  kubectl --namespace {{ .Release.Namespace }} get service {{ include "rustory.fullname" . }}
{{- else if .Values.ingress.enabled }} The Ingress leads every name without a rule of its own
to it, so from outside it is http:// and the address of your Ingress controller; {{ $at }}ingress.host gives it a name.
{{- else }} For devices outside, set {{ $at }}ingress.enabled and {{ $at }}ingress.host.
{{- end }}
{{- end }}
{{- end -}}
