{{- define "ebs.selector" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ebs.labels" -}}
{{ include "ebs.selector" . }}
app.kubernetes.io/component: csi-driver
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.customLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "ebs.nodeNamespace" -}}
{{ .Values.node.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{- define "ebs.image" -}}
{{ printf "%s%s:%s" (.Values.image.containerRegistry | default "") .Values.image.repository (.Values.image.tag | default (printf "v%s" .Chart.AppVersion)) }}
{{- end }}

{{- /* Pod settings that pass from the values as they are. */ -}}
{{- define "ebs.pod" -}}
{{- range $name := list "affinity" "topologySpreadConstraints" "securityContext" }}
{{- with index $ $name }}
{{ $name }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Settings of the driver's container that pass from the values. */ -}}
{{- define "ebs.container" -}}
{{- range $name, $value := dict "envFrom" .envFrom "resources" .resources "securityContext" .containerSecurityContext }}
{{- with $value }}
{{ $name }}: {{ toJson . }}
{{- end }}
{{- end }}
ports:
  - {name: healthz, containerPort: 9808, protocol: TCP}
livenessProbe:
  httpGet: {path: /healthz, port: healthz}
  initialDelaySeconds: 10
  timeoutSeconds: 3
  periodSeconds: 10
  failureThreshold: 5
{{- end }}
