{{/* Lines of a device's config.toml for the tracker. */}}
{{- define "tracker.deviceConfig" -}}
trackers = ["{{ include "tracker.url" . }}"]
{{- if .Values.auth.enabled }}
tracker_token = "THE TOKEN"
{{- end }}
{{- end -}}

{{- define "tracker.notes" -}}
{{- $prefix := include "rustory.valuePrefix" . -}}
{{- $url := include "tracker.url" . -}}
{{- if .Values.auth.enabled }}
Token of the tracker (tracker_token):

  kubectl --namespace {{ .Release.Namespace }} get secret {{ include "tracker.tokensSecret" . }} -o jsonpath='{.data.{{ include "tracker.tokenKey" . | replace "." "\\." }}}' | base64 -d
{{- else }}
The tracker requires no token: everyone who can connect to it can register and list devices. To require one, set {{ $prefix }}auth.enabled.
{{- end }}
{{- if and .Values.auth.enabled (hasPrefix "http:" $url) }}

WARNING: devices with a token send no request to {{ $url }}. rr 1.x and rustory-peer
never send a token over http:// to a host that is not loopback. Use one of the three ways below.
{{- end }}
{{- if not (or (include "tracker.servesTls" .) (and .Values.ingress.enabled .Values.ingress.host)) }}

The tracker URL above works only inside the cluster.
{{- if ne .Values.service.type "ClusterIP" }} For devices outside the cluster, use the address of its Service:

  kubectl --namespace {{ .Release.Namespace }} get service {{ include "rustory.fullname" . }}
{{- else if .Values.ingress.enabled }} The Ingress routes all host names that
have no other rule to the tracker: outside the cluster its URL is http://ADDRESS{{ include "tracker.ingressPrefix" . }} with the address of your Ingress controller
{{- if .Values.auth.enabled }}, but
devices send no token to it, because it is http{{ end }}. To use a host name, set {{ $prefix }}ingress.host{{ if .Values.auth.enabled }} and {{ $prefix }}ingress.tls{{ end }}.
{{- else }} For devices outside the cluster, set {{ $prefix }}ingress.enabled and {{ $prefix }}ingress.host.
{{- end }}
{{- else if and (include "tracker.servesTls" .) (not .Values.tls.hosts) }}

Replace the host in the tracker URL with a host name of the certificate, and set {{ $prefix }}tls.hosts.
{{- end }}
{{ include "tracker.notes.ways" . }}
{{- end -}}

{{/* The ways in which a device reaches the tracker, and what breaks them. */}}
{{- define "tracker.notes.ways" -}}
{{- $prefix := include "rustory.valuePrefix" . -}}
{{- $service := ternary (include "tracker.plainService" .) (include "rustory.fullname" .) (ne (include "tracker.servesTls" .) "") }}
Three ways work with rr 1.x:
{{ if hasPrefix "https:" (include "tracker.url" .) }}
  1. https with a certificate of a public authority, as configured. A private authority does not work: rr has the
     public ones built in.
{{- else }}
  1. https with a certificate of a public authority (a private one does not work: rr has the public ones built in).
     With cert-manager and an Ingress, set {{ $prefix }}ingress.host and {{ $prefix }}ingress.tls.issuer. Without an Ingress, set
     {{ $prefix }}ingress.enabled=false and {{ $prefix }}tls.existingSecret, or {{ $prefix }}tls.issuer and {{ $prefix }}tls.hosts.
{{- end }}
  2. No token, in a private network: {{ $prefix }}auth.enabled=false{{ if not .Values.auth.enabled }}, as configured{{ end }}. Everyone who can connect can list devices.
  3. For a first try, a port-forward to the device's own loopback address:

       kubectl --namespace {{ .Release.Namespace }} port-forward service/{{ $service }} 8850:{{ .Values.service.port }}

     and in config.toml: trackers = ["http://127.0.0.1:8850"]

rr never follows a redirect: when a proxy on the way redirects http to https, or to a login, the device must use the
final URL and the proxy must not redirect it. TCP and TLS together must finish within 0.3 seconds at the first try,
then 0.6 and 1.2, for each request anew: use an ECDSA key and a short chain. rustory-peer doctor checks all of this
from a device.
{{- if .Values.ingress.enabled }} With ingress-nginx, set large-client-header-buffers to "4 32k" in the ConfigMap of the controller: rr
uninstall sends a header of up to 24 KiB.
{{- end }}
{{- end -}}
