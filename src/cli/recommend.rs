//! `recommend`: what this node's own history says of its reservations. It refuses to change anything, and to say anything by a history that is too short.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anstyle::Style;

use super::args::{Common, Output, RecommendArgs, WishArgs};
use super::grid::{Grid, Width, labelled};
use super::{Ending, Failure, print_json, reserve as reserve_verb};
use crate::agent::{Question, Settings, forecast, recommend};
use crate::host::Host;
use crate::model::Reading;
use crate::model::recommendation::Recommendation;

pub(super) fn run(common: &Common, options: &RecommendArgs) -> Result<Ending, Failure> {
    let host = common.host()?;
    let mut settings = common.settings(&host)?;
    options.wish.apply(&mut settings);
    let (answer, warnings) = answer(&host, settings, &options.wish.question())?;
    match common.output {
        Output::Json => print_json(&answer)?,
        Output::Text => write!(anstream::stdout().lock(), "{}", page(&answer, &warnings, Width::of(None)))?,
    }
    Ok(Ending::Fine)
}

/// For the daemon's status, with the daemon's own state file. Runs in a probe child.
pub(super) fn told(host: &Host, config: Option<&Path>, state: &Path) -> Reading<Recommendation> {
    let look = || -> Result<Recommendation, Failure> {
        let question = Question { state: Some(state.to_owned()), ..WishArgs::default().question() };
        Ok(answer(host, Settings::load(host, config)?, &question)?.0)
    };
    match look() {
        Ok(answer) => Reading::fresh(answer, "node-steward recommend"),
        Err(Failure::TooShort(why)) => Reading::absent(why),
        Err(failure) => Reading::failed(failure.to_string()),
    }
}

fn answer(host: &Host, mut settings: Settings, question: &Question) -> Result<(Recommendation, Vec<String>), Failure> {
    "measured".clone_into(&mut settings.reserve.profile);
    // What was written there by hand or by another profile is what is asked about; it is no part of the answer.
    settings.reserve.kube_reserved.clear();
    settings.reserve.system_reserved.clear();
    settings.kubelet.on_existing = crate::kubelet::OnExisting::Override;
    let setup = match reserve_verb::found(host, &settings)? {
        Some(setup) => setup,
        None => reserve_verb::imagined(&settings)?,
    };
    let machine = forecast::facts(host, &settings, Some(&setup), question);
    let history = machine.history.clone();
    let estimate = forecast::measured(&history, &settings.reserve).map_err(Failure::TooShort)?;
    let forecast = forecast::forecast(machine, &settings, &setup, question)?;
    let points = history.value().cloned().unwrap_or_default();
    let told =
        recommend::recommend(&estimate, (&points, history.origin()), &setup, &forecast, &settings.reserve.measured);
    Ok((told, forecast.warnings))
}

fn page(answer: &Recommendation, warnings: &[String], width: Width) -> String {
    let mut out = labelled("history", &answer.history, width);
    out.push_str(&labelled("reserved by", &answer.reserved_by, width));
    let _ = write!(out, "\n{}", table(answer).draw(2, width));
    out.push('\n');
    let mut whys = Grid::new(&["", "resource", "why so much"]);
    for row in answer.rows.iter().filter(|row| !row.why.is_empty()) {
        whys.row(Style::new(), vec![row.of.clone(), row.resource.name().to_owned(), row.why.clone()]);
    }
    let _ = writeln!(out, "{}", whys.draw(2, width));
    out.push_str(&verdict(answer, width));
    warnings.iter().for_each(|warning| out.push_str(&labelled("warning", warning, width)));
    let _ = write!(
        out,
        "\nSettings to paste, for all nodes of this kind; or profile = \"measured\" with measured.keep = true, which goes by each node's own\nhistory at its next boot. Tell the autoscaler: it computes allocatable by itself.\n\n{}",
        answer.settings
    );
    out
}

/// Reserved, used and recommended, a row each.
pub(super) fn table(answer: &Recommendation) -> Grid {
    let mut grid = Grid::new(&["", "resource", "unit", ">reserved", ">used p50", ">p99", ">peak", ">recommended"]);
    for row in &answer.rows {
        let used = row.used.map_or(["-"; 3].map(str::to_owned), |used| {
            [used.p50, used.p99, used.peak].map(|number| number.to_string())
        });
        let [p50, p99, peak] = used;
        let name = row.resource.name().to_owned();
        let [reserved, recommended] = [row.reserved, row.recommended].map(|number| number.to_string());
        grid.row(Style::new(), vec![row.of.clone(), name, row.unit.clone(), reserved, p50, p99, peak, recommended]);
    }
    grid
}

/// What it wins and what it risks.
pub(super) fn verdict(answer: &Recommendation, width: Width) -> String {
    let change = |gained: i64, unit: &str, what: &str| {
        let word = if gained < 0 { "less" } else { "more" };
        format!("{} {unit} {word} {what}", gained.unsigned_abs())
    };
    let mut out = labelled(
        "allocatable",
        &format!(
            "pods would get {} and {}",
            change(answer.allocatable_gained_mib, "MiB", "memory"),
            change(answer.allocatable_gained_m, "m", "CPU")
        ),
        width,
    );
    let risk = |percent: u32, mib: u64, what: &str| match mib {
        0 => format!("never was more memory held than {what}"),
        _ => format!("in up to {percent} % of the time more memory was held than {what}, by up to {mib} MiB"),
    };
    let now = risk(answer.exceeded_percent, answer.exceeded_by_mib, "is reserved");
    let then = risk(answer.would_exceed_percent, answer.would_exceed_by_mib, "is recommended");
    out.push_str(&labelled("risk now", &now, width));
    out.push_str(&labelled("risk then", &then, width));
    answer.notes.iter().for_each(|note| out.push_str(&labelled("note", note, width)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::recommendation::{Row, Used};
    use crate::model::{Resource, Resources};

    #[test]
    fn what_is_not_counted_is_a_dash_and_less_is_said_to_be_less() {
        let row = Row {
            of: "kubeReserved".to_owned(),
            resource: Resource::Cpu,
            unit: "m".to_owned(),
            reserved: 80,
            used: None,
            recommended: 80,
            why: "not counted here: as eks has it".to_owned(),
        };
        let memory =
            Row { resource: Resource::Memory, used: Some(Used { p50: 210, p99: 260, peak: 277 }), ..row.clone() };
        let answer = Recommendation {
            history: "30 h".to_owned(),
            hours: 30,
            reserved_by: "nobody".to_owned(),
            rows: vec![memory, row],
            kube_reserved: Resources::default(),
            system_reserved: Resources::default(),
            allocatable_gained_mib: -96,
            allocatable_gained_m: 20,
            exceeded_percent: 3,
            exceeded_by_mib: 41,
            would_exceed_percent: 0,
            would_exceed_by_mib: 0,
            notes: vec!["leak: memory".to_owned()],
            settings: "[reserve]\n".to_owned(),
        };
        let page = page(&answer, &["careful".to_owned()], Width(None));
        let has = |text: &str| assert!(page.contains(text), "{text}\n{page}");
        has("pods would get 96 MiB less memory and 20 m more CPU");
        has("in up to 3 % of the time more memory was held than is reserved, by up to 41 MiB");
        has("never was more memory held than is recommended");
        has("[reserve]");
        let words = |start: &str| {
            let line = page.lines().find(|line| line.contains(start)).unwrap_or_default();
            line.split_whitespace().skip(2).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words("kubeReserved  memory"), ["m", "80", "210", "260", "277", "80"]);
        assert_eq!(words("kubeReserved  cpu"), ["m", "80", "-", "-", "-", "80"]);
    }
}
