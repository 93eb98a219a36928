//! New settings while the daemon runs: their texts come from a probe, since they lie on a disk. It refuses half of them: what is wrong in one place
//! leaves everything as it was.

use sd_notify::NotifyState;
use tokio::sync::oneshot;

use super::ask::{self, Ask, Texts};
use super::daemon::Daemon;
use super::life::shut;
use super::look::summary;
use crate::agent::Settings;
use crate::api::Gate;
use crate::host::{Priority, clock};
use crate::model::time::Mono;
use crate::settings::Merged;

/// How long new settings may take to be read.
const PATIENCE_MS: u64 = 5000;

/// Somebody who waits for the end of a reload.
pub(super) type Asker = oneshot::Sender<Result<(), String>>;

/// A reload that waits for the settings' texts.
pub(super) struct Reload {
    /// Until when.
    pub(super) until: Mono,
    askers: Vec<Asker>,
}

impl Daemon {
    /// Asks for the settings' texts; what stands does so until they are there and understood.
    pub(super) fn reload(&mut self, asker: Option<Asker>) {
        if let Some(reload) = &mut self.reload {
            return reload.askers.extend(asker);
        }
        if let Ok(time) = NotifyState::monotonic_usec_now() {
            self.service.say(&[NotifyState::Reloading, time]);
        }
        let now = clock::monotonic();
        self.reload = Some(Reload { until: now.plus_ms(PATIENCE_MS), askers: asker.into_iter().collect() });
        if !self.host.is_real() {
            // A recording does not hang.
            return self.reloaded(ask::texts(&self.host, self.config.as_deref()));
        }
        if !self.probes.is_alive() {
            return self.reloaded(Err("there is no probe helper that could read them".to_owned()));
        }
        self.probes.put("settings", Ask::Settings);
        self.send(now);
    }

    /// The texts are there, or why they are not.
    pub(super) fn reloaded(&mut self, texts: Result<Texts, String>) {
        let Some(reload) = self.reload.take() else { return };
        let result = texts.and_then(|texts| self.take_settings(texts));
        match &result {
            Ok(()) => self.log.line(Priority::Info, "new settings are in force", &[("NODE_STEWARD_EVENT", "reload")]),
            Err(why) => {
                let words = format!("the new settings are refused and the old ones stay: {why}");
                self.log.line(Priority::Warning, &words, &[("NODE_STEWARD_EVENT", "reload-refused")]);
            }
        }
        for asker in reload.askers {
            // Whoever asked may have gone.
            let _ = asker.send(result.clone());
        }
        let status = summary(self.engine.status());
        self.service.say(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    fn take_settings(&mut self, texts: Texts) -> Result<(), String> {
        let files: Vec<_> = texts.files.into_iter().map(|(file, text)| (file, text.into_bytes())).collect();
        let mut settings = Merged::of(&files).and_then(Settings::of).map_err(|error| error.to_string())?;
        self.flags.apply(&mut settings);
        let shortened = settings.watch.keep_within(self.service.watchdog);
        self.engine.configure(&settings).map_err(|error| error.to_string())?;
        self.engine.arm(clock::monotonic());
        self.pace.set_period(settings.watch.period.ms());
        self.published.borrow_mut().late_after_ms = settings.watch.period.ms().saturating_mul(3);
        let (gate, missing) = Gate::of(&texts.groups, &settings.api);
        self.api.set_gate(gate);
        if let Some(envoy) = &mut self.envoy {
            envoy.configure(&settings, shut(&self.host, self.flags.dry_run));
        }
        for words in missing.into_iter().chain(shortened).chain(later(&self.settings, &settings)) {
            self.log.line(Priority::Notice, &words, &[("NODE_STEWARD_EVENT", "settings")]);
        }
        self.settings = settings;
        self.probes.put("reservations", Ask::Reservations);
        Ok(())
    }
}

/// What only a start reads, by the names of the keys that have changed.
fn later(old: &Settings, new: &Settings) -> Option<String> {
    let mut keys = Vec::new();
    keys.extend((old.api.socket != new.api.socket).then_some("api.socket"));
    keys.extend((old.metrics.listen != new.metrics.listen).then_some("metrics.listen"));
    keys.extend(old.watch.later(&new.watch));
    // Where the watch finds kubelet's state and thresholds: the probe helper knows that from its own start.
    keys.extend((old.kubelet.layout != new.kubelet.layout).then_some("kubelet.layout"));
    keys.extend((old.kubelet.drop_in != new.kubelet.drop_in).then_some("kubelet.drop_in"));
    if keys.is_empty() {
        return None;
    }
    let waits = if keys.len() == 1 { "changes" } else { "change" };
    Some(format!("{} {waits} with the next start", listed(&keys)))
}

/// As a sentence has it: "a, b and c".
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let merged = Merged::of(&[("new.toml".into(), text.as_bytes().to_vec())]).unwrap();
        Settings::of(merged).unwrap()
    }

    #[test]
    fn what_only_a_start_reads_is_named_and_nothing_else() {
        let old = settings("");
        let said = |text: &str| later(&old, &settings(text)).unwrap_or_default();
        assert_eq!(said(""), "");
        assert_eq!(said("[watch]\nperiod = \"20s\"\nprobe_deadline = \"2s\"\n[kubelet]\nprotect = false\n"), "");
        for (text, key) in [
            ("[api]\nsocket = \"/run/other.sock\"\n", "api.socket"),
            ("[metrics]\nlisten = \"127.0.0.1:9101\"\n", "metrics.listen"),
            ("[watch]\nlock_memory = \"off\"\n", "watch.lock_memory"),
            ("[watch]\npressure_some_percent = 0\n", "watch.pressure_some_percent"),
            ("[watch]\npressure_full_percent = 50\n", "watch.pressure_full_percent"),
            ("[kubelet]\nlayout = \"kubeadm\"\n", "kubelet.layout"),
            ("[kubelet]\ndrop_in = \"/etc/kubelet.d\"\n", "kubelet.drop_in"),
        ] {
            assert_eq!(said(text), format!("{key} changes with the next start"));
        }
        let several = "[watch]\nlock_memory = \"off\"\npressure_full_percent = 50\n[kubelet]\nlayout = \"kubeadm\"\n";
        assert_eq!(
            said(several),
            "watch.lock_memory, watch.pressure_full_percent and kubelet.layout change with the next start"
        );
    }
}
