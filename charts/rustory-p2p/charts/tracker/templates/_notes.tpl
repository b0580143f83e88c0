{{/* Lines of a device's config.toml for the tracker. */}}
{{- define "tracker.deviceConfig" -}}
trackers = ["{{ include "tracker.url" . }}"]
{{- if .Values.auth.enabled }}
tracker_token = "THE TOKEN"
{{- end }}
{{- end -}}

{{- define "tracker.notes" -}}
{{- $prefix := include "rustory.valuePrefix" . -}}
{{- if .Values.auth.enabled }}
Token of the tracker (tracker_token):

  kubectl --namespace {{ .Release.Namespace }} get secret {{ include "tracker.tokensSecret" . }} -o jsonpath='{.data.{{ include "tracker.tokenKey" . | replace "." "\\." }}}' | base64 -d
{{- else }}
The tracker requires no token: everyone who can connect to it can register and list devices. To require one, set {{ $prefix }}auth.enabled.
{{- end }}
{{- if and .Values.ingress.enabled .Values.ingress.host }}
{{- if and .Values.auth.enabled (not .Values.ingress.tls.enabled) }}

The Ingress has no TLS, so tokens are sent in clear text. Set {{ $prefix }}ingress.tls.enabled.
{{- end }}
{{- else }}

The tracker URL above works only inside the cluster.
{{- if ne .Values.service.type "ClusterIP" }} For devices outside the cluster, use the address of its Service:

  kubectl --namespace {{ .Release.Namespace }} get service {{ include "rustory.fullname" . }}
{{- else if .Values.ingress.enabled }} The Ingress routes all host names that
have no other rule to the tracker: devices outside the cluster use http:// and the address of your Ingress controller.
To use a host name, set {{ $prefix }}ingress.host.
{{- else }} For devices outside the cluster, set {{ $prefix }}ingress.enabled and {{ $prefix }}ingress.host.
{{- end }}
{{- end }}
{{- end -}}
