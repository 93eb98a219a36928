//! The first half of `check`: this machine, and what would be reserved on it. It refuses to write anywhere but into its scratch directory.

use std::io::Write;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use crate::agent::forecast::{self, Forecast, Unforeseeable};
use crate::agent::{Settings, judge};
use crate::cli::args::{CheckArgs, Common};
use crate::cli::{Failure, reserve as reserve_verb, view};
use crate::host::{Host, Wanted};
use crate::kubelet::render;
use crate::kubelet::target::Moment;
use crate::model::{Bytes, Complaint, Machine, Reading, Weight};
use crate::reserve;
use crate::sample::second_opinion::{self, SecondOpinion};
use crate::sample::{attachments, kube_proxy};

/// One profile's row.
struct Row {
    name: &'static str,
    summary: &'static str,
    chosen: bool,
    forecast: Result<Forecast, Unforeseeable>,
}

/// This machine and what would be reserved on it.
pub(super) struct Reservations {
    machine: Machine,
    opinion: Reading<SecondOpinion>,
    rows: Vec<Row>,
    forecast: Forecast,
    findings: Vec<Complaint>,
    volume: Option<String>,
    file: PathBuf,
}

/// Looks, computes, and writes the result into the scratch directory.
pub(super) fn look(
    host: &Host,
    common: &Common,
    settings: &Settings,
    options: &CheckArgs,
) -> Result<Reservations, Failure> {
    let mut question = options.wish.question();
    question.installed_memory = true;
    question.history = true;
    let found = reserve_verb::found(host, settings)?;
    let setup_for = |settings: &Settings| match &found {
        Some(setup) => Ok(setup.clone()),
        None => reserve_verb::imagined(settings),
    };
    let setup = setup_for(settings)?;
    let machine = forecast::facts(host, settings, Some(&setup), &question);
    let mut rows = Vec::new();
    for profile in reserve::ALL {
        let mut settings = settings.clone();
        let chosen = profile.name() == settings.reserve.profile;
        profile.name().clone_into(&mut settings.reserve.profile);
        let told = forecast::measured(&machine.history, &settings.reserve);
        let forecast = match told {
            // Shown as it is: eks in its place would look like a result.
            Err(why) if profile.wants_history() && !chosen => Err(Unforeseeable::Fact("use so far", why)),
            _ => forecast::forecast(machine.clone(), &settings, &setup_for(&settings)?, &question),
        };
        rows.push(Row { name: profile.name(), summary: profile.summary(), chosen, forecast });
    }
    let chosen = rows.iter().find(|row| row.chosen).map(|row| row.forecast.clone());
    let forecast =
        chosen.ok_or_else(|| Failure::Usage(format!("there is no profile {:?}", settings.reserve.profile)))??;
    let mut findings = judge::judge(host, &forecast, &setup, Moment::Late);
    findings.extend(judge::judge_proxy(&kube_proxy::read(host)));
    findings.extend(crate::agent::attachments::judge(&machine.instance_type, &attachments::read(host)));
    if setup.is_imagined() {
        // No kubelet is set up here, so what one of some version might complain of is no problem of this machine's.
        findings
            .iter_mut()
            .filter(|finding| finding.severity == Weight::Warning)
            .for_each(|finding| finding.severity = Weight::Advice);
    }
    let volume = crate::agent::volume::missing(host);
    let file = write_result(common, options, &forecast)?;
    let opinion = second_opinion::ask(host);
    Ok(Reservations { machine, opinion, rows, forecast, findings, volume, file })
}

/// The whole configuration that kubelet should have, in a file that a person can look at.
fn write_result(common: &Common, options: &CheckArgs, forecast: &Forecast) -> Result<PathBuf, Failure> {
    let dir = match &options.scratch {
        Some(dir) => std::path::absolute(dir)?,
        None => nix::unistd::mkdtemp("/tmp/node-steward-XXXXXX").map_err(std::io::Error::from)?,
    };
    let mut node = render::whole(&crate::model::Node::Map(Vec::new()))
        .and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string()))
        .map_err(Failure::Usage)?;
    crate::model::Node::merge_patch(
        &mut node,
        &forecast.result.effective_for(forecast.machine.kubelet_version.value().copied()).node,
    );
    let text = render::whole(&node).map_err(Failure::Usage)?;
    let path = dir.join("kubelet-config.json");
    // The scratch directory is of this machine, whatever root is looked at.
    let here = if common.root == Path::new("/") { common.host()? } else { Host::new(Path::new("/"))? };
    here.write_atomic(&Wanted { path: path.clone(), bytes: text.into_bytes(), mode: 0o644 })?;
    Ok(path)
}

impl Reservations {
    /// Whether anything is worse than advice.
    pub(super) fn troubled(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity > Weight::Advice) || self.volume.is_some()
    }

    pub(super) fn as_json(&self, settings: &Settings) -> serde_json::Value {
        let mut answer = json!(view::reservations(&settings.reserve.profile, &self.forecast));
        let profiles: Vec<_> = self
            .rows
            .iter()
            .map(|row| match &row.forecast {
                Ok(forecast) => json!({"chosen": row.chosen, "reservations": view::reservations(row.name, forecast)}),
                Err(why) => json!({"chosen": row.chosen, "profile": row.name, "unavailable": why.to_string()}),
            })
            .collect();
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("facts".to_owned(), json!(self.machine));
            answer.insert("secondOpinion".to_owned(), json!(self.disagreements()));
            answer.insert("profiles".to_owned(), json!(profiles));
            answer
                .insert("preflight".to_owned(), json!({"verdict": verdict(&self.findings), "findings": self.findings}));
            answer.insert("kubeletConfig".to_owned(), json!(self.file));
            answer.insert("containerVolume".to_owned(), json!(self.volume));
        }
        answer
    }

    /// Where sysinfo sees something else.
    fn disagreements(&self) -> Vec<String> {
        let Some(opinion) = self.opinion.value() else {
            return vec![format!("no second opinion: {}", self.opinion.origin())];
        };
        let mut list = Vec::new();
        if let Some(cores) = self.machine.cores.value().filter(|cores| usize::try_from(**cores) != Ok(opinion.cores)) {
            list.push(format!("cores: {cores} here, {} by sysinfo", opinion.cores));
        }
        if let Some(memory) = self.machine.memory.value().filter(|memory| **memory != opinion.memory) {
            list.push(format!("memory: {memory} here, {} by sysinfo", opinion.memory));
        }
        list
    }

    pub(super) fn print(&self, common: &Common, settings: &Settings) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        let (head, dim) = (Style::new().bold(), Style::new().dimmed());
        writeln!(out, "{head}This machine{head:#}")?;
        for (name, value, from) in self.facts() {
            writeln!(out, "  {name:<16} {value:<22} {dim}{from}{dim:#}")?;
        }
        let disagreements = self.disagreements();
        let opinion =
            if disagreements.is_empty() { "agrees on cores and memory".to_owned() } else { disagreements.join("; ") };
        writeln!(out, "  {:<16} {opinion}", "sysinfo")?;

        writeln!(out, "\n{head}Reservations by profile{head:#}")?;
        for line in self.profile_table().lines() {
            // The table is laid out without escapes, whose width it would count, and coloured line by line.
            if line.trim_start().starts_with('>') {
                writeln!(out, "{head}{line}{head:#}")?
            } else {
                writeln!(out, "{line}")?
            }
        }
        if common.verbose {
            for row in &self.rows {
                writeln!(out, "  {:<13} {dim}{}{dim:#}", row.name, row.summary)?;
            }
        }
        if let Some(lines) = &self.forecast.node_class {
            writeln!(out, "  tell Karpenter, in the EC2NodeClass:")?;
            for line in lines.lines() {
                writeln!(out, "    {line}")?;
            }
        }
        for warning in &self.forecast.warnings {
            let yellow = AnsiColor::Yellow.on_default();
            writeln!(out, "  {yellow}warning{yellow:#} {warning}")?;
        }

        writeln!(out, "\n{head}With profile {}{head:#}", settings.reserve.profile)?;
        let pairs: Vec<_> = self.forecast.allocatable.iter().map(|(name, amount)| format!("{name} {amount}")).collect();
        writeln!(out, "  {:<16} {}", "allocatable", pairs.join(", "))?;
        writeln!(out, "  {:<16} {}", "written to", self.file.display())?;
        let (colour, words) = match self.findings.iter().map(|finding| finding.severity).max() {
            Some(Weight::Fatal) => (AnsiColor::Red, verdict(&self.findings)),
            Some(Weight::Warning) => (AnsiColor::Yellow, verdict(&self.findings)),
            _ => (AnsiColor::Green, verdict(&self.findings)),
        };
        let style = colour.on_default();
        writeln!(out, "  {:<16} {style}{words}{style:#}", "preflight")?;
        for finding in self.findings.iter().filter(|finding| common.verbose || finding.severity > Weight::Advice) {
            writeln!(out, "    {finding}")?;
        }
        let advice = self.findings.iter().filter(|finding| finding.severity == Weight::Advice).count();
        if advice > 0 && !common.verbose {
            writeln!(out, "    {dim}{advice} pieces of advice, shown with -v{dim:#}")?;
        }
        if let Some(why) = &self.volume {
            let yellow = AnsiColor::Yellow.on_default();
            writeln!(out, "  {:<16} {yellow}{why}{yellow:#}", "container volume")?;
        }
        Ok(())
    }

    fn facts(&self) -> Vec<(&'static str, String, String)> {
        fn row<T>(
            name: &'static str,
            reading: &Reading<T>,
            show: impl Fn(&T) -> String,
        ) -> (&'static str, String, String) {
            let value = match reading {
                Reading::Fresh { value, .. } => show(value),
                Reading::Absent { .. } => "-".to_owned(),
                Reading::Failed { .. } => "unknown".to_owned(),
            };
            (name, value, reading.origin().to_owned())
        }
        let machine = &self.machine;
        let size = |bytes: &Bytes| human(bytes.0);
        vec![
            row("cores", &machine.cores, ToString::to_string),
            row("memory", &machine.memory, size),
            row("installed memory", &machine.installed_memory, size),
            (
                "max pods",
                self.forecast.pods.count.to_string(),
                format!("{}: {}", self.forecast.pods.source, self.forecast.pods.from),
            ),
            row("huge pages", &machine.huge_pages, |pages| {
                human(pages.iter().map(|page| page.size_bytes.saturating_mul(page.count)).sum())
            }),
            row("swap", &machine.swap, size),
            row("NUMA nodes", &machine.numa_nodes, |nodes| nodes.len().to_string()),
            row("process ids", &machine.pids, ToString::to_string),
            row("kubelet's disk", &machine.node_filesystem, |disk| human(disk.total_bytes)),
            row("containers' disk", &machine.container_filesystem, |disk| human(disk.total_bytes)),
            row("cgroups", &machine.cgroups, |cgroups| format!("version {}", cgroups.version)),
            row("kernel", &machine.kernel, Clone::clone),
            row("instance type", &machine.instance_type, Clone::clone),
            row("kubelet", &machine.kubelet_version, ToString::to_string),
        ]
    }

    fn profile_table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["", "profile", "for", "cpu", "memory", "storage", "allocatable cpu", "allocatable memory"]);
        for row in &self.rows {
            let mark = if row.chosen { ">" } else { "" };
            match &row.forecast {
                Err(why) => {
                    table.add_row([mark, row.name, "-", "-", "-", "-", "-", needs(why)]);
                }
                Ok(forecast) => {
                    for (who, list) in [("kube", &forecast.plan.kube), ("system", &forecast.plan.system)] {
                        if list.is_empty() {
                            continue;
                        }
                        let amount =
                            |resource| list.0.get(&resource).map_or_else(|| "-".to_owned(), ToString::to_string);
                        let left = |name: &str| forecast.allocatable.get(name).cloned().unwrap_or_default();
                        use crate::model::Resource::{Cpu, EphemeralStorage, Memory};
                        table.add_row([
                            mark.to_owned(),
                            row.name.to_owned(),
                            who.to_owned(),
                            amount(Cpu),
                            amount(Memory),
                            amount(EphemeralStorage),
                            left("cpu"),
                            left("memory"),
                        ]);
                    }
                }
            }
        }
        table.trim_fmt()
    }
}

/// Why a profile has no row of numbers, in a word or two.
fn needs(why: &Unforeseeable) -> &'static str {
    match why {
        Unforeseeable::Settings(_) => "needs settings",
        Unforeseeable::Fact("use so far", _) => "needs a history",
        Unforeseeable::Fact(..) => "unknown",
    }
}

fn verdict(findings: &[Complaint]) -> &'static str {
    match findings.iter().map(|finding| finding.severity).max() {
        Some(Weight::Fatal) => "kubelet would refuse this configuration",
        Some(Weight::Warning) => "kubelet would start, with the warnings below",
        _ => "kubelet would accept this configuration",
    }
}

/// A size for a person: one decimal, binary units.
fn human(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    match UNITS.into_iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{}{unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes}"),
    }
}
