{{- define "olympus.fullname" -}}
{{- if contains "olympus" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-olympus" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "olympus.selector" -}}
app.kubernetes.io/name: olympus
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "olympus.labels" -}}
{{ include "olympus.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "olympus.claim" -}}
{{ .Values.storage.persistence.existingClaim | default (printf "%s-blobs" (include "olympus.fullname" .)) }}
{{- end }}

{{- /* The Deployment of one role: a list of the root context and the role, "web" or "worker". */}}
{{- define "olympus.deployment" -}}
{{- $ := index . 0 }}
{{- $role := index . 1 }}
{{- $of := index $.Values $role }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "olympus.fullname" $ }}-{{ $role }}
  labels:
    {{- include "olympus.labels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ $role }}
spec:
  replicas: {{ $of.replicas }}
  selector:
    matchLabels:
      {{- include "olympus.selector" $ | nindent 6 }}
      app.kubernetes.io/component: {{ $role }}
  template:
    metadata:
      labels:
        {{- include "olympus.labels" $ | nindent 8 }}
        app.kubernetes.io/component: {{ $role }}
      {{- with $.Values.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      # It serves on for 3 seconds (OLYMPUS_DRAIN_DELAY), gives requests 15 more and jobs 8.
      terminationGracePeriodSeconds: 40
      # Or Kubernetes would set a variable for each Service of the namespace, and those of one named olympus are no settings.
      enableServiceLinks: false
      automountServiceAccountToken: {{ ne $.Values.serviceAccountName "" }}
      {{- with $.Values.serviceAccountName }}
      serviceAccountName: {{ . }}
      {{- end }}
      {{- with $.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext: {{- toYaml $.Values.podSecurityContext | nindent 8 }}
      containers:
        - name: olympus
          image: {{ printf "%s:%s" $.Values.image.repository ($.Values.image.tag | default $.Chart.AppVersion) | quote }}
          imagePullPolicy: {{ $.Values.image.pullPolicy }}
          ports:
            - {name: http, containerPort: 3000}
          env:
            - {name: GO_ENV, value: production}
            - {name: PORT, value: "3000"}
            - {name: OLYMPUS_ROLE, value: {{ $role }}}
            - {name: OLYMPUS_DATA_DIR, value: /data}
            - {name: OLYMPUS_NAME, value: {{ required "name is required" $.Values.name | quote }}}
            - {name: OLYMPUS_URL, value: {{ required "url is required" $.Values.url | quote }}}
            {{- with $.Values.storage.url }}
            - {name: OLYMPUS_STORAGE_URL, value: {{ . | quote }}}
            {{- end }}
            - {name: OLYMPUS_SIGNING_KEY_FILE, value: /etc/olympus/signing.key}
            - name: DATABASE_URL
              valueFrom:
                secretKeyRef:
                  name: {{ required "database.secretName is required" $.Values.database.secretName }}
                  key: {{ $.Values.database.secretKey }}
            {{- with $.Values.adminToken.secretName }}
            - name: OLYMPUS_ADMIN_TOKEN
              valueFrom:
                secretKeyRef: {name: {{ . }}, key: {{ $.Values.adminToken.secretKey }}}
            {{- end }}
            {{- range $name, $value := $.Values.settings }}
            - {name: {{ $name }}, value: {{ $value | toString | quote }}}
            {{- end }}
            {{- with $.Values.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          # At start the database may be waited for, and a release with migrations may take its time for them.
          startupProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 2
            failureThreshold: 300
          livenessProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: 2
            timeoutSeconds: 10
            # It stops serving 3 seconds after it has said that it will.
            failureThreshold: 1
          {{- with $of.resources }}
          resources: {{- toYaml . | nindent 12 }}
          {{- end }}
          securityContext: {{- toYaml $.Values.securityContext | nindent 12 }}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: tmp, mountPath: /tmp}
            - {name: signing-key, mountPath: /etc/olympus, readOnly: true}
      volumes:
        - name: data
          {{- if $.Values.storage.url }}
          emptyDir: {}
          {{- else }}
          persistentVolumeClaim: {claimName: {{ include "olympus.claim" $ }}}
          {{- end }}
        # Zips are staged here on their way into an object store.
        - name: tmp
          emptyDir: {}
        - name: signing-key
          secret:
            secretName: {{ required "signingKey.secretName is required" $.Values.signingKey.secretName }}
            items: [{key: {{ $.Values.signingKey.secretKey }}, path: signing.key}]
            defaultMode: 0440
      {{- with $of.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $of.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $of.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
