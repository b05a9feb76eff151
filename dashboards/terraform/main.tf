# Dashboards, alarms and policies for metrics and traces that tiertop ships. What they say stands in templates/, which
# `tiertop dashboards print` makes from the agent's own table of metrics.

data "aws_region" "current" {}

locals {
  templates = "${path.module}/templates"
  words = {
    namespace   = var.namespace
    environment = var.environment
    # `id` is this attribute's older name.
    region = try(data.aws_region.current.region, data.aws_region.current.id)
  }

  policies = jsondecode(templatefile("${local.templates}/policies.json", local.words))

  # The front's alarms once for each front, the others once.
  nowhere = { front_tier = "", front_service = "" }
  of_all  = jsondecode(templatefile("${local.templates}/alarms.json", merge(local.words, local.nowhere)))
  of_fronts = {
    for name, front in var.fronts : name => jsondecode(templatefile(
      "${local.templates}/alarms.json",
      merge(local.words, { front_tier = front.tier, front_service = front.service })
    ))
  }
  alarms = merge(
    { for name, alarm in local.of_all : name => merge(alarm, { kind = name }) if !alarm.of_front },
    merge([
      for front, alarms in local.of_fronts : {
        for name, alarm in alarms : "${name}-${front}" => merge(alarm, { kind = name }) if alarm.of_front
      }
    ]...)
  )

  topics = concat(aws_sns_topic.alarms[*].arn, var.alarm_topic_arns)
}

resource "aws_cloudwatch_dashboard" "this" {
  for_each = toset(["overview", "tier", "queue", "database"])

  dashboard_name = "tiertop-${var.environment}-${each.key}"
  dashboard_body = templatefile("${local.templates}/${each.key}.json", local.words)
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "tiertop-${var.environment}-${each.key}"
  alarm_description   = each.value.description
  threshold           = lookup(var.thresholds, each.value.kind, each.value.threshold)
  comparison_operator = each.value.comparison
  datapoints_to_alarm = each.value.datapoints
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = local.topics
  ok_actions          = local.topics

  dynamic "metric_query" {
    for_each = each.value.queries

    content {
      id          = metric_query.value.Id
      expression  = try(metric_query.value.Expression, null)
      label       = try(metric_query.value.Label, null)
      period      = try(metric_query.value.Period, null)
      return_data = metric_query.value.ReturnData

      dynamic "metric" {
        for_each = [for name, stat in metric_query.value : stat if name == "MetricStat"]

        content {
          namespace   = metric.value.Metric.Namespace
          metric_name = metric.value.Metric.MetricName
          dimensions  = { for dimension in metric.value.Metric.Dimensions : dimension.Name => dimension.Value }
          period      = metric.value.Period
          stat        = metric.value.Stat
        }
      }
    }
  }
}

resource "aws_sns_topic" "alarms" {
  count = var.alarm_email == null ? 0 : 1

  name = "tiertop-${var.environment}-alarms"
}

resource "aws_sns_topic_subscription" "email" {
  count = var.alarm_email == null ? 0 : 1

  topic_arn = aws_sns_topic.alarms[0].arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

resource "aws_iam_policy" "agent" {
  name        = "tiertop-${var.environment}-agent"
  description = "What a tiertop agent may do"
  policy      = jsonencode(local.policies.agent)
}

resource "aws_iam_policy" "viewer" {
  name        = "tiertop-${var.environment}-viewer"
  description = "What a viewer of tiertop's data may do"
  policy      = jsonencode(local.policies.viewer)
}
