{{- define "lbc.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "lbc.fullname" -}}
{{- $name := include "lbc.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{ .Values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* The webhook, its Service and its Secret are named without "-controller". */ -}}
{{- define "lbc.prefix" -}}
{{ .Values.nameOverride | default (trimSuffix "-controller" .Chart.Name) | trunc 42 | trimSuffix "-" }}
{{- end }}

{{- define "lbc.account" -}}
{{ .Values.serviceAccount.name | default (ternary (include "lbc.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "lbc.selector" -}}
app.kubernetes.io/name: {{ include "lbc.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lbc.labels" -}}
{{ include "lbc.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.additionalLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Certificates of the webhook: those given, else those of the last release, else new ones. */ -}}
{{- define "lbc.certificates" -}}
{{- $service := printf "%s-webhook-service.%s" (include "lbc.prefix" .) .Release.Namespace -}}
{{- $kept := lookup "v1" "Secret" .Release.Namespace (printf "%s-tls" (include "lbc.prefix" .)) -}}
{{- /* Helm 4.2 and newer drop what is null in values.yaml, and with it a map of nothing else. */ -}}
{{- $given := .Values.webhookTLS | default dict -}}
{{- if and $given.caCert $given.cert $given.key -}}
ca: {{ b64enc $given.caCert }}
certificate: {{ b64enc $given.cert }}
key: {{ b64enc $given.key }}
{{- else if and $.Values.keepTLSSecret $kept -}}
ca: {{ index $kept.data "ca.crt" }}
certificate: {{ index $kept.data "tls.crt" }}
key: {{ index $kept.data "tls.key" }}
{{- else -}}
{{- $names := list $service (printf "%s.svc" $service) (printf "%s.svc.%s" $service $.Values.cluster.dnsDomain) -}}
{{- $ca := genCA "aws-load-balancer-controller-ca" 3650 -}}
{{- $signed := genSignedCert (include "lbc.fullname" $) nil $names 3650 $ca -}}
ca: {{ b64enc $ca.Cert }}
certificate: {{ b64enc $signed.Cert }}
key: {{ b64enc $signed.Key }}
{{- end -}}
{{- end }}
