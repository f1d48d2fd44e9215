{{- define "conveyor.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 50 characters leave room for suffixes. */}}
{{- define "conveyor.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := include "conveyor.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "conveyor.selectorLabels" -}}
app.kubernetes.io/name: {{ include "conveyor.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "conveyor.labels" -}}
{{ include "conveyor.selectorLabels" . }}
app.kubernetes.io/part-of: conveyor
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "conveyor.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "conveyor.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "conveyor.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{/* Name of the ConfigMap with certificate authorities; empty without one. */}}
{{- define "conveyor.caConfigMap" -}}
{{- if and .Values.caBundle.pem .Values.caBundle.configMap.name }}
{{- fail "caBundle.pem and caBundle.configMap.name exclude each other" }}
{{- end }}
{{- if .Values.caBundle.pem }}
{{- printf "%s-ca" (include "conveyor.fullname" .) }}
{{- else }}
{{- .Values.caBundle.configMap.name }}
{{- end }}
{{- end }}

{{- define "conveyor.caKey" -}}
{{- if .Values.caBundle.pem }}ca.crt{{ else }}{{ .Values.caBundle.configMap.key }}{{ end }}
{{- end }}

{{- define "conveyor.subject" -}}
- kind: ServiceAccount
  name: {{ include "conveyor.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* What the operator does in every namespace it watches. */}}
{{- define "conveyor.rules" -}}
- apiGroups: [conveyor.dev]
  resources: [imagebuilds]
  verbs: [get, list, watch]
- apiGroups: [conveyor.dev]
  resources: [imagebuilds/status]
  verbs: [patch, update]
# For blockOwnerDeletion under OwnerReferencesPermissionEnforcement.
- apiGroups: [conveyor.dev]
  resources: [imagebuilds/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# Tells about builds; reads why a Job got no pod (quota, admission).
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- end }}

{{/* Where the volume with the tools of a platform is mounted. */}}
{{- define "conveyor.toolsMount" -}}
/var/lib/conveyor/tools/{{ . | replace "/" "-" }}
{{- end }}

{{/* JSON: platform to the folder with its tools. */}}
{{- define "conveyor.toolsPlatforms" -}}
{{- $folders := dict }}
{{- range $platform, $tools := .Values.tools.platforms }}
{{- $folder := $tools.path }}
{{- if $tools.volume }}
{{- $folder = printf "%s/%s" (include "conveyor.toolsMount" $platform) (trimPrefix "/" $tools.path) }}
{{- end }}
{{- $_ := set $folders $platform $folder }}
{{- end }}
{{- toJson $folders }}
{{- end }}
