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
        self.engine.configure(&settings).map_err(|error| error.to_string())?;
        self.engine.arm(clock::monotonic());
        self.pace.set_period(settings.watch.period.ms());
        self.published.borrow_mut().late_after_ms = settings.watch.period.ms().saturating_mul(3);
        let (gate, missing) = Gate::of(&texts.groups, &settings.api);
        self.api.set_gate(gate);
        if let Some(envoy) = &mut self.envoy {
            envoy.configure(&settings, shut(&self.host, self.flags.dry_run));
        }
        let fixed = |of: &Settings| (of.api.socket.clone(), of.metrics.listen, of.watch.lock_memory);
        let later = "api.socket, metrics.listen and watch.lock_memory change with the next start".to_owned();
        let later = (fixed(&settings) != fixed(&self.settings)).then_some(later);
        for words in missing.into_iter().chain(later) {
            self.log.line(Priority::Notice, &words, &[("NODE_STEWARD_EVENT", "settings")]);
        }
        self.settings = settings;
        self.probes.put("reservations", Ask::Reservations);
        Ok(())
    }
}
