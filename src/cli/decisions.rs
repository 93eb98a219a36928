//! `decisions`: what is done about each problem, or the named reason why not. It refuses a bare "no".

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use serde::Deserialize;

use super::args::{AskArgs, Common};
use super::grid::{Grid, Width, span, wrap};
use super::{Ending, Failure, ask};
use crate::model::status::{Decision, Verdict};
use crate::model::time::Wall;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    now_wall_ms: Wall,
    mode: String,
    cluster: String,
    decisions: Vec<Decision>,
}

pub(super) fn run(common: &Common, options: &AskArgs) -> Result<Ending, Failure> {
    ask::run(common, options, "/v1/decisions", draw)
}

fn draw(body: &[u8], width: Width) -> Result<String, Failure> {
    let answer: Answer = ask::parse(body)?;
    let mut out = wrap(&format!("mode {}, {}", answer.mode, answer.cluster), 0, width).join("\n") + "\n";
    if answer.decisions.is_empty() {
        out.push_str("no decisions: there is no problem of warning or worse\n");
        return Ok(out);
    }
    let mut grid = Grid::new(&["action", "kind", "subject", "for", "reason", "why"]);
    for decision in &answer.decisions {
        let (style, verdict) = match decision.verdict {
            Verdict::Do => (AnsiColor::Red.on_default().bold(), "done"),
            Verdict::Withheld => (Style::new(), "withheld"),
        };
        grid.row(
            style,
            vec![
                format!("{}: {verdict}", decision.action),
                decision.kind.to_string(),
                decision.subject.clone(),
                span(answer.now_wall_ms.0 - decision.since_wall.0),
                decision.reason.clone(),
                decision.why.clone(),
            ],
        );
    }
    let _ = write!(out, "\n{}", grid.draw(0, width));
    Ok(out)
}
