//! `tiertop scorecard`: how well verdicts name what was really wrong, on the demo in virtual time.

mod play;

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, ValueEnum};
use color_eyre::eyre::{Result, eyre};
use tiertop::scorecard::print::{Style, print};
use tiertop::scorecard::score::Stayed;
use tiertop::scorecard::table::{Outcome, Played};
use tiertop_demo::Phase;
use tiertop_demo::fault::{Fault, Intensity};
use tiertop_demo::sim::SimulationError;

use super::say;
use play::{Manner, Plan, Times, play};

/// Phases in which there is noise of all sorts.
const NOISY_PHASES: [Phase; 3] = [Phase::DATABASE_READS, Phase::SPIKES, Phase::WRITES];

/// What to play, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct ScorecardArgs {
    /// Seeds of the plays, such as 3-5 or 1,7. 1 and 2 are those that rules are tuned on.
    #[arg(long, value_name = "SEEDS", value_parser = seeds, default_value = "3-5")]
    seeds: Seeds,
    /// Faults to inject [default: all].
    #[arg(long, value_name = "NAMES", value_enum, value_delimiter = ',')]
    classes: Vec<Fault>,
    /// Requests per second.
    #[arg(long, value_name = "RATES", value_parser = rate, value_delimiter = ',', default_value = "20,200")]
    rates: Vec<f64>,
    /// How bad the faults are.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "low,medium,high")]
    intensities: Vec<Intensity>,
    /// How requests come and what is kept of them; all but open stand apart, at the highest rate.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "open,closed,sampled")]
    loads: Vec<Load>,
    /// Reads per write [default: by the fault's scenario, mostly 100].
    #[arg(long, value_name = "READS", value_parser = rate)]
    reads_per_write: Option<f64>,
    /// Minutes of healthy but noisy traffic, spread over rates, intensities, seeds and phases.
    #[arg(long, value_name = "MINUTES", default_value_t = 600)]
    minutes_healthy: u64,
    /// Plays that run at once [default: as many as there are processors].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Tell each play's incidents on standard error.
    #[arg(long)]
    incidents: bool,
    /// Print each play and its scores as JSON.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print markdown, under a heading with this text, such as the commit.
    #[arg(long, value_name = "TEXT")]
    markdown: Option<String>,
}

#[derive(Clone, Debug)]
struct Seeds(Vec<u64>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Load {
    /// By a schedule, all traces kept.
    Open,
    /// From clients who each wait for their answer.
    Closed,
    /// By a schedule, one trace in ten kept.
    Sampled,
}

fn seeds(text: &str) -> Result<Seeds, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is no seed; try 3-5 or 1,7"));
    let mut all = Vec::new();
    for piece in text.split(',') {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        all.extend(number(first)?..=number(last)?);
    }
    if all.is_empty() { Err(format!("{text:?} has no seed; try 3-5")) } else { Ok(Seeds(all)) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| format!("{text:?} is no number above zero"))
}

pub(crate) fn run(args: &ScorecardArgs) -> Result<ExitCode> {
    let began = Instant::now();
    let jobs = args.jobs.map_or_else(|| thread::available_parallelism().map_or(1, usize::from), usize::from);
    let plays = play_all(&plans(args), jobs, args.incidents).map_err(|error| eyre!("failed to {error}"))?;
    let took = Duration::from_secs(began.elapsed().as_secs());
    let took = format!("Took {} with {jobs} plays at once.", humantime::format_duration(took));
    say(&match (&args.markdown, args.json) {
        (_, true) => serde_json::to_string_pretty(&plays)? + "\n",
        (Some(label), _) => {
            let today = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
            let (day, seeds) = (today.split('T').next().unwrap_or_default(), &args.seeds.0);
            format!("# Scorecard\n\n{day}, {label}; seeds {seeds:?}.\n\n{}\n{took}\n", print(&plays, Style::Markdown))
        }
        (None, _) => format!("{}\n{took}\n", print(&plays, Style::Text)),
    });
    Ok(ExitCode::SUCCESS)
}

/// All plays that are asked for, those with faults first.
fn plans(args: &ScorecardArgs) -> Vec<Plan> {
    let chosen = |fault: &Fault| args.classes.is_empty() || args.classes.contains(fault);
    let faults: Vec<Fault> = Fault::all().filter(|fault| *fault != Fault::HealthyNoise && chosen(fault)).collect();
    let highest = args.rates.iter().copied().fold(0.0, f64::max);
    let manners = args.loads.iter().flat_map(|load| match load {
        Load::Open => args.rates.iter().map(|rate| (Manner::Open, *rate)).collect(),
        Load::Closed => vec![(Manner::Closed, highest)],
        Load::Sampled => vec![(Manner::Sampled, highest)],
    });
    let mut plans = Vec::new();
    for (manner, rate) in manners {
        for fault in &faults {
            plans.extend(turns(args).map(|(intensity, seed)| Plan {
                fault: *fault,
                intensity,
                phase: fault.usual_phase(),
                seed,
                rate,
                manner,
                reads_per_write: args.reads_per_write,
                times: Times::default(),
            }));
        }
    }
    plans.extend(healthy(args));
    plans
}

fn turns(args: &ScorecardArgs) -> impl Iterator<Item = (Intensity, u64)> {
    args.intensities.iter().flat_map(|intensity| args.seeds.0.iter().map(|seed| (*intensity, *seed)))
}

fn healthy(args: &ScorecardArgs) -> Vec<Plan> {
    let all: Vec<(f64, Intensity, u64)> =
        args.rates.iter().flat_map(|rate| turns(args).map(|(intensity, seed)| (*rate, intensity, seed))).collect();
    let each = Duration::from_mins(args.minutes_healthy) / all.len() as u32;
    if each.is_zero() {
        return Vec::new();
    }
    let plan = |(phase, (rate, intensity, seed)): (&Phase, (f64, Intensity, u64))| Plan {
        fault: Fault::HealthyNoise,
        intensity,
        phase: *phase,
        seed,
        rate,
        manner: Manner::Open,
        reads_per_write: args.reads_per_write,
        times: Times { lasting: each, after: Duration::ZERO, ..Times::default() },
    };
    NOISY_PHASES.iter().cycle().zip(all).map(plan).collect()
}

/// Plays them all, some at once; they are returned in the order of their plans.
fn play_all(plans: &[Plan], jobs: usize, incidents: bool) -> Result<Vec<Played>, SimulationError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<Played, SimulationError>)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..jobs.min(plans.len()) {
            scope.spawn(|| {
                while let Some((place, plan)) = plans.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    let played = play(plan);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Ok(played) = &played {
                        tell(done.len() + 1, plans.len(), plan, played);
                        let told = played.incidents.iter().filter(|_| incidents);
                        told.for_each(|incident| drop(writeln!(std::io::stderr().lock(), "    {incident}")));
                    }
                    done.push((place, played));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, played)| played).collect()
}

/// Tells on standard error of a play that is over, so that a run that is broken off was not for nothing.
fn tell(done: usize, of: usize, plan: &Plan, played: &Played) {
    let Plan { intensity, seed, .. } = plan;
    let _ = writeln!(
        std::io::stderr().lock(),
        "{done}/{of} {} {intensity:?}, {}, seed {seed}: {}, {:.1} s",
        played.name,
        played.load,
        in_words(&played.outcome),
        played.cpu_s
    );
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Healthy(score) => format!("{} false alarms", score.incidents.len()),
        Outcome::Fault(score) => {
            let Some(Stayed { tier, class, .. }) = &score.verdict else { return "silent".to_owned() };
            let right = if score.right.tier { "right" } else { "wrong" };
            format!("{right}: {tier} {}", class.as_deref().unwrap_or("of no class"))
        }
    }
}
