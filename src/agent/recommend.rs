//! What this node's own history says of its reservations: what is reserved, what was used, what would do and why, and what that wins or risks. It refuses to
//! change anything: the result is for a person, or for the profile `measured` at the next boot.

use super::Forecast;
use crate::kubelet::setup::Setup;
use crate::model::recommendation::{Recommendation, Row, Used};
use crate::model::usage::{History, Point};
use crate::model::{Bytes, Resource, Resources};
use crate::reserve::measured::{self, Estimate, Line, Terms};

/// The present reservation: of kube, of the system, and who says so.
type Present = (Resources, Resources, String);

/// Computes it. `forecast` is that of the profile `measured`, `origin` where the history is from.
pub fn recommend(
    estimate: &Estimate,
    (history, origin): (&History, &str),
    setup: &Setup,
    forecast: &Forecast,
    rules: &measured::Rules,
) -> Recommendation {
    let (kube_now, system_now, reserved_by) = present(setup);
    let (kube, system) = (&forecast.plan.kube, &forecast.plan.system);
    let containers = estimate.containers(forecast.pods.count);
    let sum = |one: &Resources, other: &Resources| {
        Resources(Resource::ALL.into_iter().map(|r| (r, one.get(r).plus(other.get(r)))).collect())
    };
    let (both_now, both) = (sum(&kube_now, &system_now), sum(kube, system));
    let mut rows = Vec::new();
    for (who, of, demand, now, then) in [
        (0, "kubeReserved", &estimate.kube, &kube_now, kube),
        (1, "systemReserved", &estimate.system, &system_now, system),
        (2, "both", &estimate.both, &both_now, &both),
    ] {
        for (resource, line) in
            [(Resource::Memory, Some(demand.memory)), (Resource::Cpu, demand.cpu), (Resource::Pid, demand.tasks)]
        {
            let unit = unit(resource);
            let terms = measured::Terms::of(resource).and_then(|terms| terms.get(who).copied());
            rows.push(Row {
                of: of.to_owned(),
                resource,
                unit: unit.to_owned(),
                reserved: amount(now, resource),
                used: line.map(|line| Used { p50: line.p50, p99: line.p99, peak: line.peak }),
                recommended: amount(then, resource),
                why: match (terms, line) {
                    (None, _) => String::new(),
                    (Some(terms), Some(line)) => why(&line, containers, unit, (terms, rules), amount(then, resource)),
                    (Some(_), None) => "not counted here: as eks has it".to_owned(),
                },
            });
        }
    }
    let gained = |resource| {
        let (now, then) = (amount(&both_now, resource), amount(&both, resource));
        i64::try_from(now).unwrap_or(i64::MAX).saturating_sub_unsigned(then)
    };
    let (exceeded_percent, exceeded_by_mib) = beyond(history, amount(&both_now, Resource::Memory));
    let (would_exceed_percent, would_exceed_by_mib) = beyond(history, amount(&both, Resource::Memory));
    Recommendation {
        history: format!(
            "{} h with at most {} containers ({origin}); a full node has {} pods ({}), which are {containers} containers",
            estimate.hours, estimate.most_containers, forecast.pods.count, forecast.pods.from
        ),
        hours: estimate.hours,
        reserved_by,
        rows,
        kube_reserved: kube.clone(),
        system_reserved: system.clone(),
        allocatable_gained_mib: gained(Resource::Memory),
        allocatable_gained_m: gained(Resource::Cpu),
        exceeded_percent,
        exceeded_by_mib,
        would_exceed_percent,
        would_exceed_by_mib,
        notes: notes(estimate),
        settings: settings(kube, system),
    }
}

/// In how many percent of the points, a begun one counted, more memory was held than that; and how much more at most.
fn beyond(history: &History, limit_mib: u64) -> (u32, u64) {
    let held = |point: &Point| u64::from(point.kube.memory_mib) + u64::from(point.system.memory_mib);
    let over: Vec<u64> =
        history.points().iter().map(held).filter(|held| *held > limit_mib).map(|held| held - limit_mib).collect();
    let percent = (over.len() * 100).checked_div(history.points().len()).unwrap_or_default();
    let least = u32::from(!over.is_empty());
    (u32::try_from(percent).unwrap_or(100).max(least), over.into_iter().max().unwrap_or_default())
}

/// What kubelet reads as things stand.
fn present(setup: &Setup) -> Present {
    let effective = setup.present.effective();
    let of = |field: &str| effective.resources(field).unwrap_or_default();
    let by: Vec<String> = ["kubeReserved", "systemReserved"]
        .into_iter()
        .filter(|field| effective.get(field).is_some())
        .map(|field| format!("{field}: {}", effective.origin(&format!("{field}.memory"))))
        .collect();
    let by = if by.is_empty() { "nothing is reserved".to_owned() } else { by.join(", ") };
    (of("kubeReserved"), of("systemReserved"), by)
}

fn unit(resource: Resource) -> &'static str {
    match resource {
        Resource::Memory | Resource::EphemeralStorage => "MiB",
        Resource::Cpu => "m",
        Resource::Pid => "tasks",
    }
}

fn amount(list: &Resources, resource: Resource) -> u64 {
    let quantity = list.get(resource);
    match resource {
        Resource::Memory | Resource::EphemeralStorage => Bytes(quantity.to_u64()).mib(),
        Resource::Cpu => quantity.to_millis(),
        Resource::Pid => quantity.to_u64(),
    }
}

fn why(line: &Line, containers: u32, unit: &str, (terms, rules): (Terms, &measured::Rules), ended: u64) -> String {
    let tenths = u64::from(line.slope) * 10 / 1024;
    let how = if line.assumed { "assumed: containers hardly changed" } else { "seen" };
    let at = line.at(containers);
    let mut words = format!(
        "{} {unit} + {}.{} {unit} a container ({how}) x {containers} = {at} {unit}",
        line.base,
        tenths / 10,
        tenths % 10
    );
    if line.leak_a_day == 0 && line.p99 > at {
        words.push_str(&format!(", and it was {} {unit} already", line.p99));
    }
    words.push_str(&format!("; {} % more", rules.margin_percent));
    if terms.besides > 0 {
        words.push_str(&format!(" and {} {unit}", terms.besides));
    }
    let wanted = measured::wanted(line, containers, terms, rules);
    if ended < wanted {
        words.push_str(&format!(" is {wanted} {unit}, which is over the ceiling"));
    } else if wanted < u64::from(terms.floor) {
        words.push_str(&format!(" is {wanted} {unit}, which is under the floor"));
    }
    words
}

fn notes(estimate: &Estimate) -> Vec<String> {
    let all = [("kubelet and the container runtime", &estimate.kube), ("the system", &estimate.system)];
    let mut words = Vec::new();
    for (who, demand) in all {
        for (what, unit, line) in [("memory", " MiB", Some(demand.memory)), ("tasks", "", demand.tasks)] {
            if let Some(line) = line.filter(|line| line.leak_a_day > 0) {
                words.push(format!(
                    "leak: {what} of {who} grows by {}{unit} a day whatever the containers do; one day of it is reserved for. Find the leak",
                    line.leak_a_day
                ));
            }
        }
        // The kernel counts page cache too, so this is no need; what was held between two looks was no more than this.
        if let Some(peak) = demand.kernel_peak_mib {
            words.push(format!(
                "memory.peak: the cgroups of {who} never held more than {peak} MiB, page cache and all; {} MiB without it at the looks",
                demand.memory.peak
            ));
        }
    }
    if estimate.kube.memory.peak == 0 {
        words.push("kubelet and the container runtime run in no cgroup that is known to be theirs: what they use is counted with the system".to_owned());
    }
    words
}

/// `static`, so that every node of a group gets the same, and the autoscaler can be told. What is 0 is left out.
fn settings(kube: &Resources, system: &Resources) -> String {
    let table = |name: &str, list: &Resources| {
        let known = list.0.iter().filter(|(_, amount)| amount.to_millis() > 0);
        let lines = known.map(|(resource, amount)| format!("{resource} = \"{amount}\"\n"));
        format!("[reserve.{name}]\n{}", lines.collect::<String>())
    };
    format!("[reserve]\nprofile = \"static\"\n{}{}", table("kube_reserved", kube), table("system_reserved", system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_names_what_made_the_amount() {
        let rules = measured::Rules::default();
        let [kube, _] = Terms::of(Resource::Memory).unwrap();
        let line = Line { base: 200, slope: 2048, p99: 300, ..Line::default() };
        let told = |line: &Line, ended| why(line, 100, "MiB", (kube, &rules), ended);
        assert_eq!(told(&line, 480), "200 MiB + 2.0 MiB a container (seen) x 100 = 400 MiB; 15 % more and 16 MiB");
        let less = told(&line, 470);
        assert!(less.ends_with("15 % more and 16 MiB is 476 MiB, which is over the ceiling"), "{less}");
        let small = told(&Line { base: 20, assumed: true, ..Line::default() }, 256);
        assert_eq!(
            small,
            "20 MiB + 0.0 MiB a container (assumed: containers hardly changed) x 100 = 20 MiB; 15 % more and 16 MiB is 39 MiB, which is under the floor"
        );
        let peaks = Line { p99: 500, ..line };
        assert!(told(&peaks, 592).contains("= 400 MiB, and it was 500 MiB already; 15 %"), "{}", told(&peaks, 592));
        assert!(!told(&Line { leak_a_day: 9, ..peaks }, 592).contains("already"), "a leak is no need");
    }
}
