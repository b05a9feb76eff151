variable "environment" {
  description = "The dimension Environment of the metrics."
  type        = string
  default     = "default"
}

variable "namespace" {
  description = "The namespace of the metrics, as given to --cloudwatch-namespace."
  type        = string
  default     = "Tiertop"
}

variable "fronts" {
  description = "The tiers where users come in, by a short name. Without any there are no alarms on latency and errors."
  type = map(object({
    tier    = string
    service = string
  }))
  default = {}
}

variable "thresholds" {
  description = "Thresholds other than the usual ones, by the alarm's name: latency (milliseconds), errors (percent), queue-age (seconds), replica-lag (seconds), pool (percent)."
  type        = map(number)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.thresholds), ["latency", "errors", "queue-age", "replica-lag", "pool"])) == 0
    error_message = "Thresholds are of latency, errors, queue-age, replica-lag and pool."
  }
}

variable "alarm_email" {
  description = "An address for alarms; a topic is made for it."
  type        = string
  default     = null
}

variable "alarm_topic_arns" {
  description = "Topics that exist already and get the alarms too."
  type        = list(string)
  default     = []
}
