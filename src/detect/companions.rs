//! Problems that other programs on the host report, each for as long as its time to live. Pure. It refuses more than sixty-four of them, so that a program that
//! runs wild costs neither memory nor the cluster's attention.

use serde::{Deserialize, Serialize};

use crate::model::problem::{Finding, Report};
use crate::model::time::Mono;

/// At a time.
pub const MOST: usize = 64;

/// Those that stand.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Companions(Vec<(Mono, Report)>);

impl Companions {
    /// Takes a report, in place of the one before about the same; whether it is a new one, or there are too many.
    pub fn take(&mut self, now: Mono, report: Report) -> Result<bool, String> {
        self.0.retain(|(until, _)| *until > now);
        let until = now.plus_ms(report.ttl_ms);
        let same = |(_, other): &&mut (Mono, Report)| (&other.kind, &other.subject) == (&report.kind, &report.subject);
        if let Some(one) = self.0.iter_mut().find(same) {
            *one = (until, report);
            return Ok(false);
        }
        if self.0.len() >= MOST {
            return Err(format!("{MOST} reported problems stand already"));
        }
        self.0.push((until, report));
        Ok(true)
    }

    /// What stands now.
    pub fn look(&mut self, now: Mono) -> Vec<Finding> {
        self.0.retain(|(until, _)| *until > now);
        let finding = |(_, report): &(Mono, Report)| Finding {
            kind: report.kind.clone(),
            subject: report.subject.clone(),
            severity: report.severity,
            summary: report.summary.clone(),
            advice: String::new(),
            evidence: Vec::new(),
            device: None,
        };
        self.0.iter().map(finding).collect()
    }

    /// When the next one ends.
    pub fn next(&self) -> Option<Mono> {
        self.0.iter().map(|(until, _)| *until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::{Kind, Severity};

    fn report(subject: &str, severity: Severity, ttl_ms: u64) -> Report {
        let (subject, summary) = (subject.to_owned(), "it says so".to_owned());
        Report { kind: Kind::new("GpuLost"), subject, severity, summary, ttl_ms }
    }

    #[test]
    fn a_report_stands_for_its_time_and_is_renewed_by_the_next() {
        let mut companions = Companions::default();
        assert_eq!(companions.take(Mono(0), report("gpu0", Severity::Warning, 10_000)), Ok(true));
        assert_eq!(companions.look(Mono(9_999)).len(), 1);
        assert_eq!(companions.take(Mono(9_999), report("gpu0", Severity::Critical, 10_000)), Ok(false));
        let found = companions.look(Mono(19_998));
        assert_eq!((found.len(), found[0].severity), (1, Severity::Critical));
        assert_eq!(companions.next(), Some(Mono(19_999)));
        assert_eq!(companions.look(Mono(19_999)), Vec::new());
        assert_eq!(companions.next(), None);
    }

    #[test]
    fn the_sixty_fifth_is_refused_until_one_has_ended() {
        let mut companions = Companions::default();
        for number in 0..MOST {
            let ttl = if number == 7 { 10_000 } else { 60_000 };
            assert_eq!(companions.take(Mono(0), report(&number.to_string(), Severity::Advice, ttl)), Ok(true));
        }
        assert!(companions.take(Mono(9_999), report("one more", Severity::Advice, 10_000)).is_err());
        assert_eq!(companions.take(Mono(9_999), report("3", Severity::Advice, 60_000)), Ok(false), "renewed");
        assert_eq!(companions.take(Mono(10_000), report("one more", Severity::Advice, 10_000)), Ok(true));
    }
}
