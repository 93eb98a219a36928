//! `bootstrap`: compute, judge, place, and say what was done in as few lines as a boot log bears.

use std::io::Write;

use serde_json::json;

use super::args::{BootstrapArgs, Common, Output};
use super::{Ending, Failure, print_json, view};
use crate::agent::bootstrap::{self, Order, Outcome, Report};
use crate::kubelet::target::Moment;
use crate::model::Weight;

/// A run takes milliseconds; one that hangs on a sick disk must not outlast kubelet's own start timeout (90 s).
const LONGEST_RUN_SECS: u32 = 45;

pub(super) fn run(common: &Common, options: &BootstrapArgs) -> Result<Ending, Failure> {
    let host = common.host()?;
    crate::host::end_after(LONGEST_RUN_SECS);
    let order = Order {
        question: options.wish.question(),
        base: options.base.as_deref().map(|path| common.inside(path)),
        out: options.out.as_deref().map(|path| common.inside(path)),
        dry_run: options.dry_run,
        force: options.force,
        moment: if options.early { Moment::Early } else { Moment::Late },
    };
    let mut profile = String::new();
    let report = bootstrap::bootstrap(&host, &order, || {
        let mut settings = common.settings(&host)?;
        options.apply(&mut settings, |path| common.inside(path));
        profile.clone_from(&settings.reserve.profile);
        Ok(settings)
    })?;
    if common.output == Output::Json {
        print_json(&as_json(&profile, &report, options.diff))?;
    } else {
        print(common, &profile, &report, options.diff)?;
    }
    Ok(Ending::Fine)
}

fn as_json(profile: &str, report: &Report, diff: bool) -> serde_json::Value {
    let mut answer = json!(view::reservations(profile, &report.forecast));
    if let Some(answer) = answer.as_object_mut() {
        let mut placed = json!({
            "layout": report.layout.name(),
            "path": report.target.path,
            "outcome": report.outcome,
            "removed": report.removed,
            "protected": report.protected.iter().map(|(path, values)| json!({"path": path, "values": values})).collect::<Vec<_>>(),
            "needs": report.target.needs,
            "changes": report.forecast.changes,
        });
        if let (true, Some(placed)) = (diff, placed.as_object_mut()) {
            placed.insert("diff".to_owned(), json!(unified_diff(report)));
        }
        answer.insert("placed".to_owned(), placed);
        answer.insert(
            "kept".to_owned(),
            json!(
                report
                    .forecast
                    .kept
                    .iter()
                    .map(|(path, value, by)| json!({"path": path, "value": value, "by": by}))
                    .collect::<Vec<_>>()
            ),
        );
        answer.insert("preflight".to_owned(), json!(report.findings));
    }
    answer
}

fn print(common: &Common, profile: &str, report: &Report, diff: bool) -> Result<(), Failure> {
    let forecast = &report.forecast;
    let mut out = anstream::stdout().lock();
    let what = match report.outcome {
        Outcome::Unchanged => "unchanged",
        Outcome::Written => "written",
        Outcome::Pending => {
            "pending: kubelet may be running with the old values; they are placed at the next boot (--force places them now)"
        }
        Outcome::WouldWrite => "would be written (dry run)",
    };
    writeln!(
        out,
        "{profile}: kubeReserved {}; systemReserved {}; {} pods ({})",
        view::one_line(&forecast.plan.kube),
        view::one_line(&forecast.plan.system),
        forecast.pods.count,
        forecast.pods.source
    )?;
    writeln!(out, "{} ({}): {what}", report.target.path.display(), report.layout)?;
    for path in &report.removed {
        writeln!(
            out,
            "{}: {}",
            path.display(),
            if report.outcome == Outcome::Written { "removed" } else { "to be removed" }
        )?;
    }
    for (path, values) in &report.protected {
        writeln!(out, "{}: {values}", path.display())?;
    }
    if let Some(needs) = report.target.needs.as_ref().filter(|_| report.target.text.is_some()) {
        writeln!(out, "note: {needs}")?;
    }
    if let Some(lines) = &forecast.node_class {
        write!(out, "tell Karpenter, in the EC2NodeClass:\n{lines}")?;
    }
    for warning in &forecast.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    for finding in report.findings.iter().filter(|finding| common.verbose || finding.severity > Weight::Advice) {
        writeln!(out, "{finding}")?;
    }
    if diff {
        write!(out, "{}", unified_diff(report))?;
    }
    Ok(())
}

fn unified_diff(report: &Report) -> String {
    let (old, new) =
        (report.target.old.as_deref().unwrap_or_default(), report.target.text.as_deref().unwrap_or_default());
    let path = report.target.path.display().to_string();
    similar::TextDiff::from_lines(old, new).unified_diff().header(&path, &path).to_string()
}
