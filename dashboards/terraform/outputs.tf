output "agent_policy_arn" {
  description = "Attach to the role of the agent's task or instance."
  value       = aws_iam_policy.agent.arn
}

output "viewer_policy_arn" {
  description = "Attach to whoever looks at dashboards and traces."
  value       = aws_iam_policy.viewer.arn
}
