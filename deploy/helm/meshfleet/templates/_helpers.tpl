{{- define "meshfleet.labels" -}}
app.kubernetes.io/name: meshfleet
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "meshfleet.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What every node has: by whom it is seen, and what it may. */}}
{{- define "meshfleet.pod" -}}
automountServiceAccountToken: false
terminationGracePeriodSeconds: 20
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "meshfleet.container" -}}
image: {{ include "meshfleet.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
ports:
  - { name: gossip-udp, containerPort: 7878, protocol: UDP }
  - { name: gossip-tcp, containerPort: 7878, protocol: TCP }
  - { name: https, containerPort: 7879, protocol: TCP }
# It answers as soon as it serves, also while it is cut off: no standing is a reason to restart a node.
startupProbe:
  {{- include "meshfleet.probe" . | nindent 2 }}
  periodSeconds: 2
  failureThreshold: 30
readinessProbe:
  {{- include "meshfleet.probe" . | nindent 2 }}
  periodSeconds: 10
livenessProbe:
  {{- include "meshfleet.probe" . | nindent 2 }}
  periodSeconds: 20
  failureThreshold: 3
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end }}

{{- define "meshfleet.probe" -}}
httpGet:
  scheme: HTTPS
  path: /health
  port: https
  httpHeaders:
    - { name: Host, value: localhost }
timeoutSeconds: 5
{{- end }}

{{- define "meshfleet.environment" -}}
- name: POD_IP
  valueFrom:
    fieldRef: { fieldPath: status.podIP }
- name: MESHFLEET_NAME
  valueFrom:
    fieldRef: { fieldPath: metadata.name }
# What counts as one machine: pods of one are not independent witnesses.
- name: MESHFLEET_HOST
  valueFrom:
    fieldRef: { fieldPath: spec.nodeName }
- { name: MESHFLEET_GOSSIP, value: "$(POD_IP):7878" }
- { name: MESHFLEET_HTTP, value: "0.0.0.0:7879" }
- { name: MESHFLEET_TLS, value: own }
# A node whose volume is older than all addresses of its peers finds them by the headless Service.
- { name: MESHFLEET_FIND, value: "dns:{{ .Release.Name }}-gossip.{{ .Release.Namespace }}.svc" }
- name: MESHFLEET_HTTP_NAME
  value: {{ concat (list (printf "%s.%s.svc" .Release.Name .Release.Namespace) .Release.Name) .Values.httpNames | join "," | quote }}
- { name: MESHFLEET_TIMING, value: {{ .Values.timing }} }
- { name: MESHFLEET_LOG_LEVEL, value: {{ .Values.logLevel }} }
{{- with .Values.zone }}
- { name: MESHFLEET_ZONE, value: {{ . | quote }} }
{{- end }}
{{- range $name, $value := .Values.environment }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}
