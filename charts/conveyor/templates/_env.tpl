{{/* The operator's whole configuration; explained in README.md. */}}
{{- define "conveyor.env" -}}
- name: CONVEYOR_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: CONVEYOR_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: CONVEYOR_IMAGE
  value: {{ include "conveyor.image" . | quote }}
- name: CONVEYOR_IMAGE_PULL_POLICY
  value: {{ .Values.image.pullPolicy }}
- name: CONVEYOR_WATCH_NAMESPACES
  value: {{ join "," (uniq .Values.watchNamespaces) | quote }}
- name: CONVEYOR_INSECURE_REGISTRIES
  value: {{ join "," .Values.registry.insecure | quote }}
- name: CONVEYOR_REGISTRY_MIRRORS
  value: {{ toJson .Values.registry.mirrors | quote }}
- name: CONVEYOR_MOUNT_FROM_PATHS
  value: {{ toJson .Values.mounts.fromPaths | quote }}
- name: CONVEYOR_ADD_REMOTE
  value: {{ toJson .Values.addRemote | quote }}
- name: CONVEYOR_TOOLS_PLATFORMS
  value: {{ include "conveyor.toolsPlatforms" . | quote }}
- name: CONVEYOR_BUILD_PLATFORM
  value: {{ .Values.buildPlatform | quote }}
- name: CONVEYOR_CA_FILE
  value: {{ ternary "/etc/conveyor/ca/ca.crt" "" (ne (include "conveyor.caConfigMap" .) "") | quote }}
- name: CONVEYOR_CALLBACK_URL
  value: {{ printf "http://%s.%s.svc:%v" (include "conveyor.fullname" .) .Release.Namespace .Values.http.port | quote }}
- name: CONVEYOR_HTTP_PORT
  value: {{ .Values.http.port | quote }}
- name: CONVEYOR_MAX_JOBS
  value: {{ .Values.maxConcurrentJobs | quote }}
- name: CONVEYOR_STAGE_CPU_REQUEST
  value: {{ .Values.builds.cpuRequest | quote }}
- name: CONVEYOR_DOCKER_ENDPOINT
  value: {{ .Values.builds.docker.endpoint | quote }}
- name: CONVEYOR_DOCKER_TLS_DIR
  value: {{ ternary "/etc/conveyor/docker" "" (ne .Values.builds.docker.tlsSecret "") | quote }}
- name: CONVEYOR_DOCKER_NETWORK
  value: {{ .Values.builds.docker.network | quote }}
- name: CONVEYOR_LOG_LEVEL
  value: {{ upper .Values.logLevel | quote }}
- name: CONVEYOR_CACHE_DIR
  value: /var/cache/conveyor
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
