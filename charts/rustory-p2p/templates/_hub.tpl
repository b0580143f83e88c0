{{/*
The hubs depend on the trackers and relays of the release, and its trackers on the hubs. A subchart cannot read the values
of another one, so this chart renders what depends on both, with the named templates of the subcharts.
*/}}

{{/* Values of the hubs: empty when they are disabled. An upgrade with --reuse-values from an older chart may have none. */}}
{{- define "rustory-p2p.hasHub" -}}
{{- if (.Values.hub | default dict).enabled -}}true{{- end -}}
{{- end -}}

{{/* What the trackers must know about the hubs, as JSON: `star` and `tokensSecret`. */}}
{{- define "rustory-p2p.trackerHub" -}}
{{- $star := false -}}
{{- $secret := "" -}}
{{- if and (include "rustory-p2p.hasHub" .) .Values.tracker.auth.enabled -}}
{{- $star = .Values.hub.star -}}
{{- $secret = include "hub.tokensSecret" .Subcharts.hub -}}
{{- end -}}
{{- dict "star" $star "tokensSecret" $secret | toJson -}}
{{- end -}}

{{/* `hub.network`, with the trackers and relays of the release for what the values do not name. */}}
{{- define "rustory-p2p.hubNetwork" -}}
{{- $network := include "hub.network" .Subcharts.hub | fromJson -}}
{{- if and .Values.tracker.enabled (not $network.trackers) -}}
{{- $tracker := .Subcharts.tracker -}}
{{- $_ := set $network "trackers" (list (include "tracker.clusterUrl" $tracker)) -}}
{{- $_ := set $network "overHttp" true -}}
{{- $_ := set $network "usesTracker" true -}}
{{- $_ := set $network "trackerPort" (ternary 8851 8850 (ne (include "tracker.servesTls" $tracker) "")) -}}
{{- $_ := set $network "hasTokens" .Values.tracker.auth.enabled -}}
{{- $_ := set $network "isGenerated" (and .Values.tracker.auth.enabled (not .Values.hub.tokens.existingSecret)) -}}
{{- end -}}
{{- if .Values.relay.enabled -}}
{{- $relay := .Subcharts.relay -}}
{{- if not $network.relays -}}
{{- $_ := set $network "internalRelays" (include "relay.clusterAddresses" $relay | fromJsonArray) -}}
{{- $_ := set $network "usesRelays" true -}}
{{- end -}}
{{- if not $network.swarmKeySecret -}}
{{- $_ := set $network "swarmKeySecret" (include "relay.swarmKeySecret" $relay) -}}
{{- $_ := set $network "swarmKeyKey" (include "relay.swarmKeyKey" $relay) -}}
{{- $_ := set $network "keys" (include "relay.keyContents" $relay) -}}
{{- end -}}
{{- end -}}
{{- toJson $network -}}
{{- end -}}

{{/*
The hubs for `helm test`: the percent-encoded user ids, each with the address of its Service if there is one, because a hub
with a public address has no circuit, and many load balancers do not answer pods.
*/}}
{{- define "rustory-p2p.testedHubs" -}}
{{- $hub := .Subcharts.hub -}}
{{- $items := list -}}
{{- range $user := .Values.hub.users -}}
{{- $item := urlquery .userId | replace "+" "%20" -}}
{{- if ne $hub.Values.service.type "None" -}}
{{- $item = printf "%s=/dns/%s.%s.svc/tcp/%d" $item (include "hub.name" (dict "context" $hub "user" $user)) $.Release.Namespace (int $hub.Values.service.port) -}}
{{- end -}}
{{- $items = append $items $item -}}
{{- end -}}
{{- join "," $items | replace "$" "$$" -}}
{{- end -}}

{{/* Lines with the user of a config.toml: the users of hubs, of which all but the first are comments. */}}
{{- define "rustory-p2p.userIds" -}}
{{- $lines := list -}}
{{- if include "rustory-p2p.hasHub" . -}}
{{- range $index, $user := .Values.hub.users -}}
{{- $lines = append $lines (printf "%suser_id = %s%s" (ternary "# " "" (gt $index 0)) (toRawJson .userId) (ternary "  # or this user" "" (gt $index 0))) -}}
{{- end -}}
{{- end -}}
{{- join "\n" ($lines | default (list "user_id = \"me\"")) -}}
{{- end -}}

{{/* The notes about hubs: which there are, and what the devices of their users do. */}}
{{- define "rustory-p2p.hubNotes" -}}
{{- include "hub.notes" .Subcharts.hub }}

On each device of these users, with the config.toml above and a device_id that no other device has, and that is not "hub"
(docs/rr.md has units of systemd):

  rr daemon

pushes to the hub and pulls from it every 60 seconds, from any network. The same with rustory-peer:

  rustory-peer daemon --push
{{ if eq .Values.hub.serveTo "anyone" }}
rr 0.1 has no daemon, and runs two programs:

  rr p2p-serve
  rr p2p-sync --watch --push
{{- else }}
rr 0.1 has another peer id at each sync, so that the hub does not answer it. To change this, set hub.serveTo=anyone.
{{- end }}
{{- if .Values.hub.star }}

hub.star is on: while the hub of a user is registered, the devices of this user are listed only the hub, and sync with it
alone. When it is away for longer than a registration lives ({{ .Values.tracker.config.TRACKER_TTL_SECONDS | default 60 }}
seconds), they sync with each other again.
{{- end }}
{{- end -}}

{{/* Problems of the hubs with the other charts of the release, one per line. */}}
{{- define "rustory-p2p.hubProblems" -}}
{{- $hub := .Values.hub | default dict -}}
{{- if and $hub.star (not $hub.enabled) -}}
{{- printf "hub.star has no effect when hub.enabled is false. Set hub.enabled to true, or hub.star to false.\n" -}}
{{- else if $hub.enabled -}}
{{- $network := include "rustory-p2p.hubNetwork" . | fromJson -}}
{{- if not $network.trackers -}}
{{- printf "hub.network.trackers is empty, and tracker.enabled is false. Set it to the URLs of the trackers of your network.\n" -}}
{{- end -}}
{{- if not (or $network.relays $network.internalRelays) -}}
{{- printf "hub.network.relays is empty, and relay.enabled is false. Set it to the addresses of the relays of your network.\n" -}}
{{- end -}}
{{- if not $network.swarmKeySecret -}}
{{- printf "hub.network.swarmKeySecret is empty, and relay.enabled is false. Set it to the name of the Secret with the swarm key.\n" -}}
{{- end -}}
{{- if $hub.star -}}
{{- if not .Values.tracker.enabled -}}
{{- printf "hub.star sets a variable of the trackers of this release, but tracker.enabled is false. Set TRACKER_STAR at your trackers, and hub.star to false.\n" -}}
{{- else if not .Values.tracker.auth.enabled -}}
{{- printf "hub.star requires tokens, because without them every device could register as the hub of a user, but tracker.auth.enabled is false. Set tracker.auth.enabled to true, or hub.star to false.\n" -}}
{{- else if and $hub.network.trackers (not $hub.tokens.existingSecret) -}}
{{- printf "hub.star requires a hub that registers with a token, but hub.network.trackers is set, for which the chart generates none. Leave hub.network.trackers empty, or set hub.tokens.existingSecret.\n" -}}
{{- else if eq (toString .Values.tracker.config.TRACKER_STAR) "false" -}}
{{- printf "hub.star is true, but tracker.config.TRACKER_STAR is false. Remove one of them.\n" -}}
{{- end -}}
{{- end -}}
{{- if and $hub.tokens.existingSecret .Values.tracker.enabled (not .Values.tracker.auth.enabled) (not $hub.network.trackers) -}}
{{- printf "hub.tokens.existingSecret has no effect when tracker.auth.enabled is false. Leave it empty, or set tracker.auth.enabled to true.\n" -}}
{{- end -}}
{{- if $network.isGenerated -}}
{{- include "hub.loadTokens" .Subcharts.hub -}}
{{- if eq .Subcharts.hub.Values.loadedTokens.source "missing" -}}
{{- printf "The Secret %s cannot be generated: helm is not connected to a cluster (helm template, Argo CD), and each render would generate different values. Set hub.tokens.existingSecret to the name of a Secret that you manage.\n" (include "hub.tokensSecret" .Subcharts.hub) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
