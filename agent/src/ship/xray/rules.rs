//! X-Ray's sampling rules: what its console says of how much is to be kept, for the uniform share.
//!
//! Rules are asked for every five minutes. Every ten seconds the service is told how many traces each rule was
//! about and how many were chosen by it, and answers with this agent's part of the reservoirs; until it has,
//! a rule with a reservoir may have one trace a second, as the service's own clients borrow.
//!
//! A rule here knows service, method and path. One that asks for more (a host, a service type, an ARN,
//! attributes) is left to those who begin traces. Without an answer the agent's own share holds.

use std::time::{Duration, SystemTime};

use aws_sdk_xray::Client;
use aws_sdk_xray::types::{SamplingRule, SamplingStatisticsDocument};
use tiertop_core::choice::{ChoiceRules, RuleCount, UniformRule};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, info};

/// How often rules are asked for.
const RULES_EVERY: Duration = Duration::from_mins(5);
/// How often their use is told.
const TARGETS_EVERY: Duration = Duration::from_secs(10);
/// Rules that are told of in one call.
const MOST_TOLD: usize = 25;

/// The rules that are in use, and who is told of changes.
pub(super) struct Rules {
    client: Client,
    /// This agent among those that share the reservoirs: 24 hex digits.
    client_id: String,
    own: ChoiceRules,
    change: watch::Sender<ChoiceRules>,
    are_offered: bool,
    counts: Vec<RuleCount>,
    next_asking: Instant,
    next_telling: Instant,
}

impl Rules {
    pub(super) fn new(client: Client, client_id: u128, own: ChoiceRules, change: watch::Sender<ChoiceRules>) -> Self {
        let now = Instant::now();
        let client_id = format!("{:024x}", client_id >> 32);
        let counts = Vec::new();
        Self {
            client,
            client_id,
            own,
            change,
            are_offered: false,
            counts,
            next_asking: now,
            next_telling: now + TARGETS_EVERY,
        }
    }

    /// Asks for what is due, until nobody counts any more.
    pub(super) async fn follow(mut self, mut used: mpsc::Receiver<Vec<RuleCount>>) {
        loop {
            let due = if self.are_offered { self.next_asking.min(self.next_telling) } else { self.next_asking };
            tokio::select! {
                by_rule = used.recv() => match by_rule {
                    Some(by_rule) => self.count(&by_rule),
                    None => return,
                },
                () = tokio::time::sleep_until(due) => self.ask().await,
            }
        }
    }

    /// Adds to how often rules were used.
    fn count(&mut self, by_rule: &[RuleCount]) {
        if by_rule.len() != self.change.borrow().uniform.len() {
            // Of rules that were replaced meanwhile.
            return;
        }
        self.counts.resize(by_rule.len(), RuleCount::default());
        for (count, new) in self.counts.iter_mut().zip(by_rule) {
            count.matched += new.matched;
            count.chosen += new.chosen;
        }
    }

    async fn ask(&mut self) {
        let now = Instant::now();
        if now >= self.next_asking {
            self.next_asking = now + RULES_EVERY;
            self.ask_rules().await;
        } else {
            self.next_telling = now + TARGETS_EVERY;
            self.ask_targets().await;
        }
    }

    async fn ask_rules(&mut self) {
        let mut offered: Vec<SamplingRule> = Vec::new();
        let mut next = None;
        loop {
            match self.client.get_sampling_rules().set_next_token(next).send().await {
                Ok(answer) => {
                    offered.extend(
                        answer
                            .sampling_rule_records
                            .unwrap_or_default()
                            .into_iter()
                            .filter_map(|one| one.sampling_rule),
                    );
                    next = answer.next_token.filter(|token| !token.is_empty());
                    if next.is_none() {
                        break;
                    }
                }
                Err(error) => {
                    debug!(error = %crate::ship::failure::chain(&error), "X-Ray offers no sampling rules");
                    return;
                }
            }
        }
        let uniform = uniform_rules(offered);
        if uniform.is_empty() {
            return;
        }
        info!(rules = uniform.len(), "the uniform share follows X-Ray's sampling rules");
        self.are_offered = true;
        self.set(uniform);
    }

    fn set(&mut self, uniform: Vec<UniformRule>) {
        if self.change.borrow().uniform != uniform {
            self.counts.clear();
            self.change.send_replace(ChoiceRules { uniform, ..self.own.clone() });
        }
    }

    async fn ask_targets(&mut self) {
        let mut uniform = self.change.borrow().uniform.clone();
        let told: Vec<SamplingStatisticsDocument> = uniform
            .iter()
            .zip(&self.counts)
            .filter(|(_, count)| count.matched > 0)
            .take(MOST_TOLD)
            .filter_map(|(rule, count)| {
                SamplingStatisticsDocument::builder()
                    .rule_name(&rule.name)
                    .client_id(&self.client_id)
                    .timestamp(SystemTime::now().into())
                    .request_count(count.matched.min(i32::MAX as u64) as i32)
                    .sampled_count(count.chosen.min(i32::MAX as u64) as i32)
                    .borrow_count(0)
                    .build()
                    .ok()
            })
            .collect();
        if told.is_empty() {
            return;
        }
        match self.client.get_sampling_targets().set_sampling_statistics_documents(Some(told)).send().await {
            Ok(answer) => {
                self.counts.clear();
                for target in answer.sampling_target_documents.unwrap_or_default() {
                    let named = |rule: &&mut UniformRule| Some(&rule.name) == target.rule_name.as_ref();
                    let Some(rule) = uniform.iter_mut().find(named) else { continue };
                    rule.rate = target.fixed_rate.clamp(0.0, 1.0);
                    rule.reservoir_per_second = target.reservoir_quota.map_or(rule.reservoir_per_second, f64::from);
                }
                self.set(uniform);
            }
            Err(error) => debug!(error = %crate::ship::failure::chain(&error), "X-Ray gives no sampling targets"),
        }
    }
}

/// The rules that can be followed, the first to hold first.
fn uniform_rules(mut offered: Vec<SamplingRule>) -> Vec<UniformRule> {
    let is_any = |pattern: &str| pattern.is_empty() || pattern == "*";
    offered.retain(|rule| {
        let asks_for_more = !is_any(&rule.host)
            || !is_any(&rule.service_type)
            || !is_any(&rule.resource_arn)
            || rule.attributes.as_ref().is_some_and(|attributes| !attributes.is_empty());
        rule.version == 1 && !asks_for_more
    });
    offered.sort_by(|one, other| (one.priority, &one.rule_name).cmp(&(other.priority, &other.rule_name)));
    let rule = |rule: SamplingRule| UniformRule {
        name: rule.rule_name.unwrap_or_default(),
        service: rule.service_name,
        method: rule.http_method,
        path: rule.url_path,
        reservoir_per_second: if rule.reservoir_size > 0 { 1.0 } else { 0.0 },
        rate: rule.fixed_rate.clamp(0.0, 1.0),
    };
    offered.into_iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, priority: i32, host: &str) -> SamplingRule {
        SamplingRule::builder()
            .rule_name(name)
            .resource_arn("*")
            .priority(priority)
            .fixed_rate(0.25)
            .reservoir_size(7)
            .service_name("shop*")
            .service_type("*")
            .host(host)
            .http_method("GET")
            .url_path("/api/*")
            .version(1)
            .build()
            .unwrap()
    }

    #[test]
    fn rules_are_followed_by_priority_and_those_that_ask_for_more_are_left() {
        let rules = uniform_rules(vec![rule("last", 9000, "*"), rule("hosts", 1, "a.example"), rule("first", 10, "*")]);
        assert_eq!(rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["first", "last"]);
        let first = &rules[0];
        assert_eq!((first.rate, first.reservoir_per_second), (0.25, 1.0));
        assert_eq!((first.service.as_str(), first.method.as_str(), first.path.as_str()), ("shop*", "GET", "/api/*"));
    }
}
